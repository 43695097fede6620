package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
)

// call runs the command as a shell would.
func call(t *testing.T, args ...string) (status int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	status = command(t.Context(), args, &o, &e)
	return status, o.String(), e.String()
}

// file writes a file for a test.
func file(t *testing.T, contents string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "known.txt")
	if err := os.WriteFile(path, []byte(contents), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWrongUsage(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"no server":           {nil, "say with --url, --grpc or both where the server is"},
		"an address as a URL": {[]string{"--url", "127.0.0.1:7070"}, `--url: "127.0.0.1:7070" doesn't begin with http:// or https://`},
		"unknown flag":        {[]string{"--urk", "x"}, "-urk"},
		"unknown command":     {[]string{"shemas"}, `there is no command "shemas"`},
		"two commands":        {[]string{"list", "schemas"}, `"schemas" is neither a flag nor the command`},
		"no case":             {[]string{"--run", "nothing"}, "no case matches nothing"},
		"no transport":        {[]string{"--transport", "carrier-pigeon"}, "no transport matches carrier-pigeon: there are [native-binary-http2 "},
		"no parallel case":    {[]string{"--parallel", "0"}, "--parallel is 0"},
		"no such file":        {[]string{"--known-failing", filepath.Join(t.TempDir(), "none.txt")}, "none.txt"},
		"no reason":           {[]string{"--known-failing", file(t, "# why\n\ntidings.v1.TopicService/*\n")}, `known.txt:3: "tidings.v1.TopicService/*" is not of the form`},
		"about no case":       {[]string{"--known-failing", file(t, "tidings.v1.TopicServise/*: not implemented\n")}, "known.txt:1: tidings.v1.TopicServise/* is about no case"},
		"about no transport":  {[]string{"--known-failing", file(t, "* on http3: not there\n")}, "known.txt:1: there is no transport http3"},
	} {
		t.Run(name, func(t *testing.T) {
			status, out, errOut := call(t, test.args...)
			if status != statusUsage || !strings.Contains(errOut, test.want) || out != "" {
				t.Errorf("status %d, prints %q and %q, want %q", status, out, errOut, test.want)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	for _, arg := range []string{"version", "--version"} {
		status, out, errOut := call(t, arg)
		if want := "tidings-conformance " + Version + "\n"; status != statusConforms || out != want || errOut != "" {
			t.Errorf("%s: status %d, prints %q and %q, want %q", arg, status, out, errOut, want)
		}
	}
}

func TestNoServer(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil { // Nobody listens there now.
		t.Fatal(err)
	}
	for _, args := range [][]string{{"--url", "http://" + address}, {"--grpc", address}} {
		status, out, errOut := call(t, args...)
		if status != statusUnreachable || !strings.Contains(errOut, "there is no server at ") || !strings.Contains(errOut, address) || out != "" {
			t.Errorf("%q: status %d, prints %q and %q", args, status, out, errOut)
		}
	}
}

// TestServerWithoutSchemas says at once what is missing.
func TestServerWithoutSchemas(t *testing.T) {
	s := startServer(t, "--schemas", "")
	status, out, errOut := call(t, "--url", s.url())
	want := "the server doesn't have the schemas of the suite: "
	if status != statusUsage || !strings.Contains(errOut, want) || !strings.Contains(errOut, "`tidings-conformance schemas`") || out != "" {
		t.Errorf("status %d, prints %q and %q", status, out, errOut)
	}
}

// TestSchemas checks that the image holds the events and all that they import,
// dependencies first.
func TestSchemas(t *testing.T) {
	status, out, errOut := call(t, "schemas")
	set := new(descriptorpb.FileDescriptorSet)
	if err := proto.Unmarshal([]byte(out), set); err != nil || status != statusConforms || errOut != "" {
		t.Fatalf("status %d, %v, %q", status, err, errOut)
	}
	seen := map[string]bool{}
	for _, file := range set.GetFile() {
		for _, path := range file.GetDependency() {
			if !seen[path] {
				t.Errorf("%s comes before %s, which it imports", file.GetName(), path)
			}
		}
		seen[file.GetName()] = true
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := files.FindDescriptorByName("tidings.conformance.v1.EveryKind"); err != nil {
		t.Error(err)
	}
}

func TestList(t *testing.T) {
	status, out, _ := call(t, "list")
	if status != statusConforms {
		t.Errorf("status %d", status)
	}
	for _, c := range loadCases(t) {
		if !strings.Contains(out, c.Name+"\n    "+c.Says+"\n") {
			t.Errorf("%s isn't listed", c.Name)
		}
	}
	_, some, _ := call(t, "list", "--run", "*/GetTopic/not-found")
	if !strings.HasPrefix(some, "tidings.v1.TopicService/GetTopic/not-found\n") || strings.Count(some, "\n") != 2 {
		t.Errorf("listed are\n%s", some)
	}
}

// TestReports runs the command against a server that fails one case of three.
func TestReports(t *testing.T) {
	address := proxyGRPC(t, startServer(t).GRPC, new(wrongCode))
	const failing = "tidings.v1.TopicService/DeleteTopic/deleted"
	args := []string{"--grpc", address, "--run", "*/DeleteTopic/*d"}
	t.Run("a failure", func(t *testing.T) {
		dir := t.TempDir()
		asXML, asJSON := filepath.Join(dir, "results.xml"), filepath.Join(dir, "results.json")
		status, out, errOut := call(t, append(args, "--junit", asXML, "--json", asJSON)...)
		if status != statusFailed || errOut != "" {
			t.Errorf("status %d, %q", status, errOut)
		}
		for _, want := range []string{
			"FAILED  " + failing + "  over native-binary-http2\n    delete_topic.yaml:",
			"the code is FailedPrecondition, want NotFound",
			"\n0 passed, 1 failed, 0 known failures, 0 unexpected passes, 0 not run\n",
		} {
			if !strings.Contains(out, want) {
				t.Errorf("the output has no %q:\n%s", want, out)
			}
		}
		checkJUnit(t, asXML, failing)
		checkJSON(t, asJSON, failing)
	})
	t.Run("a known failure", func(t *testing.T) {
		for _, line := range []string{failing + ": it is broken", "*/deleted on native-*: it is broken", "calls */DeleteTopic on *-http2: it is broken"} {
			status, out, errOut := call(t, append(args, "--known-failing", file(t, line))...)
			if status != statusConforms || !strings.Contains(out, "0 failed, 1 known failures") {
				t.Errorf("%q: status %d, %s%s", line, status, out, errOut)
			}
		}
	})
	t.Run("an unexpected pass", func(t *testing.T) {
		status, out, errOut := call(t, "--grpc", address, "--run", "*/GetTopic/not-found", "--known-failing", file(t, "*/GetTopic/not-found: not there"))
		if status != statusFailed || !strings.Contains(out, "UNEXPECTED PASS  tidings.v1.TopicService/GetTopic/not-found") || !strings.Contains(out, "known.txt:1 says that it fails: not there") {
			t.Errorf("status %d, %s%s", status, out, errOut)
		}
	})
	t.Run("a known failure over another transport", func(t *testing.T) {
		if status, out, errOut := call(t, append(args, "--known-failing", file(t, failing+" on connect-*: it is broken"))...); status != statusFailed {
			t.Errorf("status %d, %s%s", status, out, errOut)
		}
	})
	t.Run("an interrupt", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var errOut bytes.Buffer
		status := command(ctx, []string{"--grpc", address, "--run", "*TopicService/*", "--parallel", "1"}, interrupting{cancel}, &errOut)
		if status != statusInterrupted || !strings.Contains(errOut.String(), "interrupted; the rest was not run") {
			t.Errorf("status %d, %q", status, errOut.String())
		}
	})
}

// interrupting is an output that interrupts the command at what it prints first.
type interrupting struct{ cancel context.CancelFunc }

func (w interrupting) Write(p []byte) (int, error) {
	w.cancel()
	return len(p), nil
}

func checkJUnit(t *testing.T, path, failing string) {
	t.Helper()
	contents, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Suites []struct {
			Name     string `xml:"name,attr"`
			Tests    int    `xml:"tests,attr"`
			Failures int    `xml:"failures,attr"`
			Cases    []struct {
				Class   string `xml:"classname,attr"`
				Name    string `xml:"name,attr"`
				Failure *struct {
					Message string `xml:"message,attr"`
				} `xml:"failure"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(contents, &document); err != nil {
		t.Fatal(err)
	}
	if len(document.Suites) != 1 || document.Suites[0].Name != "native-binary-http2" || document.Suites[0].Tests != 1 || document.Suites[0].Failures != 1 {
		t.Fatalf("the report is\n%s", contents)
	}
	test := document.Suites[0].Cases[0]
	if test.Class+"/"+test.Name != failing || test.Failure == nil || !strings.Contains(test.Failure.Message, "the code is FailedPrecondition") {
		t.Errorf("the report is\n%s", contents)
	}
}

func checkJSON(t *testing.T, path, failing string) {
	t.Helper()
	contents, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	type result struct {
		Case      string `json:"case"`
		Transport string `json:"transport"`
		Outcome   string `json:"outcome"`
	}
	var document struct {
		Results []result `json:"results"`
	}
	if err := json.Unmarshal(contents, &document); err != nil {
		t.Fatal(err)
	}
	if want := []result{{failing, "native-binary-http2", "failed"}}; !slices.Equal(document.Results, want) {
		t.Errorf("the report is\n%s", contents)
	}
}
