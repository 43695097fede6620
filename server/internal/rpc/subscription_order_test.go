package rpc_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	ordersv1 "example.com/tidings/examples/events/gen/shop/orders/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

var (
	byKey = ordered(tidingsv1.Ordering_ORDERING_KEY)
	total = ordered(tidingsv1.Ordering_ORDERING_TOTAL)
)

// keys gives events partition keys, in turn.
func keys(list ...string) func(int, *tidingsv1.Event) {
	return func(i int, e *tidingsv1.Event) { e.PartitionKey = &list[i%len(list)] }
}

// keyless is an event of a type that gives no key.
func keyless(t *testing.T, id string) *tidingsv1.Event {
	t.Helper()
	return event(t, id, &ordersv1.Money{CurrencyCode: "EUR", MinorUnits: 1})
}

// wantBlocked fails the test unless the statistics count so many events that
// are leased, and that are blocked by an earlier one.
func wantBlocked(t *testing.T, c client, subscription string, leased, blocked, blockedKeys int64) {
	t.Helper()
	got := show(t, c, subscription).GetStatistics()
	if got.GetInFlightEvents() != leased || got.GetBlockedEvents() != blocked || got.GetBlockedKeys() != blockedKeys {
		t.Fatalf("the statistics are %v, want %d leased, %d blocked of %d keys", got, leased, blocked, blockedKeys)
	}
}

func TestOrderByKey(t *testing.T) {
	t.Run("one of a key", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c, byKey)
		events := publishN(t, c, topic, 9, keys("a", "b", "c"))
		for round := range 3 {
			got := pullNow(t, c, s)
			wantIDs(t, got, events[3*round:3*round+3]...)
			blockedKeys := int64(3)
			if round == 2 {
				blockedKeys = 0
			}
			wantBlocked(t, c, s, 3, int64(6-3*round), blockedKeys)
			wantNothing(t, c, s)
			ackAll(t, c, s, got...)
		}
		wantBlocked(t, c, s, 0, 0, 0)
	}))
	for name, test := range map[string]struct {
		how  *tidingsv1.Nack
		next int // Of the events of the key; what comes after the first was nacked.
	}{
		"a retry blocks":          {retryLate, -1},
		"a release blocks":        {releasedLate, -1},
		"a retry at once":         {retryAtOnce, 0},
		"a release at once":       {released, 0},
		"a dead letter unblocks":  {toDeadLetter, 1},
		"a dropped event unblock": {dropped, 1},
	} {
		t.Run(name, some(func(t *testing.T, c client) {
			topic, s := newSubscribed(t, c, byKey)
			events := publishN(t, c, topic, 4, keys("a", "a", "a", "b"))
			got := pullNow(t, c, s)
			wantIDs(t, got, events[0], events[3])
			wantSettled(t, c, s, applied, nack(got[0].GetDeliveryToken(), test.how))
			if test.next < 0 {
				wantNothing(t, c, s)
				wantBlocked(t, c, s, 1, 2, 1)
				return
			}
			wantIDs(t, pullNow(t, c, s), events[test.next])
			wantNothing(t, c, s)
			wantBlocked(t, c, s, 2, int64(2-test.next), 1)
		}))
	}
	t.Run("a redriven event waits its turn", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c, byKey)
		events := publishN(t, c, topic, 3, keys("a"))
		bury(t, c, s, 1)
		second := pullNow(t, c, s)
		wantIDs(t, second, events[1])
		redrive(t, c, s, nil, 1)
		wantNothing(t, c, s)
		ackAll(t, c, s, second...)
		rest := pullNow(t, c, s)
		if len(rest) != 1 {
			t.Fatalf("%v are unsettled at once", idsOf(rest))
		}
		ackAll(t, c, s, rest...)
		last := pullNow(t, c, s)
		ackAll(t, c, s, last...)
		if got := append(idsOf(rest), idsOf(last)...); !slices.Contains(got, events[0].GetId()) || !slices.Contains(got, events[2].GetId()) {
			t.Errorf("then came %v", got)
		}
	}))
	t.Run("without a key", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c, byKey)
		events := []*tidingsv1.Event{keyless(t, "1"), keyless(t, "2"), keyless(t, "3")}
		publish(t, c, topic, events...)
		wantIDs(t, pullNow(t, c, s), events...)
		wantBlocked(t, c, s, 3, 0, 0)
	}))
	t.Run("after a seek", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c, byKey)
		events := publishN(t, c, topic, 3, keys("a"))
		pull(t, c, s, 1)
		seek(t, c, s, fromEarliest)
		got := pullNow(t, c, s)
		wantIDs(t, got, events[0])
		wantBlocked(t, c, s, 1, 2, 1)
	}))
	t.Run("over several consumers", some(orderOverConsumers))
}

// orderOverConsumers shares keyed events among consumers that ack and nack, and
// looks at all they do in one place: at most one event of a key is with a
// consumer, and first attempts come in order.
func orderOverConsumers(t *testing.T, c client) {
	const consumers, keyCount, count = 4, 5, 100
	topic, s := newSubscribed(t, c, byKey, backoffNone, ackWithin(time.Hour))
	publishN(t, c, topic, count, func(i int, e *tidingsv1.Event) { e.PartitionKey = new(fmt.Sprint("key-", i%keyCount)) })
	var mu sync.Mutex
	unsettled := make(map[string]string) // Ids by key.
	last := make(map[string]int64)
	settled := 0
	ctx := testContext(t)
	var working sync.WaitGroup
	for consumer := range consumers {
		working.Go(func() {
			for {
				mu.Lock()
				done := settled == count || t.Failed()
				mu.Unlock()
				if done {
					return
				}
				response, err := c.Pull(ctx, &tidingsv1.PullRequest{Subscription: s, MaxEvents: 3, MaxWait: durationpb.New(50 * time.Millisecond)})
				if err != nil {
					t.Error(err)
					return
				}
				for i, d := range response.GetDeliveries() {
					key, id := d.GetRecorded().GetEvent().GetPartitionKey(), d.GetRecorded().GetEvent().GetId()
					sequence := d.GetRecorded().GetSequence()
					mu.Lock()
					if other := unsettled[key]; other != "" {
						t.Errorf("%s of %s is delivered before %s is settled", id, key, other)
					}
					if d.GetAttempt() == 1 && sequence <= last[key] {
						t.Errorf("%d of %s comes after %d", sequence, key, last[key])
					}
					unsettled[key], last[key] = id, sequence
					mu.Unlock()
					settlement := ack(d.GetDeliveryToken())
					if again := d.GetAttempt() == 1 && (i+consumer)%2 == 0; again {
						settlement = nack(d.GetDeliveryToken(), nil)
					}
					mu.Lock()
					delete(unsettled, key) // From here on the next one may come.
					mu.Unlock()
					results, err := c.Settle(ctx, &tidingsv1.SettleRequest{Subscription: s, Settlements: []*tidingsv1.Settlement{settlement}})
					if err != nil || results.GetResults()[0].GetStatus() != applied {
						t.Errorf("settling: %v, %v", results, err)
						return
					}
					if settlement.GetAck() != nil {
						mu.Lock()
						settled++
						mu.Unlock()
					}
				}
			}
		})
	}
	working.Wait()
	if !t.Failed() {
		wantDead(t, c, s, 0, 0)
	}
}

func TestOrderTotal(t *testing.T) {
	t.Run("one by one", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c, total)
		events := publishN(t, c, topic, 4)
		for _, want := range events {
			got := pullNow(t, c, s)
			wantIDs(t, got, want)
			wantNothing(t, c, s)
			wantSettled(t, c, s, applied, nack(got[0].GetDeliveryToken(), retryAtOnce))
			got = pullNow(t, c, s)
			wantIDs(t, got, want)
			wantAttempt(t, got[0], 2, "")
			ackAll(t, c, s, got...)
		}
		wantNothing(t, c, s)
	}))
	t.Run("what waits holds up all", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c, total)
		publishN(t, c, topic, 2)
		wantSettled(t, c, s, applied, nack(pull(t, c, s, 1)[0].GetDeliveryToken(), retryLate))
		wantNothing(t, c, s)
	}))
	t.Run("a dead letter doesn't", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c, total)
		events := publishN(t, c, topic, 3)
		bury(t, c, s, 1)
		got := pullNow(t, c, s)
		wantIDs(t, got, events[1])
		redrive(t, c, s, nil, 1)
		wantNothing(t, c, s)
		ackAll(t, c, s, got...)
		wantIDs(t, pullNow(t, c, s), events[0])
		wantNothing(t, c, s)
	}))
	for _, d := range streams {
		t.Run("in a wide window/"+d.name, some(func(t *testing.T, c client) {
			topic, s := newSubscribed(t, c, total)
			events := publishN(t, c, topic, 20)
			stream, _ := d.open(t, c, s, nil)
			for _, want := range events {
				got := stream.next()
				wantIDs(t, []*tidingsv1.Delivery{got}, want)
				if leased := show(t, c, s).GetStatistics().GetInFlightEvents(); leased != 1 {
					t.Fatalf("%d are leased", leased)
				}
				wantStatuses(t, statuses(stream.settle(ack(got.GetDeliveryToken()))), applied)
			}
		}, d.need...))
	}
}
