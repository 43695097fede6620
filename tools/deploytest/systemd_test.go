package deploytest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	unit = "tidings.service"
	// maxExposure is how much of the system the unit may leave open, in tenths of the
	// scale of `systemd-analyze security`, which ends at 10.
	maxExposure = "15"
)

// analyze runs systemd-analyze on the unit, in which the program is one that is there.
func analyze(t *testing.T, text string, args ...string) (string, error) {
	t.Helper()
	analyzer, err := exec.LookPath("systemd-analyze")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skipf("NOT CHECKED: %v", err)
	}
	program, err := exec.LookPath("true")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), unit)
	text = strings.ReplaceAll(text, "/usr/local/bin/tidings", program)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	output, err := exec.CommandContext(t.Context(), analyzer, append(args, path)...).CombinedOutput()
	return string(output), err
}

func readUnit(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(operationsFile(t, "systemd", unit))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// systemd takes every line of the unit. It passes over what it doesn't know, and says so.
func TestUnitIsVerified(t *testing.T) {
	text := readUnit(t)
	if output, err := analyze(t, text, "verify"); err != nil || output != "" {
		t.Errorf("systemd-analyze verify: %v: %s", err, output)
	}
	if output, err := analyze(t, strings.Replace(text, "PrivateTmp=", "PrivateTemp=", 1), "verify"); err == nil && output == "" {
		t.Error("a misspelt line isn't noticed")
	}
}

func TestUnitIsHardened(t *testing.T) {
	text := readUnit(t)
	security := []string{"security", "--offline=true", "--threshold=" + maxExposure}
	if output, err := analyze(t, text, security...); err != nil {
		t.Errorf("systemd-analyze security: %v: %s", err, output)
	}
	if _, err := analyze(t, strings.Replace(text, "ProtectSystem=strict", "", 1)+"\n[Service]\nUser=root\n", security...); err == nil {
		t.Error("a unit that protects less isn't noticed")
	}
}
