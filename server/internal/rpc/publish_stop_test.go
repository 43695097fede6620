package rpc_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// streamed makes a batch of a stream.
func streamed(topic string, events ...*tidingsv1.Event) *tidingsv1.PublishStreamRequest {
	return &tidingsv1.PublishStreamRequest{Publish: &tidingsv1.PublishRequest{Topic: topic, Events: events}}
}

// untilStopped sends batches, without waiting for answers, and returns the
// responses until the call has ended without an error.
func untilStopped(t *testing.T, c client, batches ...*tidingsv1.PublishStreamRequest) (responses []*tidingsv1.PublishStreamResponse) {
	t.Helper()
	stream := openPublishStream(t, testContext(t), c)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for _, batch := range batches {
			if stream.Send(batch) != nil {
				return // The call has ended.
			}
		}
	}()
	for {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			<-sent
			return responses
		}
		if err != nil {
			t.Fatal(err)
		}
		responses = append(responses, response)
	}
}

// TestPublishStreamStops holds that nothing is stored after the first batch that
// isn't wholly stored, where that was asked for.
func TestPublishStreamStops(t *testing.T) {
	type batch = *tidingsv1.PublishStreamRequest
	for name, bad := range map[string]func(t *testing.T, topic string) batch{
		"invalid event": func(t *testing.T, topic string) batch { return streamed(topic, invalid(t, "x")) },
		"skipped event": func(t *testing.T, topic string) batch {
			b := streamed(topic, event(t, "last", placed("o")), invalid(t, "x"))
			b.Publish.SkipInvalid = true
			return b
		},
		"precondition": func(t *testing.T, topic string) batch {
			b := streamed(topic, event(t, "x", placed("o")))
			b.Publish.Preconditions = []*tidingsv1.Precondition{exists(false)}
			return b
		},
		"precondition of none": func(t *testing.T, topic string) batch {
			b := streamed(topic, invalid(t, "x"))
			b.Publish.Preconditions, b.Publish.SkipInvalid = []*tidingsv1.Precondition{exists(false)}, true
			return b
		},
		"conflict":     func(t *testing.T, topic string) batch { return streamed(topic, event(t, "9-0", placed("other"))) },
		"no topic":     func(t *testing.T, _ string) batch { return streamed(newName(), event(t, "x", placed("o"))) },
		"empty":        func(*testing.T, string) batch { return new(tidingsv1.PublishStreamRequest) },
		"no event":     func(_ *testing.T, topic string) batch { return streamed(topic) },
		"other events": func(t *testing.T, topic string) batch { return streamed(topic, event(t, "x", &tidingsv1.Topic{})) },
	} {
		t.Run(name, some(func(t *testing.T, c client) {
			topic, other := newTopic(t, c), newTopic(t, c, byEvent)
			const before, after = 30, 60
			var batches []batch
			for i := range before {
				batches = append(batches, streamed([]string{topic, other}[i%2], orders(t, fmt.Sprint(i), 1+i%2)...))
			}
			// Whose last known content is elsewhere.
			batches = append(batches, streamed(topic, orders(t, "9", 1)...), bad(t, topic))
			for i := range after {
				batches = append(batches, streamed([]string{other, topic}[i%2], orders(t, fmt.Sprint("after", i), 1+i%2)...))
			}
			batches[0].StopOnError = true
			responses := untilStopped(t, c, batches...)
			if len(responses) != before+2 {
				t.Fatalf("%d responses, want %d; the last is %v", len(responses), before+2, responses[len(responses)-1])
			}
			for i, response := range responses[:before+1] {
				if response.GetBatch() != int64(i) || len(response.GetPublished().GetReceipts()) != len(batches[i].GetPublish().GetEvents()) {
					t.Errorf("batch %d: %v", i, response)
				}
			}
			last := responses[before+1]
			wantTopic := int64(before/2 + 1)
			if name == "skipped event" {
				wantTopic++
				if len(last.GetPublished().GetReceipts()) != 1 || len(last.GetPublished().GetRefusedEvents()) != 1 {
					t.Errorf("the last: %v", last)
				}
			} else if last.GetError() == nil {
				t.Errorf("the last: %v", last)
			}
			if got := latest(t, c, topic); got != wantTopic {
				t.Errorf("stored up to %d in the topic of the bad batch, want %d", got, wantTopic)
			}
			if got, want := latest(t, c, other), int64(before); got != want {
				t.Errorf("stored up to %d in the other topic, want %d", got, want)
			}
		}, fullDuplex))
	}
	t.Run("all is stored", each(func(t *testing.T, c client) {
		topic := newTopic(t, c)
		batches := make([]batch, 100)
		for i := range batches {
			batches[i] = streamed(topic, orders(t, fmt.Sprint("b", i%90), 2)...) // Some are repeated, which is no error.
			batches[i].StopOnError = i%2 == 0
		}
		for i, response := range exchange(t, c, batches...) {
			want := []int64{int64(2*(i%90) + 1), int64(2*(i%90) + 2)}
			if got := sequences(response.GetPublished().GetReceipts()); !slices.Equal(got, want) {
				t.Fatalf("batch %d: %v, want sequences %d", i, response, want)
			}
		}
	}, fullDuplex))
	t.Run("said too late", some(func(t *testing.T, c client) {
		topic := newTopic(t, c)
		late := streamed(topic, orders(t, "b", 1)...)
		late.StopOnError = true
		responses := exchange(t, c, streamed(topic, orders(t, "a", 1)...), late, streamed(topic, orders(t, "c", 1)...))
		wantError(t, responses[1].GetError(), because(codes.InvalidArgument, "REQUEST_INVALID").at("stop_on_error"))
		if got := sequences(responses[2].GetPublished().GetReceipts()); !slices.Equal(got, []int64{2}) {
			t.Errorf("the batch after it is at %d", got)
		}
	}, fullDuplex))
	// Where events are recognised one by one, some of a batch may be known in
	// another encoding. What comes behind isn't stored before the rest of it.
	t.Run("other encodings stay in order", some(func(t *testing.T, c client) {
		for _, stop := range []bool{false, true} {
			topic := newTopic(t, c, byEvent)
			known := orders(t, "known", 30)
			publish(t, c, topic, known...)
			var batches []batch
			for i, e := range known {
				batches = append(batches, streamed(topic, reordered(t, e), event(t, fmt.Sprint("new", i), placed("o"))), streamed(topic, orders(t, fmt.Sprint("next", i), 1+i%2)...))
			}
			batches[0].StopOnError = stop
			var got []int64
			for i, response := range exchange(t, c, batches...) {
				receipts := response.GetPublished().GetReceipts()
				if i%2 == 0 && len(receipts) > 0 {
					if receipts[0].GetSequence() != int64(i/2+1) || !receipts[0].GetDuplicate() {
						t.Errorf("batch %d: %v", i, response)
					}
					receipts = receipts[1:]
				}
				got = append(got, sequences(receipts)...)
			}
			if len(got) != 75 || !slices.IsSorted(got) || got[0] != 31 || got[74] != 105 {
				t.Errorf("stored at %d", got)
			}
		}
	}, fullDuplex))
	// What comes before may be recognised too, however it is encoded.
	t.Run("after another encoding", some(func(t *testing.T, c client) {
		topic := newTopic(t, c)
		publish(t, c, topic, orders(t, "known", 1)...)
		batches := []batch{streamed(topic, reordered(t, orders(t, "known", 1)[0]))}
		batches[0].StopOnError = true
		for i := range 40 {
			batches = append(batches, streamed(topic, orders(t, fmt.Sprint(i), 1)...))
		}
		for i, response := range exchange(t, c, batches...) {
			if got := sequences(response.GetPublished().GetReceipts()); !slices.Equal(got, []int64{int64(i + 1)}) {
				t.Fatalf("batch %d: %v", i, response)
			}
		}
	}, fullDuplex))
	// The message that asks for it may be one after a message that can't be read.
	t.Run("after what can't be read", some(func(t *testing.T, c client) {
		topic := newTopic(t, c)
		bad := new(tidingsv1.PublishStreamRequest)
		bad.ProtoReflect().SetUnknown([]byte{0x0a, 0xff}) // Of 255 bytes there are none.
		asks := streamed(topic, orders(t, "b", 1)...)
		asks.StopOnError = true
		responses := untilStopped(t, c, bad, asks, streamed(topic, orders(t, "c", 1)...))
		if len(responses) != 1 || responses[0].GetError() == nil || latest(t, c, topic) != 0 {
			t.Errorf("responses are %v", responses)
		}
	}, fullDuplex, opaquePayloads))
}
