package doctest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"example.com/tidings/internal/testserver"
	"example.com/tidings/tools/internal/buftest"
	"example.com/tidings/tools/internal/workspace"
)

// TestVersionsAgree compares the file VERSION, the newest entry of the change log
// and what the program says.
func TestVersionsAgree(t *testing.T) {
	root := checkout(t)
	version := strings.TrimSpace(read(t, root, "VERSION"))
	entry := regexp.MustCompile(`(?m)^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d{2}-\d{2}$`).FindStringSubmatch(read(t, root, "CHANGELOG.md"))
	if len(entry) != 2 || entry[1] != version {
		t.Errorf("the newest entry of the change log is %q, VERSION says %s", entry, version)
	}
	if output := tidings(t, "version"); !strings.HasPrefix(output, "tidings "+version+" ") {
		t.Errorf("tidings version prints %q, VERSION says %s", output, version)
	}
}

// TestOperationsNamesEverySetting compares the table of settings with the flags.
func TestOperationsNamesEverySetting(t *testing.T) {
	root := checkout(t)
	page := read(t, root, "docs/operations.md")
	help, _, _ := strings.Cut(tidings(t, "serve", "--help"), "Global Flags:")
	unwrapped := regexp.MustCompile(`\n {10,}`).ReplaceAllString(help, " ")
	flags := regexp.MustCompile(`(?m)^ +(?:-\w, | {4})--([a-z-]+)(.*)$`).FindAllStringSubmatch(unwrapped, -1)
	named := 0
	for _, flag := range flags {
		name, rest := flag[1], flag[2]
		if name == "help" || name == "config" {
			continue
		}
		named++
		row := regexp.MustCompile("(?m)^\\| `--" + name + "` \\| `TIDINGS_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")) + "` \\| (?:`([^`]*)`|none) \\|").FindStringSubmatch(page)
		if row == nil {
			t.Errorf("no row for --%s", name)
			continue
		}
		// Cobra shows a default that isn't the zero of its type.
		want := ""
		if match := regexp.MustCompile(`\(default "?([^")]*)"?\)$`).FindStringSubmatch(rest); match != nil {
			want = match[1]
		}
		if got := row[1]; got != want && (want != "" || got != "0" && got != "false") && name != "nats-url" {
			t.Errorf("--%s: the page says the default is %q, the command %q", name, got, want)
		}
	}
	if rows := strings.Count(page, "| `TIDINGS_"); rows != named || named == 0 {
		t.Errorf("%d rows for %d settings", rows, named)
	}
}

// TestCompatibilityNamesRulesThatCount holds the rules that the page names to
// those that the gate applies.
func TestCompatibilityNamesRulesThatCount(t *testing.T) {
	root, buf := buftest.Need(t)
	cmd := exec.CommandContext(t.Context(), buf, "config", "ls-breaking-rules", "--module-path", "proto", "--configured-only", "--format", "json")
	cmd.Dir = root
	output, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	applied := map[string]bool{}
	for decoder := json.NewDecoder(strings.NewReader(string(output))); ; {
		var rule struct {
			ID string `json:"id"`
		}
		if err := decoder.Decode(&rule); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		applied[rule.ID] = true
	}
	named := regexp.MustCompile("`([A-Z]+(?:_[A-Z]+)+)`").FindAllStringSubmatch(read(t, root, "docs/compatibility.md"), -1)
	for _, rule := range named {
		if !applied[rule[1]] {
			t.Errorf("%s is not a rule that is applied", rule[1])
		}
	}
	if len(named) == 0 {
		t.Error("the page names no rule")
	}
}

func read(t *testing.T, root, name string) string {
	t.Helper()
	contents, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(contents)
}

// built is where the tests have built the checkout's program tidings.
var built = sync.OnceValues(func() (string, error) {
	root, err := workspace.Root()
	if err != nil {
		return "", err
	}
	return testserver.Build(context.Background(), filepath.Join(root, "server"), "tidings", scratch)
})

// scratch is a directory of all tests.
var scratch string

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "doctest-"); err != nil {
		panic(err)
	}
	status := m.Run()
	_ = os.RemoveAll(scratch)
	os.Exit(status)
}

func program(t *testing.T) string {
	t.Helper()
	program, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// tidings runs the program of the checkout.
func tidings(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program(t), args...)
	cmd.Env = testserver.Environ()
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", cmd, err)
	}
	return string(output)
}
