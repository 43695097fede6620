package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"

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
			want = because(codes.ResourceExhausted, "") // grpc-go has answered before the server hears of it.
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
				continue // It was in flight.
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
