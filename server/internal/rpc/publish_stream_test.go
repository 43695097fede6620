package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"

	ordersv1 "example.com/tidings/examples/events/gen/shop/orders/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

func openPublishStream(t *testing.T, ctx context.Context, c client) publishStream { //nolint:revive // Test helpers begin with t.
	t.Helper()
	stream, err := c.publishStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// exchange sends batches, closes the sending side and returns the responses
// once the call has ended without an error.
func exchange(t *testing.T, c client, batches ...*tidingsv1.PublishStreamRequest) []*tidingsv1.PublishStreamResponse {
	t.Helper()
	stream := openPublishStream(t, testContext(t), c)
	sent := make(chan error, 1)
	go func() {
		for _, batch := range batches {
			if err := stream.Send(batch); err != nil {
				sent <- err
				return
			}
		}
		sent <- stream.CloseSend()
	}()
	var responses []*tidingsv1.PublishStreamResponse
	for {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if response.GetBatch() != int64(len(responses)) {
			t.Fatalf("response %d is that of batch %d", len(responses), response.GetBatch())
		}
		responses = append(responses, response)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if len(responses) != len(batches) {
		t.Fatalf("%d responses to %d batches", len(responses), len(batches))
	}
	return responses
}

func TestPublishStream(t *testing.T) {
	t.Run("500 batches under way", each(func(t *testing.T, c client) {
		topic := newTopic(t, c)
		var batches []*tidingsv1.PublishStreamRequest
		for i := range 500 {
			batches = append(batches, &tidingsv1.PublishStreamRequest{Publish: &tidingsv1.PublishRequest{Topic: topic, Events: orders(t, fmt.Sprint("b", i), 2)}})
		}
		for i, response := range exchange(t, c, batches...) {
			want := []int64{int64(2*i + 1), int64(2*i + 2)}
			if got := sequences(response.GetPublished().GetReceipts()); !slices.Equal(got, want) || response.GetPublished().GetTopic() != topic {
				t.Fatalf("batch %d: %v, want sequences %d", i, response, want)
			}
		}
	}, fullDuplex))
	t.Run("a bad batch fails alone", each(func(t *testing.T, c client) {
		topic, nowhere := newTopic(t, c), newName()
		good := func(id string) *tidingsv1.PublishStreamRequest {
			return &tidingsv1.PublishStreamRequest{Publish: &tidingsv1.PublishRequest{Topic: topic, Events: orders(t, id, 1)}}
		}
		responses := exchange(t, c,
			good("a"),
			&tidingsv1.PublishStreamRequest{Publish: &tidingsv1.PublishRequest{Topic: topic, Events: []*tidingsv1.Event{event(t, "x", placed("o")), invalid(t, "y")}}},
			&tidingsv1.PublishStreamRequest{},
			good("b"),
			&tidingsv1.PublishStreamRequest{Publish: &tidingsv1.PublishRequest{Topic: nowhere, Events: orders(t, "c", 1)}},
			&tidingsv1.PublishStreamRequest{Publish: &tidingsv1.PublishRequest{Topic: topic, Events: []*tidingsv1.Event{event(t, "a-0", placed("another"))}}},
			&tidingsv1.PublishStreamRequest{Publish: &tidingsv1.PublishRequest{Topic: topic, Events: orders(t, "d", 1), Preconditions: []*tidingsv1.Precondition{{Expectation: &tidingsv1.Precondition_Exists{}}}}},
			&tidingsv1.PublishStreamRequest{Publish: &tidingsv1.PublishRequest{Topic: topic, SkipInvalid: true, Events: []*tidingsv1.Event{invalid(t, "y"), event(t, "z", placed("o"))}}},
			good("b"),
			good("e"),
		)
		for i, want := range map[int]refusal{
			1: because(codes.InvalidArgument, "EVENT_INVALID").at("events[1].data.email"),
			2: because(codes.InvalidArgument, "REQUEST_INVALID").at("events"),
			4: because(codes.NotFound, "TOPIC_NOT_FOUND", "topic", nowhere),
			5: because(codes.AlreadyExists, "EVENT_ID_CONFLICT", "topic", topic, "sequence", "1", "id", "a-0", "source", "/test"),
			6: because(codes.Aborted, "SEQUENCE_MISMATCH", "expected", "0", "actual", anything),
		} {
			wantError(t, responses[i].GetError(), want)
		}
		for i, want := range map[int]int64{0: 1, 3: 2, 7: 3, 8: 2, 9: 4} {
			receipts := responses[i].GetPublished().GetReceipts()
			if len(receipts) != 1 || receipts[0].GetSequence() != want || receipts[0].GetDuplicate() != (i == 8) {
				t.Errorf("batch %d: %v, want the sequence %d", i, responses[i], want)
			}
		}
		if refused := responses[7].GetPublished().GetRefusedEvents(); len(refused) != 1 || refused[0].GetIndex() != 0 {
			t.Errorf("refused %v", refused)
		}
	}, fullDuplex))
	t.Run("many topics", some(func(t *testing.T, c client) {
		first, second, third := newTopic(t, c), newTopic(t, c, byEvent), newTopic(t, c)
		var batches []*tidingsv1.PublishStreamRequest
		topics := []string{first, second, third}
		for i := range 30 {
			batches = append(batches, &tidingsv1.PublishStreamRequest{Publish: &tidingsv1.PublishRequest{Topic: topics[i%3], Events: orders(t, fmt.Sprint("b", i), 1)}})
		}
		id := newName()
		batches = append(batches, &tidingsv1.PublishStreamRequest{Publish: &tidingsv1.PublishRequest{Events: []*tidingsv1.Event{event(t, id, placed(id))}}})
		responses := exchange(t, c, batches...)
		for i, response := range responses[:30] {
			receipts := response.GetPublished().GetReceipts()
			if response.GetPublished().GetTopic() != topics[i%3] || len(receipts) != 1 || receipts[0].GetSequence() != int64(i/3+1) {
				t.Errorf("batch %d: %v", i, response)
			}
		}
		if responses[30].GetPublished().GetTopic() != "orders" {
			t.Errorf("the last: %v", responses[30])
		}
	}, fullDuplex))
	t.Run("batches of many sizes stay in order", some(func(t *testing.T, c client) {
		topic := newTopic(t, c, byEvent)
		var batches []*tidingsv1.PublishStreamRequest
		for i := range 40 {
			batches = append(batches, &tidingsv1.PublishStreamRequest{Publish: &tidingsv1.PublishRequest{Topic: topic, Events: orders(t, fmt.Sprint("b", i), []int{3, 1, 1, 2}[i%4])}})
		}
		var all []int64
		for _, response := range exchange(t, c, batches...) {
			all = append(all, sequences(response.GetPublished().GetReceipts())...)
		}
		if len(all) != 70 || !slices.IsSorted(all) {
			t.Errorf("stored at %d", all)
		}
	}, fullDuplex))
	t.Run("an answer without another request", each(func(t *testing.T, c client) {
		topic := newTopic(t, c)
		stream := openPublishStream(t, testContext(t), c)
		for i := range 3 {
			if err := stream.Send(&tidingsv1.PublishStreamRequest{Publish: &tidingsv1.PublishRequest{Topic: topic, Events: orders(t, fmt.Sprint(i), 1)}}); err != nil {
				t.Fatal(err)
			}
			if response, err := stream.Recv(); err != nil || response.GetPublished() == nil {
				t.Fatal(response, err)
			}
		}
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		if response, err := stream.Recv(); !errors.Is(err, io.EOF) {
			t.Fatal(response, err)
		}
	}, fullDuplex))
	t.Run("nothing sent", each(func(t *testing.T, c client) { exchange(t, c) }, fullDuplex))
	t.Run("too large", each(func(t *testing.T, c client) {
		topic := newTopic(t, c)
		large := &tidingsv1.PublishStreamRequest{Publish: &tidingsv1.PublishRequest{Topic: topic}}
		for i := range testRequestBytes/(testEventBytes/2) + 1 {
			large.Publish.Events = append(large.Publish.Events, bulky(t, fmt.Sprint("x", i), testEventBytes/2))
		}
		responses := exchange(t, c, large, &tidingsv1.PublishStreamRequest{Publish: &tidingsv1.PublishRequest{Topic: topic, Events: orders(t, "a", 1)}})
		wantError(t, responses[0].GetError(), because(codes.ResourceExhausted, "REQUEST_TOO_LARGE", "limit", fmt.Sprint(testRequestBytes), "size", anything))
		if responses[1].GetPublished() == nil {
			t.Errorf("the batch after it: %v", responses[1])
		}
	}, fullDuplex))
	t.Run("too large to be read", each(func(t *testing.T, c client) {
		topic := newTopic(t, c)
		stream := openPublishStream(t, testContext(t), c)
		huge := &tidingsv1.PublishStreamRequest{Publish: &tidingsv1.PublishRequest{Topic: topic}}
		for i := range 2*testRequestBytes/(testEventBytes/2) + 2 {
			huge.Publish.Events = append(huge.Publish.Events, bulky(t, fmt.Sprint("x", i), testEventBytes/2))
		}
		// Where it fails, Recv says why.
		_ = stream.Send(huge)
		_, err := stream.Recv()
		want := because(codes.ResourceExhausted, "REQUEST_TOO_LARGE")
		if _, native := c.(*grpcClient); native {
			want.Reason = "" // grpc-go has answered before the server hears of it.
		}
		wantRefusal(t, err, want)
	}, fullDuplex))
	t.Run("cancelled", each(func(t *testing.T, c client) {
		topic := newTopic(t, c)
		ctx, cancel := context.WithCancel(testContext(t))
		stream := openPublishStream(t, ctx, c)
		for i := range 20 {
			if err := stream.Send(&tidingsv1.PublishStreamRequest{Publish: &tidingsv1.PublishRequest{Topic: topic, Events: orders(t, fmt.Sprint(i), 1)}}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
		cancel()
		for {
			_, err := stream.Recv()
			if err == nil {
				continue // It was on its way.
			}
			if got, _ := refusalOf(t, err); got.Code != codes.Canceled {
				t.Errorf("ended with %v", err)
			}
			break
		}
		// Everything can be sent again.
		for i := range 20 {
			publish(t, c, topic, orders(t, fmt.Sprint(i), 1)...)
		}
		if got := latest(t, c, topic); got != 20 {
			t.Errorf("stored up to %d, want 20 events", got)
		}
	}, fullDuplex))
}

func TestImport(t *testing.T) {
	// run imports messages.
	run := func(t *testing.T, c client, messages ...*tidingsv1.ImportRequest) (*tidingsv1.ImportResponse, error) {
		t.Helper()
		stream, err := c.importStream(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		for _, message := range messages {
			if err := stream.Send(message); err != nil {
				break // CloseAndRecv says why.
			}
		}
		return stream.CloseAndRecv()
	}
	t.Run("summary", each(func(t *testing.T, c client) {
		topic := newTopic(t, c)
		messages := []*tidingsv1.ImportRequest{{Publish: &tidingsv1.PublishRequest{Topic: topic, Events: orders(t, "a", 10)}}, {Publish: &tidingsv1.PublishRequest{Events: orders(t, "b", 20)}}, {Publish: &tidingsv1.PublishRequest{Topic: topic, Events: orders(t, "c", 5)}}}
		summary, err := run(t, c, messages...)
		if err != nil {
			t.Fatal(err)
		}
		if summary.GetTopic() != topic || summary.GetReceivedCount() != 35 || summary.GetStoredCount() != 35 || summary.GetDuplicateCount() != 0 ||
			summary.GetRefusedCount() != 0 || summary.GetFirstSequence() != 1 || summary.GetLastSequence() != 35 {
			t.Errorf("summary %v", summary)
		}
		again, err := run(t, c, messages...)
		if err != nil {
			t.Fatal(err)
		}
		if again.GetStoredCount() != 0 || again.GetDuplicateCount() != 35 || again.GetFirstSequence() != 1 || again.GetLastSequence() != 35 {
			t.Errorf("again %v", again)
		}
	}))
	t.Run("cut otherwise where events are recognised", some(func(t *testing.T, c client) {
		topic, events := newTopic(t, c, byEvent), orders(t, "a", 12)
		if _, err := run(t, c, &tidingsv1.ImportRequest{Publish: &tidingsv1.PublishRequest{Topic: topic, Events: events[:8]}}); err != nil {
			t.Fatal(err)
		}
		summary, err := run(t, c, &tidingsv1.ImportRequest{Publish: &tidingsv1.PublishRequest{Topic: topic, Events: events[:5]}}, &tidingsv1.ImportRequest{Publish: &tidingsv1.PublishRequest{Events: events[5:11]}}, &tidingsv1.ImportRequest{Publish: &tidingsv1.PublishRequest{Events: events[11:]}})
		if err != nil {
			t.Fatal(err)
		}
		if summary.GetStoredCount() != 4 || summary.GetDuplicateCount() != 8 || latest(t, c, topic) != 12 {
			t.Errorf("summary %v", summary)
		}
	}))
	t.Run("topic of the type", some(func(t *testing.T, c client) {
		id := newName()
		summary, err := run(t, c, &tidingsv1.ImportRequest{Publish: &tidingsv1.PublishRequest{Events: orders(t, id, 1)}}, &tidingsv1.ImportRequest{Publish: &tidingsv1.PublishRequest{Events: []*tidingsv1.Event{event(t, id, &ordersv1.Money{CurrencyCode: "EUR"})}}})
		if err != nil || summary.GetTopic() != "orders" || summary.GetStoredCount() != 2 {
			t.Errorf("summary %v, %v", summary, err)
		}
	}))
	t.Run("skips invalid", some(func(t *testing.T, c client) {
		topic := newTopic(t, c)
		var bad []*tidingsv1.Event
		for i := range 150 {
			bad = append(bad, invalid(t, fmt.Sprint("bad", i)))
		}
		summary, err := run(t, c,
			&tidingsv1.ImportRequest{Publish: &tidingsv1.PublishRequest{Topic: topic, SkipInvalid: true, Events: orders(t, "a", 3)}},
			&tidingsv1.ImportRequest{Publish: &tidingsv1.PublishRequest{Events: append(bad, orders(t, "b", 1)...)}},
			&tidingsv1.ImportRequest{Publish: &tidingsv1.PublishRequest{Events: orders(t, "c", 1)}})
		if err != nil {
			t.Fatal(err)
		}
		if summary.GetReceivedCount() != 155 || summary.GetStoredCount() != 5 || summary.GetRefusedCount() != 150 || len(summary.GetRefusedEvents()) != 100 {
			t.Fatalf("summary %v", summary)
		}
		first := summary.GetRefusedEvents()[0]
		if first.GetIndex() != 3 || first.GetId() != "bad0" {
			t.Errorf("the first refused is %v", first)
		}
		wantError(t, first.GetError(), because(codes.InvalidArgument, "EVENT_INVALID").at("events[3].data.email"))
	}))
	t.Run("stops at the first refused", each(func(t *testing.T, c client) {
		topic := newTopic(t, c)
		_, err := run(t, c,
			&tidingsv1.ImportRequest{Publish: &tidingsv1.PublishRequest{Topic: topic, Events: orders(t, "a", 10)}},
			&tidingsv1.ImportRequest{Publish: &tidingsv1.PublishRequest{Events: orders(t, "b", 7)}},
			&tidingsv1.ImportRequest{Publish: &tidingsv1.PublishRequest{Events: append(orders(t, "c", 2), invalid(t, "bad"))}},
			&tidingsv1.ImportRequest{Publish: &tidingsv1.PublishRequest{Events: orders(t, "d", 1)}})
		wantRefusal(t, err, because(codes.InvalidArgument, "EVENT_INVALID", "stored", "17").at("events[19].data.email"))
		if got := latest(t, c, topic); got != 17 {
			t.Errorf("stored up to %d", got)
		}
	}))
	t.Run("another topic later", some(func(t *testing.T, c client) {
		topic := newTopic(t, c)
		_, err := run(t, c, &tidingsv1.ImportRequest{Publish: &tidingsv1.PublishRequest{Topic: topic, Events: orders(t, "a", 2)}}, &tidingsv1.ImportRequest{Publish: &tidingsv1.PublishRequest{Topic: "orders", Events: orders(t, "b", 1)}})
		wantRefusal(t, err, because(codes.InvalidArgument, "REQUEST_INVALID", "stored", "2").at("topic"))
	}))
	t.Run("no topic", some(func(t *testing.T, c client) {
		name := newName()
		_, err := run(t, c, &tidingsv1.ImportRequest{Publish: &tidingsv1.PublishRequest{Topic: name, Events: orders(t, "a", 2)}})
		wantRefusal(t, err, because(codes.NotFound, "TOPIC_NOT_FOUND", "topic", name, "stored", "0"))
	}))
	t.Run("an empty message", each(func(t *testing.T, c client) {
		_, err := run(t, c, &tidingsv1.ImportRequest{Publish: &tidingsv1.PublishRequest{Topic: newTopic(t, c), Events: orders(t, "a", 2)}}, &tidingsv1.ImportRequest{})
		wantRefusal(t, err, because(codes.InvalidArgument, "REQUEST_INVALID", "stored", "2").at("events"))
	}))
	t.Run("nothing sent", each(func(t *testing.T, c client) {
		summary, err := run(t, c)
		if err != nil || summary.GetReceivedCount() != 0 || summary.GetTopic() != "" {
			t.Errorf("summary %v, %v", summary, err)
		}
	}))
}
