package daemon_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"example.com/tidings/server/internal/daemon"
)

// childConfig names the variable that makes this test binary a server.
const childConfig = "TIDINGS_TEST_SERVER"

func TestMain(m *testing.M) {
	if encoded, child := os.LookupEnv(soakChild); child {
		os.Exit(soakConsumer(encoded))
	}
	encoded, child := os.LookupEnv(childConfig)
	if !child {
		os.Exit(m.Run())
	}
	if err := serve(encoded); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(encoded string) error {
	var cfg daemon.Config
	if err := json.Unmarshal([]byte(encoded), &cfg); err != nil { //nolint:musttag // Read by who wrote it.
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return daemon.Run(ctx, cfg, slog.New(slog.NewJSONHandler(os.Stderr, nil)))
}

// output is what a process has written so far.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) add(line string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	fmt.Fprintln(&o.text, line)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// process is a server in a process of its own.
type process struct {
	cmd  *exec.Cmd
	http string
	grpc string
	log  *output // Complete once the process has ended.
	done chan struct{}

	waited sync.Once
}

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
	p := &process{cmd: exec.CommandContext(context.Background(), self), log: new(output), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), childConfig+"="+string(encoded))
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	serving := make(chan struct{})
	go p.follow(stderr, serving)
	t.Cleanup(func() { p.end(syscall.SIGKILL) })
	select {
	case <-serving:
	case <-p.done:
		t.Fatalf("the server ended: %s", p.log)
	}
	return p
}

// follow reads the log until the process ends.
func (p *process) follow(stderr io.Reader, serving chan<- struct{}) {
	defer close(p.done)
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		p.log.add(lines.Text())
		var entry struct {
			Msg  string `json:"msg"`
			HTTP string `json:"http"`
			GRPC string `json:"grpc"`
		}
		if json.Unmarshal(lines.Bytes(), &entry) == nil && entry.Msg == "serving" {
			p.http, p.grpc = entry.HTTP, entry.GRPC
			close(serving)
		}
	}
}

// end sends a signal and returns the exit code, -1 after a kill.
func (p *process) end(s syscall.Signal) int {
	_ = p.cmd.Process.Signal(s) // It may have ended.
	<-p.done
	p.waited.Do(func() { _ = p.cmd.Wait() })
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) dial(t testing.TB) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(p.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}
