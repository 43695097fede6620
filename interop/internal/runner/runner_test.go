package runner

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"example.com/tidings/internal/testserver"
	"example.com/tidings/interop/internal/client"
	"example.com/tidings/interop/internal/process"
	"example.com/tidings/interop/internal/scenario"
)

const root = "../../.."

// server is that of all tests, which have topics of their own.
var server *testserver.Server

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		os.Exit(m.Run()) // Those that need the server are skipped.
	}
	if err := testAll(m); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func testAll(m *testing.M) (err error) {
	dir, err := os.MkdirTemp("", "tidings-interop-test-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if server, err = process.StartServer(context.Background(), root, dir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	if status := m.Run(); status != 0 {
		return fmt.Errorf("the tests ended with status %d", status)
	}
	return nil
}

func newRunner(t *testing.T) (r Runner, progress *bytes.Buffer) {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and runs a server and clients")
	}
	values, err := scenario.LoadValues(filepath.Join(root, "interop", "values"))
	if err != nil {
		t.Fatal(err)
	}
	vectors, err := values.Vectors()
	if err != nil {
		t.Fatal(err)
	}
	progress = new(bytes.Buffer)
	return Runner{Server: server, Values: values, Vectors: vectors, Dir: t.TempDir(), Out: progress}, progress
}

// say is a line of shell that prints what a client says: all steps are ok, but for
// those that are given as STEP=WORDS. No words leave the step out.
func say(other ...string) string {
	var script strings.Builder
	for _, step := range scenario.Steps {
		words := "ok"
		for _, o := range other {
			if own, ok := strings.CutPrefix(o, step+"="); ok {
				words = own
			}
		}
		if words != "" {
			script.WriteString("echo '" + step + " " + words + "'; ")
		}
	}
	return script.String()
}

// allButSeen are all steps that the runner verifies, as failed for a reason: what
// is left are those of which the client's word is all there is.
func allButSeen() []string {
	var words []string
	for _, step := range []string{"topic", "publish", "tail", "consume", "golden", "golden-json"} {
		words = append(words, step+"=fail: not tried")
	}
	return words
}

func TestRunsThatFail(t *testing.T) {
	r, _ := newRunner(t)
	for _, test := range []struct {
		name, run     string
		notApplicable map[string]string
		outcomes      map[string]string // Patterns of what failed, by step.
		problem       string            // A pattern of what is wrong with the run or the client.
	}{
		{
			name: "lies", run: say(),
			outcomes: map[string]string{
				"topic": "^the runner: .*TOPIC_NOT_FOUND|^the runner: .*NotFound", "publish": "^the runner: ", "tail": "^the runner: ",
				"consume": "^the runner: .*NotFound", "golden": "^the runner: .* was not written", "golden-json": "^the runner: .* was not written",
			},
		},
		{
			name: "fails", run: say(append(allButSeen(), "read=fail: 3 events, want 5")...) + "exit 1",
			outcomes: map[string]string{"read": "^3 events, want 5$", "topic": "^not tried$"},
		},
		{
			name: "fails-well", run: say(allButSeen()...),
			outcomes: map[string]string{"topic": "^not tried$"}, problem: "status 0, and said that a step failed",
		},
		{
			name: "ends-badly", run: say() + "exit 3",
			outcomes: map[string]string{"topic": "^the runner"}, problem: "exit status 3, and said of no step",
		},
		{
			name: "says-little", run: say(append(allButSeen(), "read=", "cancel=")...) + "exit 1",
			outcomes: map[string]string{"read": "^the client said nothing of it$", "cancel": "^the client said nothing of it$"},
		},
		{
			name: "says-nothing", run: "true",
			outcomes: map[string]string{"topic": "nothing", "cancel": "nothing"},
		},
		{
			name: "leaves-out", run: say(append(allButSeen(), "cancel=n/a: too hard")...) + "exit 1",
			outcomes: map[string]string{"cancel": "doesn't name it, and the client left it out: too hard"},
		},
		{
			name: "leaves-out-less", run: say(allButSeen()...) + "exit 1", notApplicable: map[string]string{"cancel": "too hard"},
			outcomes: map[string]string{"topic": "^not tried$"}, problem: "names cancel, which it did",
		},
		{
			name: "says-more", run: "echo Hello; " + say(allButSeen()...) + "exit 1",
			outcomes: map[string]string{"topic": "^not tried$"}, problem: `a line that isn't one of a step: "Hello"`,
		},
		{
			name: "says-much", run: "head -c 2000000 /dev/zero; exit 1",
			outcomes: map[string]string{"topic": "nothing"}, problem: "token too long|isn't one of a step",
		},
		{
			name: "repeats", run: "echo cancel ok; " + say(allButSeen()...) + "exit 1",
			outcomes: map[string]string{"topic": "^not tried$"}, problem: "two lines for cancel",
		},
		{
			name: "crashes", run: "echo topic ok; kill -SEGV $$",
			outcomes: map[string]string{"topic": "^the runner", "publish": "nothing"}, problem: "it didn't end in order: signal: segmentation fault",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := client.Client{
				Name: test.name, Dir: t.TempDir(), Run: test.run,
				Transports: []string{"grpc"}, NotApplicable: test.notApplicable,
			}
			result, err := r.Run(t.Context(), c)
			if err != nil || len(result.Runs) != 1 || !result.Failed() {
				t.Fatalf("%+v, %v; want one run that failed", result, err)
			}
			run := result.Runs[0]
			for step, pattern := range test.outcomes {
				if got := run.Outcomes[step]; got.State != scenario.Failed || !regexp.MustCompile(pattern).MatchString(got.Reason) {
					t.Errorf("%s: %+v, want it failed with %q", step, got, pattern)
				}
			}
			problems := strings.Join(append(run.Problems, result.Problems...), "\n")
			if (problems != "") != (test.problem != "") || !regexp.MustCompile(test.problem).MatchString(problems) {
				t.Errorf("the problems are %q, want %q", problems, test.problem)
			}
		})
	}
}

// TestClientThatHangs has the time end for a client, with what it started.
func TestClientThatHangs(t *testing.T) {
	r, _ := newRunner(t)
	r.limit = time.Second
	dir := t.TempDir()
	c := client.Client{Name: "hangs", Dir: dir, Run: "sleep 600 & echo $! > child; echo topic ok; wait", Transports: []string{"grpc"}}
	result, err := r.Run(t.Context(), c)
	if err != nil || len(result.Runs) != 1 {
		t.Fatalf("%+v, %v", result, err)
	}
	if problems := strings.Join(result.Runs[0].Problems, "\n"); problems != "it didn't end in order: not done within 1s" {
		t.Errorf("the problems are %q", problems)
	}
	if outcome := result.Runs[0].Outcomes["read"]; outcome.State != scenario.Failed {
		t.Errorf("read: %+v", outcome)
	}
	expectGone(t, filepath.Join(dir, "child"))
}

// TestClientThatLeavesAProcess has a client end before what it started.
func TestClientThatLeavesAProcess(t *testing.T) {
	r, _ := newRunner(t)
	dir := t.TempDir()
	c := client.Client{Name: "leaves", Dir: dir, Run: say(allButSeen()...) + "sleep 600 & echo $! > child; exit 0", Transports: []string{"grpc"}}
	result, err := r.Run(t.Context(), c)
	if err != nil || len(result.Runs) != 1 {
		t.Fatalf("%+v, %v", result, err)
	}
	if problems := strings.Join(result.Runs[0].Problems, "\n"); problems != "it didn't end in order: it left a process that holds its output" {
		t.Errorf("the problems are %q", problems)
	}
	expectGone(t, filepath.Join(dir, "child"))
}

// TestInterrupt ends a build and a run as Ctrl-C does.
func TestInterrupt(t *testing.T) {
	r, _ := newRunner(t)
	const script = "sleep 600 & echo $! > child.new; mv child.new child; wait"
	for name, c := range map[string]client.Client{
		"building": {Build: script, Run: "true"},
		"running":  {Run: script},
	} {
		t.Run(name, func(t *testing.T) {
			c.Name, c.Dir, c.Transports = name, t.TempDir(), []string{"grpc"}
			child := filepath.Join(c.Dir, "child")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go cancelWhenThere(ctx, cancel, child)
			if _, err := r.Run(ctx, c); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v, want that of the context", err)
			}
			expectGone(t, child)
		})
	}
}

// cancelWhenThere cancels ctx as soon as there is a file.
func cancelWhenThere(ctx context.Context, cancel context.CancelFunc, file string) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if _, err := os.Stat(file); err == nil || ctx.Err() != nil {
			cancel()
			return
		}
	}
}

// expectGone wants the process that a file names to have ended.
func expectGone(t *testing.T, file string) {
	t.Helper()
	pid, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	// Whoever adopted it may not have taken notice of its end yet.
	gone := regexp.MustCompile(`(?m)^State:\s+[ZX]`)
	tick, end := time.NewTicker(10*time.Millisecond), time.After(10*time.Second)
	defer tick.Stop()
	for {
		status, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/status")
		if err != nil || gone.Match(status) {
			return
		}
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("the process is there still:\n%s", status)
		}
	}
}

func TestBuildThatFails(t *testing.T) {
	r, progress := newRunner(t)
	c := client.Client{Name: "broken", Dir: t.TempDir(), Build: "echo 'syntax error in line 7'; false", Run: "touch ran", Transports: []string{"grpc"}}
	result, err := r.Run(t.Context(), c)
	if err != nil || !result.Failed() || len(result.Runs) != 0 {
		t.Errorf("%+v, %v", result, err)
	}
	if !strings.Contains(progress.String(), "    syntax error in line 7\n") {
		t.Errorf("the log isn't shown:\n%s", progress)
	}
	if _, err := os.Stat(filepath.Join(c.Dir, "ran")); err == nil {
		t.Error("it was run all the same")
	}
}

// TestVariables wants a client to get its variables, and nothing of the runner's.
func TestVariables(t *testing.T) {
	t.Setenv("TIDINGS_SERVER", "elsewhere")
	t.Setenv("MAKEFLAGS", "--no-builtin-rules")
	r, _ := newRunner(t)
	r.Protos = "/protos"
	dir := t.TempDir()
	c := client.Client{
		Name: "prints", Dir: dir, Build: "env > build.env", Transports: []string{"grpc-web"},
		Run: `env > run.env; ls "$TIDINGS_OUT" > out; ls "$TIDINGS_GOLDEN" > golden; echo hello >&2; exit 1`,
	}
	if _, err := r.Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	for file, want := range map[string][]string{
		"build.env": {"TIDINGS_PROTOS=/protos\n"},
		"run.env": {
			"TIDINGS_URL=http://" + r.Server.HTTP + "\n", "TIDINGS_GRPC=" + r.Server.GRPC + "\n",
			"TIDINGS_TRANSPORT=grpc-web\n", "TIDINGS_TOPIC=interop-prints-grpc-web\n",
		},
		"golden": {"full-tidings.conformance.v1.EveryKind.binpb\n", "unicode-tidings.conformance.v1.EveryKind.json\n"},
	} {
		text := read(file)
		for _, line := range want {
			if !strings.Contains(text, line) {
				t.Errorf("%s has no %q:\n%s", file, line, text)
			}
		}
		if strings.Contains(text, "TIDINGS_SERVER=") || strings.Contains(text, "MAKEFLAGS=") {
			t.Errorf("%s has what is none of its business:\n%s", file, text)
		}
	}
	if read("out") != "" {
		t.Errorf("TIDINGS_OUT holds %q", read("out"))
	}
}
