package daemon_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/tidings/server/internal/daemon"
	"example.com/tidings/server/internal/engine/jetstream/natstest"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// replicas are two servers on one outside NATS server. The first owns the
// subscription, because it was asked first.
type replicas struct {
	nats       *natstest.Server
	owner      *process
	other      *process
	first, far clients // Of the owner, and of the other.
}

func startReplicas(t *testing.T, ordering tidingsv1.Ordering, change ...func(*tidingsv1.Subscription)) *replicas {
	t.Helper()
	r := &replicas{nats: outside(t)}
	cfg := daemon.DefaultConfig()
	cfg.DataDir, cfg.NATSURL = "", natstest.URL(r.nats)
	r.owner, r.other = start(t, cfg), start(t, cfg)
	r.first, r.far = r.owner.clients(t), r.other.clients(t)
	newWork(t, r.first, ordering, change...)
	expectIdle(t, r.first, 0) // The owner answers.
	return r
}

// What is delivered through one server and door is settled through another, and
// a repetition is told from an ack that changes something.
func TestReplicasSettleForEachOther(t *testing.T) {
	t.Parallel()
	r := startReplicas(t, tidingsv1.Ordering_ORDERING_NONE)
	sequences := publishWork(t, r.far, 40, 5)
	near := consume(t.Context(), t, r.first, &tidingsv1.ConsumeOpen{Window: &tidingsv1.FlowControl{MaxEvents: 10}})
	far := consume(t.Context(), t, r.far, &tidingsv1.ConsumeOpen{Window: &tidingsv1.FlowControl{MaxEvents: 10}})
	got := [][]*tidingsv1.Delivery{near.next(10), far.next(10), pull(t, r.first, 10), pull(t, r.far, 10)}
	var all []*tidingsv1.Delivery
	for _, part := range got {
		all = append(all, part...)
	}
	expectSame(t, all, sequences)
	expectAttempt(t, 1, all)
	if s := statistics(t, r.far); s.GetInFlightEvents() != 40 || s.GetConsumers() != 2 {
		t.Errorf("the other server shows %v, want 40 leased and 2 consumers", s)
	}
	far.settle(applied, acks(got[0])...)
	near.settle(applied, acks(got[1])...)
	settle(t, r.far, applied, acks(got[2])...)
	settle(t, r.first, applied, acks(got[3])...)
	for _, c := range []clients{r.first, r.far} {
		settle(t, c, alreadyApplied, acks(all)...)
		settle(t, c, leaseLost, nack(all[0], new(tidingsv1.Nack)))
		expectIdle(t, c, 0)
	}
	// Both windows are free again.
	publishWork(t, r.first, 20, 5)
	near.settle(applied, acks(near.next(10))...)
	far.settle(applied, acks(far.next(10))...)
}

// With many keys and consumers at both servers, at most one event of a key is
// unsettled at any time, and the first deliveries of a key are in order.
func TestReplicasKeepTheOrderOfKeys(t *testing.T) {
	t.Parallel()
	const events, keys, consumers = 2000, 50, 6
	r := startReplicas(t, tidingsv1.Ordering_ORDERING_KEY)
	sequences := publishWork(t, r.first, events, keys)
	o := &orderKeeper{unsettled: make(map[string]int64), latest: make(map[string]int64), tries: make(map[int64]int32)}
	var wait sync.WaitGroup
	for i := range consumers {
		c := []clients{r.first, r.far}[i%2]
		wait.Go(func() {
			for !o.finished(events) {
				response, err := c.consumer.Pull(t.Context(), &tidingsv1.PullRequest{
					Subscription: work, MaxEvents: 20, MaxWait: durationpb.New(100 * time.Millisecond),
				})
				if err != nil {
					t.Error(err)
					return
				}
				var settlements []*tidingsv1.Settlement
				for j, d := range response.GetDeliveries() {
					if err := o.delivered(d); err != nil {
						t.Error(err)
					}
					if (int64(j)+d.GetRecorded().GetSequence())%7 == 0 && d.GetAttempt() < 3 {
						settlements = append(settlements, nack(d, new(tidingsv1.Nack)))
						o.settling(d, false)
						continue
					}
					settlements = append(settlements, ack(d))
					o.settling(d, true)
				}
				if len(settlements) == 0 {
					continue
				}
				settled, err := c.consumer.Settle(t.Context(), &tidingsv1.SettleRequest{Subscription: work, Settlements: settlements})
				if err != nil {
					t.Error(err)
					return
				}
				for j, result := range settled.GetResults() {
					if result.GetStatus() != applied {
						t.Errorf("settlement %d: %s", j, result.GetStatus())
					}
				}
			}
		})
	}
	wait.Wait()
	if got := o.finishedCount(); got != len(sequences) {
		t.Errorf("%d of %d events were acknowledged", got, len(sequences))
	}
	expectIdle(t, r.far, 0)
}

// orderKeeper notes what consumers are given, before they settle it.
type orderKeeper struct {
	mu        sync.Mutex
	unsettled map[string]int64 // The unsettled event of a key.
	latest    map[string]int64 // The last event of a key.
	tries     map[int64]int32  // The last attempt of an event.
	acked     int
}

func (o *orderKeeper) delivered(d *tidingsv1.Delivery) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	key, sequence := d.GetRecorded().GetEvent().GetPartitionKey(), d.GetRecorded().GetSequence()
	if key == "" {
		return errors.New("an event has no key")
	}
	if other, busy := o.unsettled[key]; busy {
		return fmt.Errorf("key %s: event %d is delivered while %d is unsettled", key, sequence, other)
	}
	if sequence < o.latest[key] {
		return fmt.Errorf("key %s: event %d is delivered after %d", key, sequence, o.latest[key])
	}
	if want := o.tries[sequence] + 1; d.GetAttempt() != want {
		return fmt.Errorf("event %d is delivered with attempt %d, want %d", sequence, d.GetAttempt(), want)
	}
	o.unsettled[key], o.latest[key], o.tries[sequence] = sequence, sequence, d.GetAttempt()
	return nil
}

func (o *orderKeeper) settling(d *tidingsv1.Delivery, acked bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.unsettled, d.GetRecorded().GetEvent().GetPartitionKey())
	if acked {
		o.acked++
	}
}

func (o *orderKeeper) finishedCount() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.acked
}

func (o *orderKeeper) finished(want int) bool { return o.finishedCount() >= want }

// A seek through one server holds for the consumers at the other: nothing from
// before it is delivered or settled once it has returned.
func TestReplicasSeekForEachOther(t *testing.T) {
	t.Parallel()
	r := startReplicas(t, tidingsv1.Ordering_ORDERING_NONE)
	sequences := publishWork(t, r.first, 300, 10)
	// The consumers are at one server, the seek at the other, both ways round.
	for i, sides := range [][2]clients{{r.first, r.far}, {r.far, r.first}} {
		s := consume(t.Context(), t, sides[0], &tidingsv1.ConsumeOpen{Window: &tidingsv1.FlowControl{MaxEvents: 100}})
		before := s.next(100)
		s.settle(applied, acks(before[:50])...)
		previous := seek(t, sides[1], &tidingsv1.StartPosition{Position: &tidingsv1.StartPosition_Sequence{Sequence: sequences[200]}})
		settle(t, sides[i], leaseLost, acks(before)...)
		// The rest of the frames from before the seek come first on the stream.
		var after []*tidingsv1.Delivery
		late := 0
		for len(after) < 100 {
			d := s.next(1)[0]
			if d.GetRecorded().GetSequence() < sequences[200] {
				late++
				s.settle(leaseLost, ack(d))
				continue
			}
			s.settle(applied, ack(d))
			after = append(after, d)
		}
		if late > 50 { // What the window had room for after the acks.
			t.Errorf("%d deliveries from before the seek", late)
		}
		expectAttempt(t, 1, after)
		expectSame(t, after, sequences[200:])
		expectIdle(t, sides[1], 0)
		if err := s.stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		s.end()
		seek(t, sides[0], previous)
		expectSame(t, pull(t, sides[1], 50), sequencesOf(before[50:]))
		seek(t, sides[0], &tidingsv1.StartPosition{Position: &tidingsv1.StartPosition_Boundary{
			Boundary: tidingsv1.StartBoundary_START_BOUNDARY_EARLIEST,
		}})
	}
}
