package daemon_test

import (
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/tidings/server/internal/daemon"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// single is a server with a storage of its own that can be killed.
type single struct {
	t      *testing.T
	cfg    daemon.Config
	server *process
	clients
}

func startSingle(t *testing.T, storage string, ordering tidingsv1.Ordering, change ...func(*tidingsv1.Subscription)) *single {
	t.Helper()
	s := &single{t: t, cfg: daemon.DefaultConfig()}
	storages[storage](t, &s.cfg)
	s.server = start(t, s.cfg)
	s.clients = s.server.clients(t)
	newWork(t, s.clients, ordering, change...)
	return s
}

// crash kills the server and starts it again.
func (s *single) crash() {
	s.t.Helper()
	s.server.end(syscall.SIGKILL)
	s.restart()
}

func (s *single) restart() {
	s.t.Helper()
	s.server = start(s.t, s.cfg)
	s.clients = s.server.clients(s.t)
}

// What is settled stays so over crashes, what is leased stays leased to who has
// its token, and attempts count on.
func TestLeasesSurviveCrashes(t *testing.T) { onEach(t, testLeasesSurviveCrashes) }

func testLeasesSurviveCrashes(t *testing.T, storage string) {
	t.Helper()
	for _, ordering := range []tidingsv1.Ordering{tidingsv1.Ordering_ORDERING_NONE, tidingsv1.Ordering_ORDERING_KEY} {
		t.Run(ordering.String(), func(t *testing.T) {
			t.Parallel()
			s := startSingle(t, storage, ordering, longDeadline)
			const events = 100
			sequences := publishWork(t, s.clients, events, events)
			var settled, open []*tidingsv1.Delivery
			for round := range int32(4) {
				deliveries := pull(t, s.clients, events-len(settled)-len(open))
				expectAttempt(t, round+1, deliveries)
				// A tenth is acknowledged, a tenth stays leased, the others fail,
				// some of them in a way that isn't counted.
				acked, kept, failed := deliveries[:10], deliveries[10:20], deliveries[20:]
				settle(t, s.clients, applied, acks(acked)...)
				for _, d := range failed {
					settle(t, s.clients, applied, nack(d, &tidingsv1.Nack{Kind: tidingsv1.NackKind_NACK_KIND_RELEASE}))
				}
				again := pull(t, s.clients, len(failed))
				expectSame(t, again, sequencesOf(failed))
				expectAttempt(t, round+1, again)
				for _, d := range again {
					settle(t, s.clients, applied, nack(d, &tidingsv1.Nack{Reason: "busy"}))
				}
				settled, open = append(settled, acked...), append(open, kept...)
				s.crash()
				settle(t, s.clients, alreadyApplied, acks(settled)...)
				settle(t, s.clients, leaseLost, acks(failed)...)
				if got := statistics(t, s.clients).GetInFlightEvents(); got != int64(len(open)) {
					t.Fatalf("%d events are leased after the crash, want %d", got, len(open))
				}
			}
			rest := pull(t, s.clients, events-len(settled)-len(open))
			for _, d := range rest {
				if d.GetLastNackReason() != "busy" {
					t.Errorf("event %d: the last reason is %q", d.GetRecorded().GetSequence(), d.GetLastNackReason())
				}
			}
			expectSame(t, append(append(rest, settled...), open...), sequences)
			settle(t, s.clients, applied, acks(rest)...)
			// The consumer comes back to a stream with what it holds.
			c := consume(t.Context(), t, s.clients, &tidingsv1.ConsumeOpen{HeldDeliveryTokens: tokens(open)})
			c.held(applied, len(open))
			s.crash()
			c.end()
			settle(t, s.clients, applied, acks(open)...)
			expectIdle(t, s.clients, 0)
		})
	}
}

// Deadlines pass while the server is gone: what a token can't settle any more
// comes again, with the next attempt.
func TestDeadlinesPassDuringCrashes(t *testing.T) { onEach(t, testDeadlinesPassDuringCrashes) }

func testDeadlinesPassDuringCrashes(t *testing.T, storage string) {
	t.Helper()
	s := startSingle(t, storage, tidingsv1.Ordering_ORDERING_TOTAL, func(s *tidingsv1.Subscription) { s.AckDeadline = durationpb.New(time.Second) })
	sequences := publishWork(t, s.clients, 2, 1)
	var old []*tidingsv1.Delivery
	for attempt := range int32(3) {
		d := pull(t, s.clients, 1)
		expectSame(t, d, sequences[:1])
		expectAttempt(t, attempt+1, d)
		old = append(old, d...)
		s.crash()
	}
	last := pull(t, s.clients, 1)
	expectSame(t, last, sequences[:1])
	expectAttempt(t, 4, last)
	settle(t, s.clients, leaseLost, acks(old)...)
	settle(t, s.clients, applied, extend(last[0], time.Hour))
	s.crash()
	settle(t, s.clients, applied, acks(last)...)
	expectSame(t, pull(t, s.clients, 1), sequences[1:])
}

// A seek that was answered holds after a crash, and so does the way back.
func TestSeekSurvivesCrash(t *testing.T) { onEach(t, testSeekSurvivesCrash) }

func testSeekSurvivesCrash(t *testing.T, storage string) {
	t.Helper()
	s := startSingle(t, storage, tidingsv1.Ordering_ORDERING_NONE, longDeadline)
	sequences := publishWork(t, s.clients, 100, 10)
	for _, to := range []int{50, 0, 90} {
		before := pull(t, s.clients, 10)
		settle(t, s.clients, applied, acks(before[:5])...)
		previous := seek(t, s.clients, &tidingsv1.StartPosition{Position: &tidingsv1.StartPosition_Sequence{Sequence: sequences[to]}})
		s.crash()
		settle(t, s.clients, leaseLost, acks(before)...)
		after := pull(t, s.clients, 10)
		expectSame(t, after, sequences[to:to+10])
		expectAttempt(t, 1, after)
		s.crash()
		settle(t, s.clients, applied, acks(after)...)
		seek(t, s.clients, previous)
		s.crash()
		again := pull(t, s.clients, 5)
		expectSame(t, again, sequencesOf(before[5:]))
		settle(t, s.clients, applied, acks(again)...)
	}
}

// seek moves the subscription and returns where it was.
func seek(t *testing.T, c clients, to *tidingsv1.StartPosition) *tidingsv1.StartPosition {
	t.Helper()
	response, err := c.subscriptions.SeekSubscription(t.Context(), &tidingsv1.SeekSubscriptionRequest{Name: work, Position: to})
	if err != nil {
		t.Fatal(err)
	}
	return &tidingsv1.StartPosition{Position: &tidingsv1.StartPosition_Cursor{Cursor: response.GetPreviousCursor()}}
}

// So many settlements that the journal is compacted again and again, and
// crashes at any time between: what was answered with APPLIED holds, and every
// event is delivered.
func TestCompactedJournalSurvivesCrashes(t *testing.T) {
	onEach(t, testCompactedJournalSurvivesCrashes)
}

func testCompactedJournalSurvivesCrashes(t *testing.T, storage string) {
	t.Helper()
	s := startSingle(t, storage, tidingsv1.Ordering_ORDERING_KEY, func(s *tidingsv1.Subscription) { s.AckDeadline = durationpb.New(3 * time.Second) })
	seed := rand.Uint64() //nolint:gosec // Not a secret.
	t.Logf("seed %d", seed)
	c := &churn{
		random:   rand.New(rand.NewPCG(seed, 0)), //nolint:gosec // A seed makes a run repeatable.
		acked:    make(map[int64]bool),
		attempts: make(map[int64]int32),
	}
	const events, crashes = 3000, 4
	publishWork(t, s.clients, events, events)
	for crash := 0; len(c.acked) < events; crash++ {
		// The server dies under way, having answered some number of settlements.
		enough, answered := events/3+c.random.IntN(events/3), 0
		var once sync.Once
		for len(c.acked) < events {
			n, err := c.round(t, s.clients)
			if status.Code(err) == codes.Unavailable && crash < crashes {
				s.crash()
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if answered += n; answered >= enough && crash < crashes {
				once.Do(func() { _ = s.server.Kill() })
			}
		}
		if crash > crashes {
			t.Fatalf("%d events of %d are acknowledged", len(c.acked), events)
		}
	}
	expectIdle(t, s.clients, 0)
	if c.written < 4<<20 {
		t.Errorf("the journal grew by %d bytes only: it was hardly compacted", c.written)
	}
}

// churn is a consumer that fails a lot, with a lot of reason.
type churn struct {
	random   *rand.Rand
	acked    map[int64]bool  // The events whose ack was answered.
	attempts map[int64]int32 // The last attempt of each.
	written  int             // The bytes of the reasons.
}

// round takes some events and settles them, and returns how many answers it
// got.
func (c *churn) round(t *testing.T, on clients) (int, error) {
	t.Helper()
	response, err := on.consumer.Pull(t.Context(), &tidingsv1.PullRequest{
		Subscription: work, MaxEvents: 200, MaxWait: durationpb.New(5 * time.Second),
	})
	if err != nil {
		return 0, err
	}
	request := &tidingsv1.SettleRequest{Subscription: work}
	reason := strings.Repeat("because ", 128)
	for _, d := range response.GetDeliveries() {
		sequence := d.GetRecorded().GetSequence()
		if c.acked[sequence] {
			t.Errorf("event %d is delivered after its ack was applied", sequence)
		}
		if d.GetAttempt() <= c.attempts[sequence] {
			t.Errorf("event %d is delivered with attempt %d after %d", sequence, d.GetAttempt(), c.attempts[sequence])
		}
		c.attempts[sequence] = d.GetAttempt()
		if d.GetAttempt() < 3 || c.random.IntN(2) == 0 {
			request.Settlements = append(request.Settlements, nack(d, &tidingsv1.Nack{Reason: reason}))
			c.written += len(reason)
			continue
		}
		request.Settlements = append(request.Settlements, ack(d))
	}
	if len(request.GetSettlements()) == 0 {
		return 0, nil
	}
	settled, err := on.consumer.Settle(t.Context(), request)
	for i, result := range settled.GetResults() {
		switch result.GetStatus() {
		case applied:
			if request.GetSettlements()[i].GetAck() != nil {
				c.acked[response.GetDeliveries()[i].GetRecorded().GetSequence()] = true
			}
		case leaseLost, transient: // Too late, or the server is dying.
		default:
			t.Errorf("settlement %d: %s", i, result.GetStatus())
		}
	}
	return len(settled.GetResults()), err
}
