package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/tidings/interop/internal/client"
	"example.com/tidings/interop/internal/runner"
	"example.com/tidings/interop/internal/scenario"
)

// TestGo runs the client in Go, the one language that is always there, and wants
// docs/languages.md to say what comes of it.
func TestGo(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-root", "..", "-language", "go", "-check"}, &out); err != nil {
		t.Errorf("%v\n%s", err, &out)
	}
	if n := strings.Count(out.String(), " 10 ok, 0 n/a, 0 failed"); n != 4 {
		t.Errorf("%d transports did all steps, want 4:\n%s", n, &out)
	}
}

// TestManifests wants the files of all clients to be in order, also of those whose
// languages aren't here.
func TestManifests(t *testing.T) {
	clients, err := client.LoadAll(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range clients {
		if _, _, err := c.ExampleLines(); err != nil {
			t.Error(err)
		}
	}
	if len(clients) == 0 {
		t.Error("there are no clients")
	}
}

func TestBadArguments(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"no such language": {[]string{"-root", "..", "-language", "go,klingon"}, "there is no client interop/klingon"},
		"no such flag":     {[]string{"-colour"}, "colour"},
		"an argument":      {[]string{"go"}, "no arguments are taken"},
		"no checkout":      {[]string{"-root", t.TempDir(), "-language", "go"}, "there is no client"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := run(t.Context(), test.args, &out); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

// TestConclude wants the page to be written where nothing failed or was lost, and
// only there.
func TestConclude(t *testing.T) {
	const empty = "<!-- matrix:begin -->\n<!-- matrix:end -->\n<!-- clients:begin -->\n<!-- clients:end -->\n"
	good, failed, less := result(t), result(t), result(t)
	failed.Runs[0].Outcomes["read"] = scenario.Outcome{State: scenario.Failed}
	less.Runs[0].Outcomes["read"] = scenario.Outcome{State: scenario.NotApplicable}
	root := t.TempDir()
	path := filepath.Join(root, "docs", "languages.md")
	if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(empty), 0o600); err != nil {
		t.Fatal(err)
	}
	page := func() string {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	// In this order: each finds what the one before left.
	for _, test := range []struct {
		name    string
		result  runner.Result
		check   bool
		want    string // Empty: no error.
		written bool
	}{
		{"a failure", failed, false, "ruby failed", false},
		{"a page to be written, when checking", good, true, "run make interop and commit it", false},
		{"a page to be written", good, false, "", true},
		{"nothing new, when checking", good, true, "", false},
		{"nothing new", good, false, "", false},
		{"a failure where it was ok", failed, false, `Ruby over grpc: read was ok, and is "fail" now`, false},
		{"less than it was", less, false, `Ruby over grpc: read was ok, and is "n/a" now`, false},
		{"less than it was, when checking", less, true, `Ruby over grpc: read was ok, and is "n/a" now`, false},
	} {
		before := page()
		var out bytes.Buffer
		err := conclude(options{root: root, check: test.check}, []runner.Result{test.result}, &out)
		if (err != nil) != (test.want != "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want one with %q", test.name, err, test.want)
		}
		if written := page() != before; written != test.written {
			t.Errorf("%s: written is %v:\n%s", test.name, written, page())
		}
		if !strings.Contains(out.String(), "| Ruby | grpc | ok |") {
			t.Errorf("%s: the matrix isn't shown:\n%s", test.name, &out)
		}
	}
}

// result is that of a client that did all.
func result(t *testing.T) runner.Result {
	t.Helper()
	c := client.Client{Name: "ruby", Language: "Ruby", Example: "client.rb", Dir: t.TempDir()}
	if err := os.WriteFile(filepath.Join(c.Dir, c.Example), []byte("# docs:begin\npublish\n# docs:end\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := runner.Run{Transport: "grpc", Outcomes: make(scenario.Outcomes)}
	for _, step := range scenario.Steps {
		run.Outcomes[step] = scenario.Outcome{State: scenario.OK}
	}
	return runner.Result{Client: c, Runs: []runner.Run{run}}
}
