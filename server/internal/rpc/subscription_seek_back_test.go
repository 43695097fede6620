package rpc_test

import (
	"fmt"
	"slices"
	"testing"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// wantBack fails the test unless a seek to the end and one back to where the
// subscription was deliver some events, and reading from there gives them too.
func wantBack(t *testing.T, c client, topic, s string, want []*tidingsv1.Event) {
	t.Helper()
	previous := fromCursor(sought(t, c, s, fromNew).GetPreviousCursor())
	if len(want) == 0 {
		wantNothing(t, c, s)
	}
	for range 2 {
		var read []string
		for _, e := range openRead(t, c, &tidingsv1.ReadRequest{Topic: topic, Start: previous, Stop: stopCaughtUp}).untilEnd().events {
			read = append(read, e.GetEvent().GetId())
		}
		if !slices.Equal(read, ids(want)) {
			t.Errorf("from the cursor are read %v, want %v", read, ids(want))
		}
		seek(t, c, s, previous)
		// Nothing is settled: that is where it is again.
		previous = fromCursor(sought(t, c, s, previous).GetPreviousCursor())
	}
	var got []string
	for {
		next := pullNow(t, c, s)
		if len(next) == 0 {
			break
		}
		got = append(got, idsOf(next)...)
		ackAll(t, c, s, next...)
	}
	slices.Sort(got) // With an order by key, some wait for others.
	if want := slices.Sorted(slices.Values(ids(want))); !slices.Equal(got, want) {
		t.Errorf("delivered are %v, want %v", got, want)
	}
}

func TestSeekBack(t *testing.T) {
	for _, ordering := range []tidingsv1.Ordering{tidingsv1.Ordering_ORDERING_NONE, tidingsv1.Ordering_ORDERING_KEY} {
		t.Run(ordering.String(), each(func(t *testing.T, c client) {
			topic, s := newSubscribed(t, c, ordered(ordering))
			events := publishN(t, c, topic, 10, func(i int, e *tidingsv1.Event) { e.PartitionKey = new(fmt.Sprint(i % 7)) })
			held := pull(t, c, s, 6)
			token := func(i int) string { return held[i].GetDeliveryToken() }
			wantSettled(t, c, s, applied, ack(token(0)), nack(token(1), retryLate), ack(token(2)), nack(token(3), toDeadLetter), nack(token(4), dropped))
			wantBack(t, c, topic, s, events[1:])
			wantDead(t, c, s, 1, 0)
			wantBack(t, c, topic, s, nil) // Everything is settled.
			wantBack(t, c, topic, s, publishN(t, c, topic, 3))
		}))
	}
	t.Run("with what was redriven", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c)
		events := publishN(t, c, topic, 3)
		bury(t, c, s, 1)
		ackAll(t, c, s, pull(t, c, s, 1)...)
		redrive(t, c, s, nil, 1) // It was settled once.
		wantBack(t, c, topic, s, events[2:])
		wantLetters(t, c, s, nil, events[0])
	}))
}
