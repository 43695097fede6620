package rpc_test

import (
	"fmt"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// duplicates counts the receipts that belong to an earlier request.
func duplicates(receipts []*tidingsv1.Receipt) (count int) {
	for _, receipt := range receipts {
		if receipt.GetDuplicate() {
			count++
		}
	}
	return count
}

// wantSame fails the test unless receipts are those of before, given again.
func wantSame(t *testing.T, before, again []*tidingsv1.Receipt) {
	t.Helper()
	if !slices.Equal(sequences(before), sequences(again)) || duplicates(again) != len(before) {
		t.Errorf("again: %v, first: %v", again, before)
	}
}

func TestDedupeByRequest(t *testing.T) {
	t.Run("same content, other encoding", some(func(t *testing.T, c client) {
		topic, events := newTopic(t, c), []*tidingsv1.Event{withAttributes(t, "a")}
		first := publish(t, c, topic, events...)
		for range 10 { // Each encodes the map in some order.
			wantSame(t, first, publish(t, c, topic, proto.CloneOf(events[0])))
		}
	}))
}

// reordered is an event with the fields of its payload in the opposite order.
func reordered(t *testing.T, e *tidingsv1.Event) *tidingsv1.Event {
	t.Helper()
	e = proto.CloneOf(e)
	var value []byte
	for rest := e.GetData().GetValue(); len(rest) > 0; {
		_, _, n := protowire.ConsumeField(rest)
		value, rest = append(slices.Clone(rest[:n]), value...), rest[n:]
	}
	if slices.Equal(value, e.GetData().GetValue()) {
		t.Fatal("it has one field")
	}
	e.Data.Value = value
	return e
}

// withAttributes is an event whose attributes may be encoded in many orders.
func withAttributes(t *testing.T, id string) *tidingsv1.Event {
	t.Helper()
	e := event(t, id, placed("o"))
	e.Attributes = make(map[string]string)
	for i := range 12 {
		e.Attributes[fmt.Sprintf("name%d", i)] = fmt.Sprint(i)
	}
	return e
}

func TestDedupeByEvent(t *testing.T) {
	t.Run("same content, other encoding", some(func(t *testing.T, c client) {
		topic, e := newTopic(t, c, byEvent), withAttributes(t, "a")
		first := publish(t, c, topic, e)
		for range 10 {
			wantSame(t, first, publish(t, c, topic, proto.CloneOf(e)))
		}
	}))
	t.Run("same contents, other encodings", some(func(t *testing.T, c client) {
		topic, events := newTopic(t, c, byEvent), orders(t, "a", 20)
		first := append(publish(t, c, topic, events[:9]...), publish(t, c, topic, events[9:]...)...)
		again := slices.Clone(events)
		for i := range again {
			again[i] = reordered(t, events[i])
		}
		wantSame(t, first, publish(t, c, topic, again...))
		again[12] = event(t, "a-12", placed("another"))
		_, err := c.Publish(testContext(t), &tidingsv1.PublishRequest{Topic: topic, Events: again})
		wantRefusal(t, err, because(codes.AlreadyExists, "EVENT_ID_CONFLICT",
			"topic", topic, "sequence", fmt.Sprint(first[12].GetSequence()), "id", "a-12", "source", "/test"))
	}))
	t.Run("at once", some(func(t *testing.T, c client) {
		topic, events := newTopic(t, c, byEvent), orders(t, "a", 20)
		type result struct {
			first     int
			sequences []int64
			err       error
		}
		results := make(chan result)
		for first := range 8 { // Each has events in common with the others.
			go func() {
				response, err := c.Publish(testContext(t), &tidingsv1.PublishRequest{Topic: topic, Events: events[first : first+10]})
				results <- result{first, sequences(response.GetReceipts()), err}
			}()
		}
		places := make(map[int]int64)
		for range 8 {
			r := <-results
			if r.err != nil {
				t.Error(r.err)
				continue
			}
			for i, sequence := range r.sequences {
				if other, ok := places[r.first+i]; ok && other != sequence {
					t.Errorf("event %d is stored at %d and at %d", r.first+i, other, sequence)
				}
				places[r.first+i] = sequence
			}
		}
		if got := latest(t, c, topic); got != 17 {
			t.Errorf("stored up to %d, want 17 events", got)
		}
	}))
}
