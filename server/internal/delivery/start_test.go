package delivery

import (
	"context"
	"strconv"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"example.com/tidings/server/internal/engine"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// TestNotBefore looks whether what is left out stays left out when the
// subscription gets another owner: with the time of its creation, with that of
// a seek, and with that of a seek that only the compacted journal tells of.
func TestNotBefore(t *testing.T) {
	hub, store, topic := newHub(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	put := func(id int) {
		t.Helper()
		record, err := proto.Marshal(&storagev1.Record{Format: 1, Events: []*tidingsv1.Event{{Id: strconv.Itoa(id), Source: "/early"}}})
		if err != nil {
			t.Fatal(err)
		}
		stored, err := store.Start(ctx, topic, &engine.Batch{ID: engine.ID{byte(id)}, Hash: 1, Data: record, Events: []engine.BatchEvent{{End: len(record)}}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stored.Wait(ctx); err != nil {
			t.Fatal(err)
		}
	}
	later := timestamppb.New(time.Now().Add(time.Hour))
	s, err := store.CreateSubscription(ctx, "early", &storagev1.SubscriptionConfig{
		Uid: 5, TokenKey: make([]byte, tokenKeySize), Topic: topic.Name, TopicUid: topic.Config.GetUid(), StartSequence: 1, NotBefore: later,
		Ordering: tidingsv1.Ordering_ORDERING_NONE, AckDeadline: durationpb.New(time.Minute),
		RetryPolicy: &tidingsv1.RetryPolicy{Multiplier: proto.Float64(2)}, CreateTime: timestamppb.Now(), UpdateTime: timestamppb.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	delivers := func(hub *Hub) bool {
		t.Helper()
		stream, err := hub.Open(ctx, s, StreamConfig{Window: window, Once: true})
		if err != nil {
			t.Fatal(err)
		}
		batch, err := stream.Next(ctx, BatchLimits{MaxEvents: 1, MaxBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		return len(batch.Deliveries()) > 0
	}
	next := func(before *Hub) *Hub {
		t.Helper()
		closeHub(t, before)
		after := New(Config{Engine: store, Types: before.types, Log: before.log})
		return after
	}
	seek := func(hub *Hub, sequence int64, notBefore *timestamppb.Timestamp) {
		t.Helper()
		if _, err := hub.Seek(ctx, s, sequence, notBefore); err != nil {
			t.Fatal(err)
		}
	}
	put(1)
	if delivers(hub) {
		t.Error("an event before the time of the creation was delivered")
	}
	second := next(hub)
	put(2)
	if delivers(second) {
		t.Error("an event before the time of the creation was delivered by the next owner")
	}
	seek(second, 1, nil)
	if !delivers(second) {
		t.Error("the time of the creation counts after a seek")
	}
	seek(second, 1, later)
	third := next(second) // Which compacts the journal.
	if delivers(third) {
		t.Error("an event before the time of the seek was delivered by the next owner")
	}
	closeHub(t, third)
}
