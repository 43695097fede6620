package daemon_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/tidings/client"
	"example.com/tidings/internal/testserver"
	"example.com/tidings/server/internal/daemon"

	ordersv1 "example.com/tidings/examples/events/gen/shop/orders/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// consumerChild names the variable that makes this test binary a program with a
// consumer of the Go client.
const consumerChild = "TIDINGS_TEST_CLIENT"

// consumerConfig is what such a program is told.
type consumerConfig struct {
	ReadyFile string // Of the server: where it listens.
	Log       string // What was handled, by all of them.
	Connect   bool   // Or gRPC.
}

// runConsumer consumes until a signal.
func runConsumer(encoded string) error {
	var cfg consumerConfig
	if err := json.Unmarshal([]byte(encoded), &cfg); err != nil { //nolint:musttag // Read by who wrote it.
		return err
	}
	log, err := os.OpenFile(cfg.Log, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	c, err := cfg.client()
	if err != nil {
		return err
	}
	options := client.ConsumerOptions{Concurrency: 8, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	return c.Consumer(work, options).Run(ctx, client.Handle(func(ctx context.Context, order *ordersv1.OrderCancelled, d *client.Delivery) error {
		if _, err := fmt.Fprintf(log, "%s %d %d\n", order.GetOrderId(), d.GetRecorded().GetSequence(), d.GetAttempt()); err != nil {
			return err
		}
		wait(ctx, time.Millisecond)
		if d.GetRecorded().GetSequence()%40 == 0 && d.GetAttempt() == 1 {
			return errors.New("busy")
		}
		return nil
	}))
}

// client returns a client of the server wherever it listens by now.
func (c consumerConfig) client() (*client.Client, error) {
	dial := func(ctx context.Context, address func(*testserver.Server) string) (net.Conn, error) {
		content, err := os.ReadFile(c.ReadyFile)
		if err != nil {
			return nil, err
		}
		var server testserver.Server
		if err := json.Unmarshal(content, &server); err != nil {
			return nil, err
		}
		return new(net.Dialer).DialContext(ctx, "tcp", address(&server))
	}
	if c.Connect {
		protocols := new(http.Protocols)
		protocols.SetUnencryptedHTTP2(true)
		return client.NewConnect(&http.Client{Transport: &http.Transport{
			Protocols: protocols,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dial(ctx, func(s *testserver.Server) string { return s.HTTP })
			},
		}}, "http://localhost"), nil
	}
	conn, err := grpc.NewClient("passthrough:///server", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return dial(ctx, func(s *testserver.Server) string { return s.GRPC })
		}))
	if err != nil {
		return nil, err
	}
	return client.New(conn), nil
}

// Programs with a consumer are killed under load, and the server too. No event is
// lost, none is handled twice in the same attempt, and those of a key come in order.
func TestConsumersOfTheGoClientLoseNothing(t *testing.T) {
	onEach(t, testConsumersLoseNothing)
}

func testConsumersLoseNothing(t *testing.T, storage string) {
	t.Helper()
	dir := t.TempDir()
	s := &single{t: t, cfg: daemon.DefaultConfig()}
	storages[storage](t, &s.cfg)
	s.cfg.ReadyFile = filepath.Join(dir, "ready.json")
	s.restart()
	newWork(t, s.clients, tidingsv1.Ordering_ORDERING_KEY, func(s *tidingsv1.Subscription) { s.AckDeadline = durationpb.New(3 * time.Second) })
	cfg := consumerConfig{ReadyFile: s.cfg.ReadyFile, Log: filepath.Join(dir, "log")}
	if err := os.WriteFile(cfg.Log, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	programs := []*testserver.Process{startConsumer(t, cfg, false), startConsumer(t, cfg, true)}

	var published []int64
	for round := range 4 {
		before := len(handledLines(t, cfg.Log))
		published = append(published, publishWork(t, s.clients, 400, 20)...)
		await(t, func() bool { return len(handledLines(t, cfg.Log)) > before+100 })
		if round%2 == 0 {
			s.crash()
			continue
		}
		if err := programs[round/2].Kill(); err != nil {
			t.Fatal(err)
		}
		programs[round/2] = startConsumer(t, cfg, round/2 == 1)
		s.crash()
	}
	await(t, func() bool {
		got := statistics(t, s.clients)
		return got.GetBacklogEvents() == 0 && got.GetInFlightEvents() == 0 && got.GetRetryingEvents() == 0 && got.GetBlockedEvents() == 0
	})
	for _, program := range programs {
		if err := program.StopBy(syscall.SIGTERM, stopWithin); err != nil {
			t.Errorf("a consumer ended with %v: %s", err, program.Output())
		}
	}
	checkHandled(t, handledLines(t, cfg.Log), published)
}

// checkHandled checks the lines about what was handled.
func checkHandled(t *testing.T, lines []string, published []int64) {
	t.Helper()
	seen, attempts, last := make(map[int64]bool), make(map[string]bool), make(map[string]int64)
	for _, line := range lines {
		var key string
		var sequence int64
		var attempt int32
		if _, err := fmt.Sscan(line, &key, &sequence, &attempt); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if attempts[line] {
			t.Errorf("handled twice in one attempt: %s", line)
		}
		if last[key] > sequence {
			t.Errorf("%s comes after %d", line, last[key])
		}
		seen[sequence], attempts[line], last[key] = true, true, sequence
	}
	if missing := slices.DeleteFunc(published, func(sequence int64) bool { return seen[sequence] }); len(missing) > 0 {
		t.Errorf("%d events are lost: %v", len(missing), missing)
	}
	t.Logf("%d events were handled in %d attempts", len(seen), len(lines))
}

func startConsumer(t *testing.T, cfg consumerConfig, connect bool) *testserver.Process {
	t.Helper()
	cfg.Connect = connect
	encoded, err := json.Marshal(cfg) //nolint:musttag // Read by the same program.
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(context.Background(), self)
	cmd.Env = append(testserver.Environ(), consumerChild+"="+string(encoded))
	p, err := testserver.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Kill() })
	return p
}

// handledLines are the lines that the consumers have written, without one that a death
// tore.
func handledLines(t *testing.T, log string) []string {
	t.Helper()
	content, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(content), "\n")
	return lines[:len(lines)-1]
}

// await waits until a condition holds.
func await(t *testing.T, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(2 * time.Minute); !holds(); {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("it doesn't come to that")
		}
	}
}
