package daemon_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// takeover is a subscription with three parts of its events: acknowledged,
// failed once, and leased to a consumer of each server.
type takeover struct {
	acked, failed, leased []*tidingsv1.Delivery
	near, far             *consumption
	left                  []int64 // The events that nobody was given.
}

const (
	takeoverEvents = 400
	takeoverPart   = 100
)

func (r *replicas) beforeTakeover(t *testing.T) *takeover {
	t.Helper()
	sequences := publishWork(t, r.first, takeoverEvents, 20)
	b := new(takeover)
	b.acked = pull(t, r.far, takeoverPart)
	settle(t, r.first, applied, acks(b.acked)...)
	b.failed = pull(t, r.first, takeoverPart)
	for _, d := range b.failed {
		settle(t, r.far, applied, nack(d, &tidingsv1.Nack{Reason: "busy", Delay: durationpb.New(time.Hour)}))
	}
	// Each consumer has half of the leased events; the window lets no more come.
	window := &tidingsv1.FlowControl{MaxEvents: takeoverPart / 2}
	b.near = consume(t.Context(), t, r.first, &tidingsv1.ConsumeOpen{Window: window})
	b.far = consume(t.Context(), t, r.far, &tidingsv1.ConsumeOpen{Window: window})
	b.leased = append(b.near.next(takeoverPart/2), b.far.next(takeoverPart/2)...)
	b.left = sequences[len(b.acked)+len(b.failed)+len(b.leased):]
	return b
}

// afterTakeover checks, through a server that is left, that nothing was lost
// and nothing counts twice.
func (b *takeover) afterTakeover(t *testing.T, c clients) {
	t.Helper()
	// The consumers come back with what they hold.
	window := &tidingsv1.FlowControl{MaxEvents: takeoverPart}
	s := consume(t.Context(), t, c, &tidingsv1.ConsumeOpen{Window: window, HeldDeliveryTokens: tokens(b.leased)})
	s.held(applied, len(b.leased))
	settle(t, c, alreadyApplied, acks(b.acked)...)
	if got := statistics(t, c); got.GetInFlightEvents() != takeoverPart || got.GetRetryingEvents() != takeoverPart {
		t.Errorf("after the takeover: %v, want %d leased and retrying", got, takeoverPart)
	}
	// What is held fills the window: nothing new comes before it is settled.
	s.settle(applied, acks(b.leased)...)
	rest := s.next(len(b.left))
	expectSame(t, rest, b.left)
	expectAttempt(t, 1, rest)
	s.settle(applied, acks(rest)...)
	if got := statistics(t, c); got.GetInFlightEvents()+got.GetBacklogEvents() != 0 || got.GetRetryingEvents() != takeoverPart {
		t.Errorf("in the end: %v, want nothing but %d retrying", got, takeoverPart)
	}
}

// longDeadline is one that doesn't pass during a test.
func longDeadline(s *tidingsv1.Subscription) { s.AckDeadline = durationpb.New(time.Hour) }

// When the owner is killed the other server goes on where it was: what is
// leased stays leased, and what is settled stays settled.
func TestReplicaTakesOverFromKilledOwner(t *testing.T) {
	t.Parallel()
	r := startReplicas(t, tidingsv1.Ordering_ORDERING_NONE, longDeadline)
	b := r.beforeTakeover(t)
	r.owner.end(syscall.SIGKILL)
	if code := b.near.end(); code != codes.Unavailable {
		t.Errorf("the stream of the dead server ended with %s", code)
	}
	if code := b.far.end(); code != codes.Unavailable {
		t.Errorf("the stream whose owner is dead ended with %s", code)
	}
	b.afterTakeover(t, r.far)
}

// An owner that is told to stop lets its own streams end and gives the
// subscription away before it is gone.
func TestReplicaTakesOverFromStoppingOwner(t *testing.T) {
	t.Parallel()
	r := startReplicas(t, tidingsv1.Ordering_ORDERING_NONE, longDeadline)
	b := r.beforeTakeover(t)
	stopped := make(chan int, 1)
	go func() { stopped <- r.owner.end(syscall.SIGTERM) }()
	if code := b.near.end(); code != codes.Unavailable || !b.near.drained {
		t.Errorf("the stream of the stopping server ended with %s, told that it drains: %t", code, b.near.drained)
	}
	if code := <-stopped; code != 0 {
		t.Errorf("exit code %d: %s", code, r.owner.Output())
	}
	if code := b.far.end(); code != codes.Unavailable {
		t.Errorf("the stream whose owner is gone ended with %s", code)
	}
	b.afterTakeover(t, r.far)
	if log := r.other.Output(); strings.Contains(log, "internal error") {
		t.Errorf("the other server: %s", log)
	}
}

// An owner that stands still long enough to be taken for dead doesn't count any
// more when it moves again: what it thinks it knows settles nothing.
func TestStoppedOwnerIsFenced(t *testing.T) {
	t.Parallel()
	r := startReplicas(t, tidingsv1.Ordering_ORDERING_NONE, longDeadline)
	sequences := publishWork(t, r.first, 30, 3)
	old := pull(t, r.first, 10)
	settle(t, r.first, applied, acks(old[:5])...)
	near := consume(t.Context(), t, r.first, &tidingsv1.ConsumeOpen{Window: &tidingsv1.FlowControl{MaxEvents: 5}})
	streamed := near.next(5)
	r.owner.pause(t)
	// The other server waits for an answer, and takes over. It delivers what the
	// first one knows as undelivered.
	fresh := pull(t, r.far, 15)
	expectSame(t, fresh, sequences[15:])
	expectAttempt(t, 1, fresh)
	settle(t, r.far, applied, acks(old[5:])...)
	settle(t, r.far, applied, nack(fresh[0], new(tidingsv1.Nack)))
	again := pull(t, r.far, 1)
	expectSame(t, again, sequencesOf(fresh[:1]))
	expectAttempt(t, 2, again)
	if err := r.owner.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	// Through the first one, every answer is what the second one knows.
	settle(t, r.first, alreadyApplied, acks(old)...)
	settle(t, r.first, leaseLost, ack(fresh[0]))
	settle(t, r.first, applied, acks(again)...)
	settle(t, r.first, applied, acks(fresh[1:])...)
	if code := near.end(); code != codes.Unavailable {
		t.Errorf("the stream of the fenced owner ended with %s", code)
	}
	if len(near.pending) > 0 {
		t.Errorf("the fenced owner delivered %d events", len(near.pending))
	}
	near = consume(t.Context(), t, r.first, &tidingsv1.ConsumeOpen{HeldDeliveryTokens: tokens(streamed)})
	near.held(applied, 5)
	near.settle(applied, acks(streamed)...)
	expectIdle(t, r.first, 0)
	expectIdle(t, r.far, 0)
}

// consumeOne publishes an event and delivers it.
func consumeOne(t *testing.T, c clients) []*tidingsv1.Delivery {
	t.Helper()
	publishWork(t, c, 1, 1)
	return pull(t, c, 1)
}

// A fenced owner whose subscription is at rest has nothing to write, and still
// answers nothing from what it knew.
func TestFencedOwnerAtRestAnswersNothing(t *testing.T) {
	t.Parallel()
	r := startReplicas(t, tidingsv1.Ordering_ORDERING_NONE, longDeadline)
	settle(t, r.first, applied, acks(consumeOne(t, r.first))...) // Used just now: that isn't worth a note either.
	r.owner.pause(t)
	sequences := publishWork(t, r.far, 3, 1)
	fresh := pull(t, r.far, 3)
	expectSame(t, fresh, sequences)
	if err := r.owner.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if got := statistics(t, r.first).GetInFlightEvents(); got != 3 {
		t.Errorf("the fenced owner shows %d leased events, want 3", got)
	}
	settle(t, r.first, applied, acks(fresh)...)
	expectIdle(t, r.far, 0)
}

// The restart of NATS costs nobody anything: streams go on or are opened anew,
// and what was told before holds after it.
func TestReplicasSurviveRestartOfNATS(t *testing.T) {
	t.Parallel()
	r := startReplicas(t, tidingsv1.Ordering_ORDERING_NONE, longDeadline)
	b := r.beforeTakeover(t)
	r.nats.End()
	if _, err := r.first.consumer.Settle(t.Context(), &tidingsv1.SettleRequest{
		Subscription: work, Settlements: acks(b.leased[:1]),
	}); err != nil && status.Code(err) != codes.Unavailable {
		t.Errorf("settling without NATS: %v", err)
	}
	r.nats.Restart(t)
	for _, c := range []clients{r.first, r.far} {
		for { // Each server connects again in its own time.
			_, err := c.subscriptions.GetSubscription(t.Context(), &tidingsv1.GetSubscriptionRequest{Name: work})
			if err == nil {
				break
			}
			if status.Code(err) != codes.Unavailable {
				t.Fatal(err)
			}
		}
	}
	// The one that was settled without NATS is settled now, or still leased.
	response, err := r.far.consumer.Settle(t.Context(), &tidingsv1.SettleRequest{Subscription: work, Settlements: acks(b.leased[:1])})
	if err != nil {
		t.Fatal(err)
	}
	if got := response.GetResults()[0].GetStatus(); got != applied && got != alreadyApplied {
		t.Errorf("settling again: %s", got)
	}
	settle(t, r.first, applied, acks(b.leased[1:])...)
	settle(t, r.far, alreadyApplied, acks(b.acked)...)
	rest := pull(t, r.far, 1)
	for len(rest) < len(b.left) {
		rest = append(rest, pull(t, r.first, 1)...)
	}
	expectSame(t, rest, b.left)
}
