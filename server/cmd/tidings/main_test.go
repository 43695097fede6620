package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"example.com/tidings/server/internal/compat/buftest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"tidings": main})
}

// waitTimeout is how long a script waits for something to happen.
const waitTimeout = 2 * time.Minute

// TestScripts runs the command as a user would. Beside testscript's own
// commands, a script has:
//
//	ready [tls]        wait for the server that serve.yaml starts; set TIDINGS_SERVER and GRPC
//	status N CMD ...   run a command, which must exit with status N
//	waitfor FILE RE    wait until the contents of a file match
//	copies N IN OUT    write the lines of IN N times, with N in the place of %d
//	signal INT TEXT    send SIGINT, or TERM SIGTERM, to the background command whose command line contains TEXT
//	exited N TEXT      check with which status a command that got a signal exited, after `wait`
//
// and in BUF the path of the pinned Buf, without -short.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setup,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"ready":   ready,
			"status":  status,
			"waitfor": waitfor,
			"copies":  copies,
			"signal":  signal,
			"exited":  exited,
		},
	})
}

// signalled is the key under which a script keeps the commands that it sent a
// signal.
type signalled struct{}

func setup(env *testscript.Env) error {
	// With the race detector every process would sleep for a second at its end.
	env.Setenv("GORACE", "atexit_sleep_ms=0")
	env.Values[signalled{}] = make(map[string]*exec.Cmd)
	if !testing.Short() {
		buf, err := buftest.Path()
		if err != nil {
			return err
		}
		env.Setenv("BUF", buf)
	}
	env.Setenv("BUF_CACHE_DIR", filepath.Join(env.WorkDir, "buf-cache"))
	examples, err := filepath.Abs("../../../examples/events/events.binpb")
	if err != nil {
		return err
	}
	config := fmt.Sprintf("http-addr: 127.0.0.1:0\ngrpc-addr: 127.0.0.1:0\ndata-dir: %[1]s/data\nready-file: %[1]s/ready.json\nschemas: %[2]s\n", env.WorkDir, examples)
	return os.WriteFile(filepath.Join(env.WorkDir, "serve.yaml"), []byte(config), 0o600)
}

// until calls done until it returns true or too much time has passed.
func until(ts *testscript.TestScript, what string, done func() bool) {
	ctx, cancel := context.WithTimeout(context.Background(), waitTimeout)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			ts.Fatalf("waited %s for %s", waitTimeout, what)
		}
	}
}

func ready(ts *testscript.TestScript, neg bool, args []string) {
	secured := len(args) == 1 && args[0] == "tls"
	if neg || len(args) != 0 && !secured {
		ts.Fatalf("usage: ready [tls]")
	}
	var at struct {
		HTTP string `json:"http"`
		GRPC string `json:"grpc"`
	}
	until(ts, "ready.json", func() bool {
		contents, err := os.ReadFile(ts.MkAbs("ready.json"))
		if errors.Is(err, os.ErrNotExist) {
			return false
		}
		ts.Check(err)
		ts.Check(json.Unmarshal(contents, &at))
		return true
	})
	if secured { // Its certificate is for localhost, whatever the addresses.
		ts.Setenv("TIDINGS_SERVER", "https://localhost"+at.HTTP[strings.LastIndexByte(at.HTTP, ':'):])
		ts.Setenv("GRPC", "grpcs://localhost"+at.GRPC[strings.LastIndexByte(at.GRPC, ':'):])
		return
	}
	ts.Setenv("TIDINGS_SERVER", "http://"+at.HTTP)
	ts.Setenv("GRPC", "grpc://"+at.GRPC)
}

func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N command...")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit status %d, want %s", got, args[0])
	}
}

func waitfor(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: waitfor file regexp")
	}
	want := regexp.MustCompile("(?m)" + args[1])
	until(ts, args[0]+" to match "+args[1], func() bool {
		contents, err := os.ReadFile(ts.MkAbs(args[0]))
		return err == nil && want.Match(contents)
	})
}

func copies(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: copies N in out")
	}
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	in := ts.ReadFile(args[1])
	number := regexp.MustCompile("%d")
	var out []byte
	for i := 1; i <= n; i++ {
		out = append(out, number.ReplaceAllString(in, strconv.Itoa(i))...)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), out, 0o600))
}

func signal(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]os.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM}
	if neg || len(args) != 2 || signals[args[0]] == nil {
		ts.Fatalf("usage: signal INT|TERM text")
	}
	for _, cmd := range ts.BackgroundCmds() {
		if strings.Contains(strings.Join(cmd.Args, " "), args[1]) {
			ts.Value(signalled{}).(map[string]*exec.Cmd)[args[1]] = cmd
			ts.Check(cmd.Process.Signal(signals[args[0]]))
			return
		}
	}
	ts.Fatalf("no background command contains %s", args[1])
}

func exited(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: exited N text")
	}
	cmd := ts.Value(signalled{}).(map[string]*exec.Cmd)[args[1]]
	if cmd == nil || cmd.ProcessState == nil {
		ts.Fatalf("%s got no signal or has not been waited for", args[1])
	}
	if got := cmd.ProcessState.ExitCode(); strconv.Itoa(got) != args[0] {
		ts.Fatalf("%s exited with status %d, want %s", args[1], got, args[0])
	}
}
