package schemarules

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"example.com/tidings/tools/internal/bufcache"
	"example.com/tidings/tools/internal/workspace"
)

// exitFindings is the status with which Buf says that it found something.
const exitFindings = 100

// A module is a directory with the project's configuration of Buf and with one
// file of its own beside the contract.
type module struct {
	t        *testing.T
	dir, buf string
}

func newModule(t *testing.T) module {
	t.Helper()
	if testing.Short() {
		t.Skip("runs Buf")
	}
	buf, err := workspace.Buf(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	if err := bufcache.FillDefault(t.Context(), filepath.Join(root, "buf.lock"), io.Discard); err != nil {
		t.Fatal(err)
	}
	m := module{t: t, dir: t.TempDir(), buf: buf}
	config, err := workspace.BuildPlugin(t.Context(), root, m.dir)
	if err != nil {
		t.Fatal(err)
	}
	if config, err = workspace.OneModule(config, "proto"); err != nil {
		t.Fatal(err)
	}
	m.write("buf.yaml", config)
	lock, err := os.ReadFile(filepath.Join(root, "buf.lock"))
	if err != nil {
		t.Fatal(err)
	}
	m.write("buf.lock", string(lock))
	if err := os.CopyFS(filepath.Join(m.dir, "proto", "tidings"), os.DirFS(filepath.Join(root, "proto", "tidings"))); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m module) write(name, text string) {
	m.t.Helper()
	path := filepath.Join(m.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// run runs Buf. It returns the lines of our rules among what it found.
func (m module) run(args ...string) (findings []string, stderr string, err error) {
	m.t.Helper()
	var report, complaint bytes.Buffer
	cmd := exec.CommandContext(m.t.Context(), m.buf, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = m.dir, &report, &complaint
	err = cmd.Run()
	for decoder := json.NewDecoder(&report); decoder.More(); {
		var f struct {
			Path string `json:"path"`
			Line int    `json:"start_line"`
			Rule string `json:"type"`
		}
		if decodeErr := decoder.Decode(&f); decodeErr != nil {
			m.t.Fatal(decodeErr)
		}
		if strings.HasPrefix(f.Rule, Category) {
			findings = append(findings, fmt.Sprintf("%s:%d: %s", f.Path, f.Line, f.Rule))
		}
	}
	slices.Sort(findings)
	return findings, complaint.String(), err
}

const eventsFile = "proto/acme/parcels/v1/events.proto"

const eventsBefore = `syntax = "proto3";
package acme.parcels.v1;
import "buf/validate/validate.proto";
import "tidings/options/v1/options.proto";
message ParcelLost {
  option (tidings.options.v1.event) = {topic: "parcels" key: "id"};
  string id = 1 [(buf.validate.field).string.max_len = 64];
}
`

// TestBuf runs the plugin as Buf does, with the project's buf.yaml.
func TestBuf(t *testing.T) {
	m := newModule(t)
	m.write(eventsFile, eventsBefore)
	if _, stderr, err := m.run("build", "-o", "before.binpb"); err != nil {
		t.Fatalf("%v: %s", err, stderr)
	}
	tighter := strings.Replace(strings.Replace(eventsBefore, "64", "32", 1), `key: "id"`, `key: "no"`, 1)
	tests := []struct {
		name, text string
		args, want []string
	}{
		{"lint passes", eventsBefore, []string{"lint"}, nil},
		{"lint", tighter, []string{"lint"}, []string{eventsFile + ":6: TIDINGS_EVENT_KEY"}},
		{"breaking passes", strings.Replace(eventsBefore, "64", "65", 1), []string{"breaking", "--against", "before.binpb"}, nil},
		{"breaking", tighter, []string{"breaking", "--against", "before.binpb"}, []string{
			eventsFile + ":6: TIDINGS_EVENT_SAME_KEY",
			eventsFile + ":7: TIDINGS_VALIDATION_NO_TIGHTEN",
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m.write(eventsFile, test.text)
			found, stderr, err := m.run(append(test.args, "--error-format=json")...)
			if exit := new(exec.ExitError); err != nil && (!errors.As(err, &exit) || exit.ExitCode() != exitFindings) {
				t.Fatalf("%v: %s", err, stderr)
			}
			if !slices.Equal(found, test.want) {
				t.Errorf("found %q, want %q", found, test.want)
			}
		})
	}
}

// TestBufWithoutPlugin: a check that can't be made isn't passed.
func TestBufWithoutPlugin(t *testing.T) {
	m := newModule(t)
	if err := os.RemoveAll(filepath.Join(m.dir, ".cache")); err != nil {
		t.Fatal(err)
	}
	m.write(eventsFile, eventsBefore)
	if _, stderr, err := m.run("build", "-o", "before.binpb"); err != nil {
		t.Fatalf("%v: %s", err, stderr)
	}
	for _, args := range [][]string{{"lint"}, {"breaking", "--against", "before.binpb"}} {
		_, stderr, err := m.run(append(args, "--error-format=json")...)
		exit := new(exec.ExitError)
		if !errors.As(err, &exit) || exit.ExitCode() == exitFindings || !strings.Contains(stderr, "buf-plugin-tidings") {
			t.Errorf("buf %s: %v: %s; want it to fail for want of the plugin", args[0], err, stderr)
		}
	}
}
