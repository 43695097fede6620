package rpc_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

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
	t.Run("same events", some(func(t *testing.T, c client) {
		topic, events := newTopic(t, c), orders(t, "a", 5)
		first := publish(t, c, topic, events...)
		wantSame(t, first, publish(t, c, topic, events...))
		if got := latest(t, c, topic); got != first[4].GetSequence() {
			t.Errorf("stored up to %d", got)
		}
	}))
	t.Run("in another trace", some(func(t *testing.T, c client) {
		for _, change := range []func(*tidingsv1.Topic){func(*tidingsv1.Topic) {}, byEvent} {
			topic, events := newTopic(t, c, change), orders(t, "a", 3)
			first := publish(t, c, topic, events...)
			for i, event := range events {
				event.Attributes = map[string]string{"traceparent": id(byte(i+1), "E1"), "tracestate": "vendor=1"}
			}
			wantSame(t, first, publish(t, c, topic, events...))
		}
	}))
	t.Run("other order", some(func(t *testing.T, c client) {
		topic, events := newTopic(t, c), orders(t, "a", 3)
		publish(t, c, topic, events...)
		slices.Reverse(events)
		if again := publish(t, c, topic, events...); duplicates(again) != 0 {
			t.Errorf("taken for a repetition: %v", again)
		}
	}))
	t.Run("same event in another request", some(func(t *testing.T, c client) {
		topic, events := newTopic(t, c), orders(t, "a", 3)
		publish(t, c, topic, events...)
		if again := publish(t, c, topic, events[:2]...); duplicates(again) != 0 {
			t.Errorf("taken for a repetition: %v", again)
		}
	}))
	t.Run("other content", some(func(t *testing.T, c client) {
		topic, events := newTopic(t, c), orders(t, "a", 3)
		first := publish(t, c, topic, events...)
		events[1] = event(t, "a-1", placed("another"))
		_, err := c.Publish(testContext(t), &tidingsv1.PublishRequest{Topic: topic, Events: events})
		wantRefusal(t, err, because(codes.AlreadyExists, "EVENT_ID_CONFLICT",
			"topic", topic, "sequence", fmt.Sprint(first[1].GetSequence()), "id", "a-1", "source", "/test"))
	}))
	t.Run("other time", some(func(t *testing.T, c client) {
		topic, events := newTopic(t, c), orders(t, "a", 1)
		publish(t, c, topic, events...)
		events[0].Subject = "another"
		_, err := c.Publish(testContext(t), &tidingsv1.PublishRequest{Topic: topic, Events: events})
		wantRefusal(t, err, because(codes.AlreadyExists, "EVENT_ID_CONFLICT", "topic", topic, "sequence", "1", "id", "a-0", "source", "/test"))
	}))
	t.Run("other request id, same events", some(func(t *testing.T, c client) {
		topic, events := newTopic(t, c), orders(t, "a", 2)
		for _, id := range []string{"one", "two"} {
			response, err := c.Publish(testContext(t), &tidingsv1.PublishRequest{Topic: topic, Events: events, RequestId: id})
			if err != nil || duplicates(response.GetReceipts()) != 0 {
				t.Fatal(response, err)
			}
		}
	}))
	t.Run("request id", some(func(t *testing.T, c client) {
		topic := newTopic(t, c)
		request := &tidingsv1.PublishRequest{Topic: topic, Events: orders(t, "a", 3), RequestId: "the request"}
		first, err := c.Publish(testContext(t), request)
		if err != nil {
			t.Fatal(err)
		}
		again, err := c.Publish(testContext(t), request)
		if err != nil {
			t.Fatal(err)
		}
		wantSame(t, first.GetReceipts(), again.GetReceipts())
		for name, events := range map[string][]*tidingsv1.Event{"fewer": request.GetEvents()[:2], "more": orders(t, "a", 4), "others": orders(t, "b", 3)} {
			_, err = c.Publish(testContext(t), &tidingsv1.PublishRequest{Topic: topic, Events: events, RequestId: "the request"})
			wantRefusal(t, err, because(codes.AlreadyExists, "REQUEST_ID_CONFLICT", "topic", topic, "sequence", "1", "request_id", "the request"))
			if got := latest(t, c, topic); got != 3 {
				t.Errorf("%s: stored up to %d", name, got)
			}
		}
	}))
	t.Run("same content, other encoding", some(func(t *testing.T, c client) {
		topic, events := newTopic(t, c), []*tidingsv1.Event{withAttributes(t, "a")}
		first := publish(t, c, topic, events...)
		for range 10 { // Each encodes the map in some order.
			wantSame(t, first, publish(t, c, topic, proto.CloneOf(events[0])))
		}
	}))
}

// partly is a request whose second of three events is refused.
func partly(t *testing.T, topic, requestID string) *tidingsv1.PublishRequest {
	t.Helper()
	return &tidingsv1.PublishRequest{
		Topic: topic, RequestId: requestID, SkipInvalid: true,
		Events: []*tidingsv1.Event{event(t, "a", placed("o")), invalid(t, "x"), event(t, "b", placed("o"))},
	}
}

// What a request with refused events is recognised by are all of its events, so
// that it can't be sent again with corrections.
func TestDedupeSkipsInvalid(t *testing.T) {
	for name, test := range map[string]struct {
		requestID string
		conflict  refusal
	}{
		"by events":     {"", because(codes.AlreadyExists, "EVENT_ID_CONFLICT", "sequence", "1", "id", "a", "source", "/test")},
		"by request id": {"the request", because(codes.AlreadyExists, "REQUEST_ID_CONFLICT", "sequence", "1", "request_id", "the request")},
	} {
		t.Run(name, some(func(t *testing.T, c client) {
			topic := newTopic(t, c)
			request := partly(t, topic, test.requestID)
			first, err := c.Publish(testContext(t), request)
			if err != nil {
				t.Fatal(err)
			}
			again, err := c.Publish(testContext(t), request)
			if err != nil {
				t.Fatal(err)
			}
			wantSame(t, first.GetReceipts(), again.GetReceipts())
			if again.GetReceipts()[1].GetIndex() != 2 {
				t.Errorf("receipts are %v", again.GetReceipts())
			}
			if diff := cmp.Diff(first.GetRefusedEvents(), again.GetRefusedEvents(), protocmp.Transform()); diff != "" {
				t.Errorf("other refused events (-first +again):\n%s", diff)
			}
			for _, skip := range []bool{true, false} {
				request.SkipInvalid, request.Events[1] = skip, event(t, "x", placed("corrected"))
				_, err = c.Publish(testContext(t), request)
				wantRefusal(t, err, test.conflict.and("topic", topic))
			}
			if got := latest(t, c, topic); got != 2 {
				t.Errorf("stored up to %d", got)
			}
			if got := publish(t, c, topic, request.GetEvents()[1]); duplicates(got) != 0 || got[0].GetSequence() != 3 {
				t.Errorf("the corrected event alone: %v", got)
			}
		}))
	}
	t.Run("in another place", some(func(t *testing.T, c client) {
		topic := newTopic(t, c)
		request := partly(t, topic, "")
		if _, err := c.Publish(testContext(t), request); err != nil {
			t.Fatal(err)
		}
		request.Events[0], request.Events[1] = invalid(t, "a"), event(t, "x", placed("corrected"))
		_, err := c.Publish(testContext(t), request)
		wantRefusal(t, err, because(codes.AlreadyExists, "EVENT_ID_CONFLICT", "topic", topic, "sequence", "1", "id", "a", "source", "/test"))
	}))
	// Nothing is stored under the identity of a request that has no valid event.
	t.Run("all refused", some(func(t *testing.T, c client) {
		topic := newTopic(t, c)
		request := &tidingsv1.PublishRequest{Topic: topic, SkipInvalid: true, Events: []*tidingsv1.Event{invalid(t, "x")}}
		for range 2 {
			if response, err := c.Publish(testContext(t), request); err != nil || len(response.GetRefusedEvents()) != 1 {
				t.Fatal(response, err)
			}
		}
		if got := publish(t, c, topic, event(t, "x", placed("corrected"))); duplicates(got) != 0 {
			t.Errorf("corrected: %v", got)
		}
	}))
	// Where events are recognised one by one, the corrected ones alone are stored.
	t.Run("by event", some(func(t *testing.T, c client) {
		topic := newTopic(t, c, byEvent)
		request := partly(t, topic, "not used")
		first, err := c.Publish(testContext(t), request)
		if err != nil {
			t.Fatal(err)
		}
		request.Events[1] = event(t, "x", placed("corrected"))
		again, err := c.Publish(testContext(t), request)
		if err != nil {
			t.Fatal(err)
		}
		receipts := again.GetReceipts()
		if want := []int64{1, 3, 2}; !slices.Equal(sequences(receipts), want) || receipts[1].GetDuplicate() || duplicates(receipts) != 2 {
			t.Errorf("again: %v, first: %v", receipts, first)
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
	t.Run("same request", some(func(t *testing.T, c client) {
		topic, events := newTopic(t, c, byEvent), orders(t, "a", 5)
		first := publish(t, c, topic, events...)
		if want := []int64{1, 2, 3, 4, 5}; !slices.Equal(sequences(first), want) {
			t.Errorf("sequences are %d, want %d", sequences(first), want)
		}
		wantSame(t, first, publish(t, c, topic, events...))
	}))
	t.Run("in another batch", some(func(t *testing.T, c client) {
		topic, events := newTopic(t, c, byEvent), orders(t, "a", 3)
		first := publish(t, c, topic, events...)
		wantSame(t, first[1:2], publish(t, c, topic, events[1]))
		slices.Reverse(events)
		slices.Reverse(first)
		wantSame(t, first, publish(t, c, topic, events...))
	}))
	t.Run("some of a batch", some(func(t *testing.T, c client) {
		topic, events := newTopic(t, c, byEvent), orders(t, "a", 6)
		stored := publish(t, c, topic, events[1], events[4])
		got := publish(t, c, topic, events...)
		if duplicates(got) != 2 || got[1].GetSequence() != stored[0].GetSequence() || got[4].GetSequence() != stored[1].GetSequence() {
			t.Errorf("stored %v, then %v", stored, got)
		}
		if want := []int64{3, 1, 4, 5, 2, 6}; !slices.Equal(sequences(got), want) {
			t.Errorf("sequences are %d, want %d", sequences(got), want)
		}
	}))
	t.Run("all but one of a batch", some(func(t *testing.T, c client) {
		topic, events := newTopic(t, c, byEvent), orders(t, "a", 3)
		publish(t, c, topic, events[:2]...)
		if got := publish(t, c, topic, events...); duplicates(got) != 2 || got[2].GetDuplicate() || got[2].GetSequence() != 3 {
			t.Errorf("got %v", got)
		}
	}))
	t.Run("twice in a request", some(func(t *testing.T, c client) {
		topic, events := newTopic(t, c, byEvent), orders(t, "a", 2)
		got := publish(t, c, topic, events[0], events[1], events[0])
		if want := []int64{1, 2, 1}; !slices.Equal(sequences(got), want) || duplicates(got) != 1 || !got[2].GetDuplicate() {
			t.Errorf("got %v", got)
		}
	}))
	t.Run("other content", some(func(t *testing.T, c client) {
		topic, events := newTopic(t, c, byEvent), orders(t, "a", 3)
		publish(t, c, topic, events...)
		for name, batch := range map[string][]*tidingsv1.Event{
			"alone":      {event(t, "a-1", placed("another"))},
			"with fresh": {event(t, "b-0", placed("o")), event(t, "a-1", placed("another"))},
		} {
			_, err := c.Publish(testContext(t), &tidingsv1.PublishRequest{Topic: topic, Events: batch})
			wantRefusal(t, err, because(codes.AlreadyExists, "EVENT_ID_CONFLICT", "topic", topic, "sequence", "2", "id", "a-1", "source", "/test"))
			if got := latest(t, c, topic); got != 3 {
				t.Errorf("%s: stored up to %d", name, got)
			}
		}
	}))
	t.Run("other content in one request", some(func(t *testing.T, c client) {
		topic := newTopic(t, c, byEvent)
		_, err := c.Publish(testContext(t), &tidingsv1.PublishRequest{Topic: topic, Events: []*tidingsv1.Event{event(t, "a", placed("o")), event(t, "a", placed("p"))}})
		wantRefusal(t, err, because(codes.AlreadyExists, "EVENT_ID_CONFLICT", "topic", topic, "sequence", "0", "id", "a", "source", "/test"))
		if got := latest(t, c, topic); got != 0 {
			t.Errorf("stored up to %d", got)
		}
	}))
	t.Run("same id of another source", some(func(t *testing.T, c client) {
		topic, other := newTopic(t, c, byEvent), event(t, "a", placed("o"))
		other.Source = "/another"
		if got := publish(t, c, topic, event(t, "a", placed("o")), other); duplicates(got) != 0 {
			t.Errorf("got %v", got)
		}
	}))
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
	t.Run("4096 events", some(func(t *testing.T, c client) {
		topic, events := newTopic(t, c, byEvent), orders(t, "a", 4096)
		got := publish(t, c, topic, events...)
		if last := got[4095]; len(got) != 4096 || last.GetSequence() != 4096 {
			t.Errorf("%d receipts, the last is %v", len(got), last)
		}
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
