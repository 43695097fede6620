package delivery

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/engine/local"
	"example.com/tidings/server/internal/lease"
	"example.com/tidings/server/internal/schema"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// newHub opens a hub and its engine for one test, with a topic.
func newHub(t *testing.T) (*Hub, engine.Engine, *engine.Topic) {
	t.Helper()
	image, err := os.ReadFile("../../../examples/events/events.binpb")
	if err != nil {
		t.Fatal(err)
	}
	types, err := schema.Parse(image)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	store, err := local.Open(t.Context(), local.Config{
		DataDir: t.TempDir(), MaxStoreBytes: 1 << 30, MaxRecordBytes: 4 << 20, Sync: engine.SyncWritten, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	hub := New(Config{Engine: store, Types: func() *schema.Set { return types }, Log: log})
	t.Cleanup(func() { closeHub(t, hub) })
	topic, err := store.CreateTopic(t.Context(), "orders", &storagev1.TopicConfig{
		Uid: 17, Dedupe: optionsv1.Dedupe_DEDUPE_REQUEST, DedupeWindow: durationpb.New(time.Minute),
		CreateTime: timestamppb.Now(), UpdateTime: timestamppb.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return hub, store, topic
}

func closeHub(t *testing.T, hub *Hub) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := hub.Close(ctx); err != nil {
		t.Error(err)
	}
}

// TestExpireIdle looks into the future: at which times subscriptions expire that
// were made or used just now.
func TestExpireIdle(t *testing.T) {
	hub, store, topic := newHub(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	subscribe := func(name string, uid uint64, idle *durationpb.Duration) *engine.Subscription {
		t.Helper()
		s, err := store.CreateSubscription(ctx, name, &storagev1.SubscriptionConfig{
			Uid: uid, TokenKey: make([]byte, tokenKeySize), Topic: topic.Name, TopicUid: topic.Config.GetUid(), StartSequence: 1,
			Ordering: tidingsv1.Ordering_ORDERING_NONE, AckDeadline: durationpb.New(time.Minute), RetryPolicy: &tidingsv1.RetryPolicy{Multiplier: proto.Float64(2)},
			ExpireAfterIdle: idle, CreateTime: timestamppb.Now(), UpdateTime: timestamppb.Now(),
		})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	exists := func(s *engine.Subscription) bool {
		t.Helper()
		_, err := store.Subscription(ctx, s.Name)
		if err != nil && !errors.Is(err, engine.ErrSubscriptionNotFound) {
			t.Fatal(err)
		}
		return err == nil
	}
	never, unused := subscribe("never", 1, nil), subscribe("unused", 2, durationpb.New(time.Hour))
	used, consumed := subscribe("used", 3, durationpb.New(time.Hour)), subscribe("consumed", 4, durationpb.New(time.Hour))
	now := time.Now()
	hub.ExpireIdle(now.Add(59 * time.Minute))
	for _, s := range []*engine.Subscription{never, unused, used, consumed} {
		if !exists(s) {
			t.Fatalf("%s expired too early", s.Name)
		}
	}
	stream, err := hub.Open(ctx, consumed, StreamConfig{Window: window})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hub.Settle(ctx, used, []lease.Settlement{{Action: lease.Ack}}); err != nil {
		t.Fatal(err)
	}
	// As if they had been made long ago: the last use counts.
	for _, s := range []*engine.Subscription{unused, used} {
		config := s.Config
		config.UpdateTime = timestamppb.New(now.Add(-30 * time.Minute))
		if _, err := store.UpdateSubscription(ctx, s, config); err != nil {
			t.Fatal(err)
		}
	}
	hub.ExpireIdle(now.Add(40 * time.Minute))
	if !exists(never) || exists(unused) || !exists(used) || !exists(consumed) {
		t.Fatalf("after 40 minutes: never %v, unused %v, used %v, consumed %v", exists(never), exists(unused), exists(used), exists(consumed))
	}
	// A stream keeps its subscription, whatever it does.
	hub.ExpireIdle(now.Add(24 * time.Hour))
	if !exists(never) || exists(used) || !exists(consumed) {
		t.Fatalf("after a day: never %v, used %v, consumed %v", exists(never), exists(used), exists(consumed))
	}
	stream.Close(ctx)
	hub.ExpireIdle(now.Add(24 * time.Hour))
	if exists(consumed) || !exists(never) {
		t.Errorf("at the end: consumed %v, never %v", exists(consumed), exists(never))
	}
}

// tokenKeySize is the size of a key of delivery tokens.
const tokenKeySize = 32
