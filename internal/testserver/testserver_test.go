//go:build unix

package testserver_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/tidings/internal/testserver"
)

// childVariable makes this test binary a server of one of the kinds below.
const childVariable = "TESTSERVER_CHILD"

func TestMain(m *testing.M) {
	if kind := os.Getenv(childVariable); kind != "" {
		os.Exit(child(kind))
	}
	os.Exit(m.Run())
}

// child is a server that behaves in one way, until it gets a signal.
func child(kind string) int {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	fmt.Println("a line on standard output")
	fmt.Fprintln(os.Stderr, "a line on standard error")
	switch kind {
	case "ends":
		return 3
	case "never ready":
		<-stop
		return 0
	}
	if err := testserver.Ready("127.0.0.1:" + fmt.Sprint(os.Getpid())); err != nil {
		return 1
	}
	if kind == "deaf" {
		signal.Ignore(os.Interrupt, syscall.SIGTERM)
		select {}
	}
	fmt.Println("stopped by", <-stop)
	signal.Reset() // A second signal ends it at once.
	if kind == "takes its time" {
		done := make(chan os.Signal, 1)
		signal.Notify(done, syscall.SIGUSR1)
		fmt.Println("stopping")
		<-done
	}
	if kind == "ends badly" {
		return 1
	}
	return 0
}

// command is one that runs a child, until the context ends.
func command(ctx context.Context, t *testing.T, kind string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(testserver.Environ(), childVariable+"="+kind)
	return cmd
}

func serve(ctx context.Context, t *testing.T, kind string) *testserver.Server {
	t.Helper()
	server, err := testserver.Serve(t.Context(), command(ctx, t, kind))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Kill() })
	return server
}

func wantOutput(t *testing.T, got string, want ...string) {
	t.Helper()
	for _, line := range want {
		if !strings.Contains(got, line) {
			t.Errorf("got\n%s\nwithout %q", got, line)
		}
	}
}

func TestServerRunsUntilItIsStopped(t *testing.T) {
	server := serve(context.Background(), t, "well behaved")
	if want := fmt.Sprint("127.0.0.1:", server.Pid()); server.GRPC != want || server.HTTP != "" {
		t.Errorf("it serves at %q and %q, want %q for gRPC alone", server.GRPC, server.HTTP, want)
	}
	if err := server.Ended(); err != nil {
		t.Errorf("before it was stopped: %v", err)
	}
	for range 2 { // It may be stopped again.
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	}
	<-server.Done()
	if err := server.Ended(); err == nil || err.Error() != "it ended with status 0" {
		t.Errorf("when it was stopped: %v", err)
	}
	wantOutput(t, server.Output(), "a line on standard output", "a line on standard error", "stopped by interrupt")
}

func TestContextOfTheCommandEndsTheServer(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	server := serve(ctx, t, "well behaved")
	cancel()
	<-server.Done()
	if err := server.Stop(); err != nil {
		t.Error(err)
	}
	wantOutput(t, server.Output(), "stopped by terminated")
}

// What a test cleans up by Stop was asked by the end of the test's context already.
func TestStopAfterTheContextIsNoSecondSignal(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	server := serve(ctx, t, "takes its time")
	cancel()
	if err := server.Await(t.Context(), testserver.StopWithin, func() (bool, error) {
		return strings.Contains(server.Output(), "stopping"), nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(server.Ask(os.Interrupt), server.Signal(syscall.SIGUSR1), server.Stop()); err != nil {
		t.Error(err)
	}
	wantOutput(t, server.Output(), "stopped by terminated")
}

func TestServerThatEndsBeforeItServes(t *testing.T) {
	server, err := testserver.Serve(t.Context(), command(t.Context(), t, "ends"))
	if !errors.Is(err, testserver.ErrEnded) {
		t.Fatalf("got %v, want ErrEnded", err)
	}
	wantOutput(t, err.Error(), "exit status 3", "a line on standard error")
	wantOutput(t, server.Output(), "a line on standard error")
}

func TestWaitForAServerEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	want := errors.New("no more time")
	cancel(want)
	server, err := testserver.Serve(ctx, command(context.Background(), t, "never ready"))
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
	if server.Ended() == nil {
		t.Error("it runs on")
	}
}

func TestServerThatEndsBadly(t *testing.T) {
	server := serve(t.Context(), t, "ends badly")
	err := server.Stop()
	if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Fatalf("got %v, want exit status 1", err)
	}
	wantOutput(t, err.Error(), "stopped by interrupt")
}

func TestServerThatDoesNotStopIsKilled(t *testing.T) {
	server := serve(t.Context(), t, "deaf")
	if err := server.StopBy(syscall.SIGTERM, 10*time.Millisecond); !errors.Is(err, testserver.ErrNotStopped) {
		t.Errorf("got %v, want ErrNotStopped", err)
	}
	if server.Ended() == nil {
		t.Error("it runs on")
	}
}

func TestWhatAProcessLeavesBehindIsKilled(t *testing.T) {
	// The child holds the pipe until it ends.
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = read.Close() }()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "trap '' INT TERM; sleep 3600 & echo started")
	cmd.Stdout, cmd.Stderr = write, write
	process, err := testserver.Start(cmd)
	if err := errors.Join(err, write.Close()); err != nil {
		t.Fatal(err)
	}
	<-process.Done()
	if err := read.SetReadDeadline(time.Now().Add(testserver.StopWithin)); err != nil {
		t.Fatal(err)
	}
	var output strings.Builder
	buffer := make([]byte, 64)
	for err == nil {
		var n int
		n, err = read.Read(buffer)
		output.Write(buffer[:n])
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("what it started runs on")
	}
	wantOutput(t, output.String(), "started")
}

func TestBuild(t *testing.T) {
	module := t.TempDir()
	source := filepath.Join(module, "cmd", "hello", "main.go")
	if err := os.MkdirAll(filepath.Dir(source), 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(module, "go.mod"), "module example.com/hello\n\ngo 1.26.0\n")
	write(source, "package main\n\nfunc main() { println(\"hello\") }\n")
	program, err := testserver.Build(t.Context(), module, "hello", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if output, err := exec.CommandContext(t.Context(), program).CombinedOutput(); string(output) != "hello\n" {
		t.Errorf("it prints %q: %v", output, err)
	}
	write(source, "package main\n\nfunc main() { undefined() }\n")
	if _, err := testserver.Build(t.Context(), module, "hello", t.TempDir()); err == nil || !strings.Contains(err.Error(), "undefined: undefined") {
		t.Errorf("got %v, want what the compiler says", err)
	}
}

func TestEnvironLeavesOutWhatSetsUpAServer(t *testing.T) {
	t.Setenv("TIDINGS_DATA_DIR", "/nowhere")
	t.Setenv("MAKEFLAGS", "-n")
	t.Setenv("TESTSERVER_KEPT", "kept")
	environ := testserver.Environ()
	if !slices.Contains(environ, "TESTSERVER_KEPT=kept") {
		t.Error("TESTSERVER_KEPT isn't there")
	}
	for _, variable := range environ {
		if strings.HasPrefix(variable, "TIDINGS_") || strings.HasPrefix(variable, "MAKEFLAGS=") {
			t.Errorf("%s is there", variable)
		}
	}
}
