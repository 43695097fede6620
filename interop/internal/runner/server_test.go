package runner

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"example.com/tidings/internal/testserver"
	"example.com/tidings/interop/internal/client"
	"example.com/tidings/interop/internal/reference"
	"example.com/tidings/interop/internal/scenario"
)

// newServerRunner returns a runner with the client in Go and the conformance suite,
// both built apart from where others build them.
func newServerRunner(t *testing.T) (r Runner, progress *bytes.Buffer) {
	t.Helper()
	r, progress = newRunner(t)
	c, err := client.Load("../../go")
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	c.Build, c.Run = "go build -o "+bin+"/client .", bin+"/client"
	r.Caller = c
	if r.Suite, err = testserver.Build(t.Context(), filepath.Join(root, "conformance"), "tidings-conformance", bin); err != nil {
		t.Fatal(err)
	}
	return r, progress
}

// newReference returns a server that is started by a line of shell.
func newReference(t *testing.T, run string, transports ...string) reference.Server {
	t.Helper()
	return reference.Server{Name: "ruby", Language: "Ruby", Dir: t.TempDir(), Run: run, Transports: transports}
}

// serving is a line of shell that prints a line and goes on until it is told to
// end. The file child names a process that it started.
func serving(line string) string {
	return "sleep 600 & echo $! > child.new; mv child.new child; echo '" + line + "'; wait"
}

// TestServer takes this checkout's server for a reference server.
func TestServer(t *testing.T) {
	r, progress := newServerRunner(t)
	s := newReference(t, serving("listening http="+server.HTTP+" grpc="+server.GRPC), "grpc", "connect-json")
	known, err := filepath.Abs(filepath.Join(root, "conformance", "known-failing.txt"))
	if err != nil {
		t.Fatal(err)
	}
	s.Build, s.KnownFailing = "cp '"+known+"' known-failing.txt", "known-failing.txt"
	result, err := r.RunServer(t.Context(), s)
	if err != nil || result.Failed() || len(result.Runs) != 2 {
		t.Fatalf("%+v, %v\n%s", result, err, progress)
	}
	for _, run := range result.Runs {
		for step, outcome := range run.Outcomes {
			if outcome.State != scenario.OK {
				t.Errorf("%s over %s: %+v", step, run.Transport, outcome)
			}
		}
		if len(run.Outcomes) != len(scenario.ServerSteps) || run.Conformance.Passed < 200 {
			t.Errorf("over %s: %+v, with %+v", run.Transport, run.Outcomes, run.Conformance)
		}
	}
	expectGone(t, filepath.Join(s.Dir, "child"))
}

// TestServersThatFail has servers that don't do what they claim to.
func TestServersThatFail(t *testing.T) {
	r, progress := newServerRunner(t)
	r.limit = 20 * time.Second
	closes := listenAndClose(t)
	knows := newReference(t, serving("listening grpc="+server.GRPC), "grpc")
	knows.KnownFailing = "known-failing.txt"
	if err := os.WriteFile(filepath.Join(knows.Dir, knows.KnownFailing), []byte("*/ListTopics/*: one page\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		server   reference.Server
		problem  string            // A pattern.
		outcomes map[string]string // Patterns of what failed, by step, where it ran.
	}{
		"serves nothing": {
			newReference(t, serving("listening grpc="+closes), "grpc"), `conformance: exit status 3\n.*there is no server at`,
			map[string]string{"topic": "Unavailable", "publish": "Unavailable", "refused": "got Unavailable"},
		},
		"passes what is known to fail": {knows, `conformance: exit status 1\n(.*\n)+.* [1-9]\d* unexpected passes`, map[string]string{}},
		"lacks an address":             {newReference(t, serving("listening grpc="+closes), "connect"), "no address for connect, which transports in server.yaml names", nil},
		"says something else":          {newReference(t, serving("Hello"), "grpc"), `it printed "Hello" first, want listening http=`, nil},
		"listens to all":               {newReference(t, serving("listening grpc=0.0.0.0:7070"), "grpc"), "0.0.0.0:7070 is not one on this machine alone", nil},
		"listens nowhere":              {newReference(t, serving("listening grpc=here"), "grpc"), `it printed "listening grpc=here" first`, nil},
		"listens to something unknown": {newReference(t, serving("listening smtp=127.0.0.1:25"), "grpc"), `it printed "listening smtp=127.0.0.1:25" first`, nil},
		"dies":                         {newReference(t, "echo no such module >&2; exit 3", "grpc"), `it ended before it was ready: exit status 3\n.*no such module`, nil},
		"ends":                         {newReference(t, "true", "grpc"), "it ended before it was ready with status 0", nil},
	} {
		t.Run(name, func(t *testing.T) {
			result, err := r.RunServer(t.Context(), test.server)
			if err != nil || !result.Failed() {
				t.Fatalf("%+v, %v; want a failure\n%s", result, err, progress)
			}
			problems := result.Problems
			for _, run := range result.Runs {
				problems = append(problems, run.Problems...)
				for step, pattern := range test.outcomes {
					if got := run.Outcomes[step]; got.State != scenario.Failed || !regexp.MustCompile(pattern).MatchString(got.Reason) {
						t.Errorf("%s: %+v, want it failed with %q", step, got, pattern)
					}
				}
			}
			if (len(result.Runs) > 0) != (test.outcomes != nil) {
				t.Errorf("%d runs", len(result.Runs))
			}
			if got := strings.Join(problems, "\n"); !regexp.MustCompile(test.problem).MatchString(got) {
				t.Errorf("the problems are %q, want %q", got, test.problem)
			}
			expectNothingLeft(t, test.server.Dir)
		})
	}
}

// listenAndClose returns an address where connections are closed at once.
func listenAndClose(t *testing.T) (address string) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	return listener.Addr().String()
}

// expectNothingLeft wants the child that a server may have left to be gone.
func expectNothingLeft(t *testing.T, dir string) {
	t.Helper()
	child := filepath.Join(dir, "child")
	if _, err := os.Stat(child); err == nil {
		expectGone(t, child)
	}
}

// TestServerThatHangs has the time end for a server that never prints a line, and
// for one that doesn't stop.
func TestServerThatHangs(t *testing.T) {
	r, _ := newRunner(t)
	r.limit = time.Second
	r.Caller = client.Client{Name: "go", Dir: t.TempDir(), Run: "for step in topic publish refused; do echo $step ok; done"}
	r.Suite = "true"
	for name, test := range map[string]struct{ run, problem string }{
		"silent":   {"exec >/dev/null; " + serving(""), "it isn't ready within 1s"},
		"stubborn": {"trap '' INT TERM; " + serving("listening grpc=127.0.0.1:1"), "it didn't stop when it was told to, within 1s"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newReference(t, test.run, "grpc")
			result, err := r.RunServer(t.Context(), s)
			if got := strings.Join(result.Problems, "\n"); err != nil || !strings.Contains(got, test.problem) {
				t.Errorf("the problems are %q, %v; want %q", got, err, test.problem)
			}
			expectGone(t, filepath.Join(s.Dir, "child"))
		})
	}
}

// TestServerThatEndsEarly has a server end while it is called.
func TestServerThatEndsEarly(t *testing.T) {
	r, _ := newRunner(t)
	dir := t.TempDir()
	// The client ends when the server is gone.
	r.Caller = client.Client{
		Name: "go", Dir: dir,
		Run: "read server < server; kill -9 $server; while kill -0 $server 2>/dev/null; do :; done; for step in topic publish refused; do echo $step ok; done",
	}
	r.Suite = "true"
	s := newReference(t, "echo $$ > '"+dir+"/server'; echo listening grpc=127.0.0.1:1; exec sleep 600", "grpc")
	result, err := r.RunServer(t.Context(), s)
	if got := strings.Join(result.Problems, "\n"); err != nil || !strings.Contains(got, "while it was called, it ended: signal: killed") {
		t.Errorf("the problems are %q, %v", got, err)
	}
}

// TestInterruptOfServer ends a run of a server as Ctrl-C does.
func TestInterruptOfServer(t *testing.T) {
	r, _ := newRunner(t)
	r.Suite = "false"
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	// It is called, and nothing answers.
	r.Caller = client.Client{Name: "go", Dir: t.TempDir(), Run: "sleep 600"}
	s := newReference(t, serving("listening grpc=127.0.0.1:1"), "grpc")
	child := filepath.Join(s.Dir, "child")
	go cancelWhenThere(ctx, cancel, child)
	if _, err := r.RunServer(ctx, s); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
	expectGone(t, child)
}

func TestServerThatIsNotBuilt(t *testing.T) {
	r, progress := newRunner(t)
	s := newReference(t, "touch ran", "grpc")
	s.Build = "echo 'syntax error in line 7'; false"
	result, err := r.RunServer(t.Context(), s)
	if err != nil || !result.Failed() || len(result.Runs) != 0 || !strings.Contains(progress.String(), "    syntax error in line 7\n") {
		t.Errorf("%+v, %v\n%s", result, err, progress)
	}
	if _, err := os.Stat(filepath.Join(s.Dir, "ran")); err == nil {
		t.Error("it was run all the same")
	}
}
