package delivery

import (
	"context"
	"testing"
	"time"
)

// TestSeekAgain: a seek that is asked again, since its answer was lost with the
// owner, moves nothing again, and is answered as it was.
func TestSeekAgain(t *testing.T) {
	hub, store, topic := newHub(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, stream := leasing(ctx, t, hub, store, topic)
	stream.Sent()
	stream.Close(ctx)
	seek := func(hub *Hub, id string, sequence int64) int64 {
		t.Helper()
		response, err := hub.call(ctx, s, &seekRequest{sequence: sequence, id: id})
		if err != nil {
			t.Fatal(err)
		}
		return response.previous
	}
	if got := seek(hub, "one", 1); got != 1 {
		t.Fatalf("the oldest unsettled event is %d, want the one that is leased", got)
	}
	stream = next(ctx, t, hub, s)
	stream.Sent()
	stream.Close(ctx)
	for range 3 { // The owner that sought, and two after it.
		if got := seek(hub, "one", 1); got != 1 {
			t.Errorf("asked again, the oldest unsettled event was %d", got)
		}
		statistics, err := hub.Inspect(ctx, s)
		if err != nil {
			t.Fatal(err)
		}
		if got := statistics.GetInFlightEvents(); got != 1 {
			t.Errorf("asked again, it moved again: %d are leased", got)
		}
		closeHub(t, hub)
		hub = New(Config{Engine: store, Types: hub.types, Log: hub.log})
		after := hub
		t.Cleanup(func() { closeHub(t, after) })
	}
	if got := seek(hub, "two", 1<<30); got != 1 {
		t.Errorf("another seek says %d", got)
	}
	if got := seek(hub, "three", 1); got != 1<<30 {
		t.Errorf("a seek from the position %d says %d", 1<<30, got)
	}
}
