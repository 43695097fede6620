package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/tidings/interop/internal/client"
	"example.com/tidings/interop/internal/reference"
	"example.com/tidings/interop/internal/runner"
	"example.com/tidings/interop/internal/scenario"
)

// TestGo runs the client in Go, the one language that is always there, and wants
// docs/languages.md to say what comes of it.
func TestGo(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs a server and a client")
	}
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-root", "..", "-language", "go", "-check"}, &out); err != nil {
		t.Errorf("%v\n%s", err, &out)
	}
	if n := strings.Count(out.String(), " 10 ok, 0 n/a, 0 failed"); n != 4 {
		t.Errorf("%d transports did all steps, want 4:\n%s", n, &out)
	}
}

// TestManifests wants the files of all clients and servers to be in order, also of
// those whose languages aren't here.
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
	chosen, err := choose(options{root: ".."})
	if err != nil {
		t.Fatal(err)
	}
	if len(clients) == 0 || len(chosen.clients) != len(clients) || len(chosen.servers) == 0 || chosen.caller.Name != "go" {
		t.Errorf("%d clients, and %+v chosen", len(clients), chosen)
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
	const empty = "<!-- matrix:begin -->\n<!-- matrix:end -->\n<!-- clients:begin -->\n<!-- clients:end -->\n<!-- servers:begin -->\n<!-- servers:end -->\n"
	good, failed, less := all(t), all(t), all(t)
	failed.clients[0].Runs[0].Outcomes["read"] = scenario.Outcome{State: scenario.Failed}
	less.clients[0].Runs[0].Outcomes["read"] = scenario.Outcome{State: scenario.NotApplicable}
	failedServer, nonconforming, other := all(t), all(t), all(t)
	failedServer.servers[0].Runs[0].Outcomes["topic"] = scenario.Outcome{State: scenario.Failed}
	nonconforming.servers[0].Runs[0].Problems = []string{"conformance: exit status 1"}
	other.servers[0].Runs[0].Conformance.Passed++
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
		found   results
		check   bool
		want    string // Empty: no error.
		written bool
	}{
		{"a failure", failed, false, "ruby failed", false},
		{"a failure of a server", failedServer, false, "servers/ruby failed", false},
		{"a server that doesn't conform", nonconforming, false, "servers/ruby failed", false},
		{"a page to be written, when checking", good, true, "run make interop and commit it", false},
		{"a page to be written", good, false, "", true},
		{"nothing new, when checking", good, true, "", false},
		{"nothing new", good, false, "", false},
		{"a failure where it was ok", failed, false, `Ruby over grpc: read was ok, and is "fail" now`, false},
		{"less than it was", less, false, `Ruby over grpc: read was ok, and is "n/a" now`, false},
		{"less than it was, when checking", less, true, `Ruby over grpc: read was ok, and is "n/a" now`, false},
		{"a failure of a server where it was ok", failedServer, false, `the server in Ruby over grpc: topic was ok, and is "fail" now`, false},
		{"no server where there was one", results{clients: good.clients}, false, "the server in Ruby over grpc: topic was ok, and was not run now", false},
		{"other counts of cases, when checking", other, true, "run make interop and commit it", false},
		{"other counts of cases", other, false, "", true},
	} {
		before := page()
		var out bytes.Buffer
		err := conclude(options{root: root, check: test.check}, test.found, &out)
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

// TestChoose wants a language to be that of a client, and a server to be chosen
// with it.
func TestChoose(t *testing.T) {
	for name, test := range map[string]struct {
		server    string // Its language.
		languages []string
		want      string // The names of the clients and servers, or a part of the error.
	}{
		"all":                    {"Ruby", nil, "go ruby servers/ruby"},
		"a language":             {"Ruby", []string{"ruby"}, "ruby servers/ruby"},
		"one without a server":   {"Ruby", []string{"go"}, "go"},
		"a server by other name": {"JRuby", []string{"ruby"}, `servers/ruby/server.yaml: language: "JRuby", and interop/ruby has "Ruby"`},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for path, text := range map[string]string{
				"go/interop.yaml":          "language: Go\nruntime: Go 1\npackage: p\ninstall: i\nrun: r\ntransports: [grpc]\nexample: e\n",
				"ruby/interop.yaml":        "language: Ruby\nruntime: Ruby 3\npackage: p\ninstall: i\nrun: r\ntransports: [grpc]\nexample: e\n",
				"servers/ruby/server.yaml": "language: " + test.server + "\nruntime: Ruby 3\nrun: r\ntransports: [grpc]\n",
			} {
				path = filepath.Join(root, "interop", path)
				if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			chosen, err := choose(options{root: root, languages: test.languages})
			var names []string
			for _, c := range chosen.clients {
				names = append(names, c.Name)
			}
			for _, s := range chosen.servers {
				names = append(names, "servers/"+s.Name)
			}
			got := strings.Join(names, " ")
			if err != nil {
				got = err.Error()
			}
			if err == nil && got != test.want || err != nil && !strings.HasSuffix(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// all are the results of a client and a server that did all.
func all(t *testing.T) results {
	t.Helper()
	run := runner.ServerRun{Conformance: runner.Conformance{Passed: 97, KnownFailures: 193}}
	run.Transport, run.Outcomes = "grpc", make(scenario.Outcomes)
	for _, step := range scenario.ServerSteps {
		run.Outcomes[step] = scenario.Outcome{State: scenario.OK}
	}
	return results{
		clients: []runner.Result{result(t)},
		servers: []runner.ServerResult{{Server: reference.Server{Name: "ruby", Language: "Ruby"}, Runs: []runner.ServerRun{run}}},
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
