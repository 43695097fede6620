package daemon_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"example.com/tidings/internal/testserver"
	"example.com/tidings/server/internal/daemon"
)

// childConfig names the variable that makes this test binary a server.
const childConfig = "TIDINGS_TEST_SERVER"

func TestMain(m *testing.M) {
	if encoded, child := os.LookupEnv(soakChild); child {
		os.Exit(soakConsumer(encoded))
	}
	run := serve
	encoded, child := os.LookupEnv(childConfig)
	if !child {
		run = runConsumer
		encoded, child = os.LookupEnv(consumerChild)
	}
	if !child {
		os.Exit(m.Run())
	}
	if err := run(encoded); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(encoded string) error {
	var cfg daemon.Config
	if err := json.Unmarshal([]byte(encoded), &cfg); err != nil { //nolint:musttag // Read by who wrote it.
		return err
	}
	level := slog.LevelInfo
	if cfg.LogLevel != "" {
		if err := level.UnmarshalText([]byte(cfg.LogLevel)); err != nil {
			return err
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return daemon.Run(ctx, cfg, slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level})))
}

// process is a server in a process of its own.
type process struct{ *testserver.Server }

// examples is the image of the example events.
const examples = "../../../examples/events/events.binpb"

// start starts a server on free ports, by default with the example events, and
// waits until it serves.
func start(t testing.TB, cfg daemon.Config) *process {
	t.Helper()
	if cfg.Schemas == "" {
		cfg.Schemas = examples
	}
	return startWithout(t, cfg)
}

// startWithout is start without the example events.
func startWithout(t testing.TB, cfg daemon.Config) *process {
	t.Helper()
	cfg.HTTPAddr, cfg.GRPCAddr = "127.0.0.1:0", "127.0.0.1:0"
	encoded, err := json.Marshal(cfg) //nolint:musttag // Read by the same program.
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(context.Background(), self)
	cmd.Env = append(testserver.Environ(), childConfig+"="+string(encoded))
	started, err := testserver.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{&testserver.Server{Process: started}}
	t.Cleanup(func() { p.end(syscall.SIGKILL) })
	if err := p.Await(t.Context(), testserver.ReadyWithin, p.serving); err != nil {
		t.Fatalf("the server: %v\n%s", err, p.Output())
	}
	return p
}

// serving looks in the log for where the server listens.
func (p *process) serving() (bool, error) {
	for line := range strings.Lines(p.Output()) {
		var entry struct {
			Msg  string `json:"msg"`
			HTTP string `json:"http"`
			GRPC string `json:"grpc"`
		}
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "serving" {
			p.HTTP, p.GRPC = entry.HTTP, entry.GRPC
			return true, nil
		}
	}
	return false, nil
}

// end sends a signal and returns the exit code, -1 after a kill.
func (p *process) end(s syscall.Signal) int {
	err := p.StopBy(s, stopWithin)
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		return exit.ExitCode()
	}
	if err != nil {
		return -1
	}
	return 0
}

// pause sends SIGSTOP, and returns when the process stands still: on a busy machine it
// goes on for a while.
func (p *process) pause(t *testing.T) {
	t.Helper()
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for {
		var status syscall.WaitStatus
		_, err := syscall.Wait4(p.Pid(), &status, syscall.WUNTRACED, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || !status.Stopped() {
			t.Fatalf("the process isn't stopped: %v, %v", status, err)
		}
		return
	}
}

// stopWithin is far more than a server takes to end.
const stopWithin = 5 * time.Minute

func (p *process) dial(t testing.TB) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(p.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}
