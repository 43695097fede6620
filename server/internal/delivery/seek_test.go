package delivery

import (
	"context"
	"testing"
	"time"

	replicav1 "example.com/tidings/server/internal/gen/tidings/replica/v1"
)

// TestSeekAgain: a seek that is asked again, since its answer was lost with the
// owner, moves nothing again, and is answered as it was.
func TestSeekAgain(t *testing.T) {
	hub, store, topic := newHub(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s := leasing(ctx, t, hub, store, topic)
	detach := &replicav1.OwnerRequest{Request: &replicav1.OwnerRequest_Detach{Detach: &replicav1.Detach{Session: "stream", Sent: 1}}}
	ask(ctx, t, hub, s, detach)
	seek := func(hub *Hub, id string, sequence int64) int64 {
		return ask(ctx, t, hub, s, &replicav1.OwnerRequest{Request: &replicav1.OwnerRequest_Seek{
			Seek: &replicav1.Seek{Sequence: sequence, Id: id},
		}}).GetPrevious()
	}
	if got := seek(hub, "one", 1); got != 1 {
		t.Fatalf("the oldest unsettled event is %d, want the one that is leased", got)
	}
	ask(ctx, t, hub, s, &replicav1.OwnerRequest{Request: &replicav1.OwnerRequest_Attach{Attach: &replicav1.Attach{Session: "stream", Window: window}}})
	if got := ask(ctx, t, hub, s, leaseOf(1, 10*time.Second)); len(got.GetDeliveries()) == 0 {
		t.Fatal("nothing was leased")
	}
	ask(ctx, t, hub, s, detach)
	for range 3 { // The owner that sought, and two after it.
		if got := seek(hub, "one", 1); got != 1 {
			t.Errorf("asked again, the oldest unsettled event was %d", got)
		}
		if got := ask(ctx, t, hub, s, inspection).GetStatistics().GetInFlightEvents(); got != 1 {
			t.Errorf("asked again, it moved again: %d are leased", got)
		}
		closeHub(t, hub)
		hub = New(Config{Engine: store, Types: hub.types, Log: hub.log})
		next := hub
		t.Cleanup(func() { closeHub(t, next) })
	}
	if got := seek(hub, "two", 1<<30); got != 1 {
		t.Errorf("another seek says %d", got)
	}
	if got := seek(hub, "three", 1); got != 1<<30 {
		t.Errorf("a seek from the position %d says %d", 1<<30, got)
	}
}
