package runner

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/tidings/interop/internal/client"
)

// debian puts programs in the place of Debian's, which know the package ruby and
// write down what they are told to do.
func debian(t *testing.T) (log string) {
	t.Helper()
	bin := t.TempDir()
	log = filepath.Join(bin, "log")
	for name, script := range map[string]string{
		"dpkg-query": "echo 'ruby installed'; echo 'ocaml config-files'; exit 1",
		"apt-get":    `echo "$DEBIAN_FRONTEND apt-get $*" >> "` + log + `"`,
	} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	return log
}

func TestProvide(t *testing.T) {
	log := debian(t)
	clients := []client.Client{{Debian: []string{"ruby", "ocaml"}}, {Debian: []string{"g++", "ocaml"}}, {}}
	var out bytes.Buffer
	err := Provide(t.Context(), clients, false, &out)
	if err == nil || !strings.Contains(err.Error(), "apt-get update && apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends g++ ocaml") {
		t.Errorf("error %v, want one with the command", err)
	}
	if _, err := os.Stat(log); err == nil {
		t.Error("it installed something without having been told to")
	}
	if err := Provide(t.Context(), clients, true, &out); err != nil {
		t.Fatal(err)
	}
	done, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if want := "noninteractive apt-get update\nnoninteractive apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends g++ ocaml\n"; string(done) != want {
		t.Errorf("it did\n%s\nwant\n%s", done, want)
	}
}

func TestProvideWithNothingMissing(t *testing.T) {
	log := debian(t)
	var out bytes.Buffer
	for _, clients := range [][]client.Client{nil, {{}}, {{Debian: []string{"ruby"}}}} {
		if err := Provide(t.Context(), clients, true, &out); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(log); err == nil {
		t.Error("it installed something")
	}
}
