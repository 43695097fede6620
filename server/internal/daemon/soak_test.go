package daemon_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/tidings/server/internal/daemon"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

const (
	soakDuration  = "TIDINGS_SOAK"      // How long events are published, as a duration.
	soakSeed      = "TIDINGS_SOAK_SEED" // What a run prints as its seed, to repeat its choices.
	soakShort     = 6 * time.Second
	soakConsumers = 8
	soakKeys      = 400
	soakAttempts  = 4
	soakDrain     = 10 * time.Minute // Far more than it takes to settle what is left.
)

// soak is a server that is killed, consumers that are killed, and what was
// published.
type soak struct {
	t       *testing.T
	cfg     daemon.Config
	log     string
	random  *rand.Rand
	started int // Consumers that were started.
	crashes int // Of the server.

	mu        sync.Mutex
	server    *process
	clients   clients
	published map[int64]*tidingsv1.Event
}

// Eight consumers in processes of their own ack, nack, time out, crash and
// come back at random, through all doors, while events are published and the
// server is killed again and again. Every event ends as acknowledged or as a
// dead letter.
func TestSoak(t *testing.T) {
	if testing.Short() && os.Getenv(soakDuration) == "" {
		t.Skip("kills servers and consumers under load")
	}
	t.Parallel()
	for storage := range storages { // One after the other: each takes the whole machine.
		t.Run(storage, func(t *testing.T) { soakOn(t, storage) })
	}
}

func soakOn(t *testing.T, storage string) {
	t.Helper()
	duration, kills := soakShort, 1
	if text := os.Getenv(soakDuration); text != "" {
		var err error
		if duration, err = time.ParseDuration(text); err != nil {
			t.Fatalf("%s: %v", soakDuration, err)
		}
		kills = 3
	}
	seed := rand.Uint64() //nolint:gosec // Not a secret.
	if text := os.Getenv(soakSeed); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s: %v", soakSeed, err)
		}
	}
	t.Logf("soak for %v, seed %d", duration, seed)
	s := startSoak(t, storage, seed)
	consumers := make([]*soakProcess, soakConsumers)
	for i := range consumers {
		consumers[i] = s.consumer(i)
	}
	publishing, stop := context.WithCancel(t.Context())
	var publishers sync.WaitGroup
	for i := range 4 {
		random := rand.New(rand.NewPCG(seed, uint64(1000+i))) //nolint:gosec // A seed makes a run repeatable.
		publishers.Go(func() { s.publish(publishing, i, random) })
	}
	end := time.After(duration)
	serverKill := time.NewTicker(duration / time.Duration(kills+1))
	defer serverKill.Stop()
	consumerKill := time.NewTicker(time.Second)
	defer consumerKill.Stop()
	for running := true; running; {
		select {
		case <-end:
			running = false
		case <-serverKill.C:
			if s.crashes < kills {
				s.crash()
			}
		case <-consumerKill.C:
			i := s.random.IntN(len(consumers))
			consumers[i].kill()
			consumers[i] = s.consumer(i)
		}
	}
	stop()
	publishers.Wait()
	s.drain()
	for _, c := range consumers {
		c.kill()
	}
	for _, name := range soakSubscriptions {
		s.check(name)
	}
	t.Logf("%d consumer processes were killed, the server %d times; repeat the choices of this run with seed %d", s.started, s.crashes, seed)
	if code := s.server.end(syscall.SIGTERM); code != 0 || strings.Contains(s.server.Output(), "internal error") {
		t.Errorf("exit code %d: %s", code, s.server.Output())
	}
}

// soakSubscriptions are the names of the subscriptions, by their ordering.
var soakSubscriptions = map[tidingsv1.Ordering]string{
	tidingsv1.Ordering_ORDERING_KEY:  "by-key",
	tidingsv1.Ordering_ORDERING_NONE: "unordered",
}

func startSoak(t *testing.T, storage string, seed uint64) *soak {
	t.Helper()
	dir := t.TempDir()
	s := &soak{
		t: t, cfg: daemon.DefaultConfig(), log: filepath.Join(dir, "log"), published: make(map[int64]*tidingsv1.Event),
		random: rand.New(rand.NewPCG(seed, 0)), //nolint:gosec // A seed makes a run repeatable.
	}
	s.cfg.ReadyFile = filepath.Join(dir, "ready.json")
	storages[storage](t, &s.cfg)
	if err := os.WriteFile(s.log, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.server = start(t, s.cfg)
	s.clients = s.server.clients(t)
	if _, err := s.clients.topics.CreateTopic(t.Context(), &tidingsv1.CreateTopicRequest{Topic: &tidingsv1.Topic{Name: work}}); err != nil {
		t.Fatal(err)
	}
	for ordering, name := range soakSubscriptions {
		_, err := s.clients.subscriptions.CreateSubscription(t.Context(), &tidingsv1.CreateSubscriptionRequest{Subscription: &tidingsv1.Subscription{
			Name: name, Topic: work, Ordering: ordering, AckDeadline: durationpb.New(soakDeadline),
			RetryPolicy: &tidingsv1.RetryPolicy{
				MinBackoff: durationpb.New(50 * time.Millisecond), MaxBackoff: durationpb.New(400 * time.Millisecond), Attempts: &tidingsv1.RetryPolicy_MaxAttempts{MaxAttempts: soakAttempts},
			},
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// crash kills the server and starts it again.
func (s *soak) crash() {
	s.t.Helper()
	s.server.end(syscall.SIGKILL)
	s.crashes++
	server := start(s.t, s.cfg)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.server, s.clients = server, server.clients(s.t)
}

func (s *soak) now() clients {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clients
}

// publish publishes until the context ends, each request until it is answered.
func (s *soak) publish(ctx context.Context, number int, random *rand.Rand) {
	pace := time.NewTicker(25 * time.Millisecond)
	defer pace.Stop()
	for count := 0; ctx.Err() == nil; {
		request := &tidingsv1.PublishRequest{Topic: work}
		for range 1 + random.IntN(5) {
			request.Events = append(request.Events, keyed(fmt.Sprint(number, "-", count), random.IntN(soakKeys)))
			count++
		}
		var response *tidingsv1.PublishResponse
		var err error
		for {
			if response, err = s.now().publisher.Publish(s.t.Context(), request); err == nil {
				break
			}
			if s.t.Context().Err() != nil {
				return
			}
			<-pace.C
		}
		s.mu.Lock()
		for i, receipt := range response.GetReceipts() {
			s.published[receipt.GetSequence()] = request.GetEvents()[i]
		}
		s.mu.Unlock()
		<-pace.C
	}
}

// drain waits until nothing is left to be settled. The consumers go on as badly
// as before.
func (s *soak) drain() {
	s.t.Helper()
	poll := time.NewTicker(100 * time.Millisecond)
	defer poll.Stop()
	bound := time.After(soakDrain)
	for _, name := range soakSubscriptions {
		for {
			response, err := s.now().subscriptions.GetSubscription(s.t.Context(), &tidingsv1.GetSubscriptionRequest{Name: name})
			if err != nil {
				s.t.Fatal(err)
			}
			left := response.GetSubscription().GetStatistics()
			if left.GetBacklogEvents()+left.GetInFlightEvents()+left.GetRetryingEvents()+left.GetBlockedEvents() == 0 {
				break
			}
			select {
			case <-poll.C:
			case <-bound:
				s.t.Fatalf("%s: %v is left", name, left)
			}
		}
	}
}

// soakProcess is a consumer.
type soakProcess struct {
	cmd   *exec.Cmd
	stdin io.Closer // It ends when this does.
}

// consumer starts a consumer.
func (s *soak) consumer(number int) *soakProcess {
	s.t.Helper()
	s.started++
	cfg := soakConsumerConfig{ReadyFile: s.cfg.ReadyFile, Log: s.log, Number: number, Seed: s.random.Uint64()}
	for _, ordering := range []tidingsv1.Ordering{tidingsv1.Ordering_ORDERING_KEY, tidingsv1.Ordering_ORDERING_NONE} {
		cfg.Subscriptions = append(cfg.Subscriptions, soakSubscriptions[ordering])
	}
	encoded, err := json.Marshal(cfg) //nolint:musttag // Read by the same program.
	if err != nil {
		s.t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	p := &soakProcess{cmd: exec.CommandContext(context.Background(), self)}
	p.cmd.Env = append(os.Environ(), soakChild+"="+string(encoded))
	p.cmd.Stderr = os.Stderr
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		s.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(p.kill)
	return p
}

func (p *soakProcess) kill() {
	_ = p.cmd.Process.Signal(syscall.SIGKILL) // It may have been killed.
	_ = p.cmd.Wait()
	_ = p.stdin.Close()
}
