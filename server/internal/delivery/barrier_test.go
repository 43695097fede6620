package delivery

import (
	"context"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"example.com/tidings/server/internal/engine"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// TestBarrier: a seek and a change of the settings don't return while what was
// leased before may still be in flight to a consumer: until its stream asks for
// more, or ends.
func TestBarrier(t *testing.T) {
	for name, change := range map[string]func(ctx context.Context, hub *Hub, s *engine.Subscription) error{
		"seek": func(ctx context.Context, hub *Hub, s *engine.Subscription) error {
			_, err := hub.Seek(ctx, s, 1<<30, nil)
			return err
		},
		"refresh": func(ctx context.Context, hub *Hub, s *engine.Subscription) error { return hub.Refresh(ctx, s) },
	} {
		for how, goOn := range map[string]func(ctx context.Context, stream *Stream) error{
			"asks": func(ctx context.Context, stream *Stream) error {
				_, err := stream.Next(ctx, BatchLimits{MaxEvents: 1, MaxBytes: 1 << 20})
				return err
			},
			"ends":  func(ctx context.Context, stream *Stream) error { stream.Sent(); stream.Close(ctx); return nil },
			"fails": func(ctx context.Context, stream *Stream) error { stream.Close(ctx); return nil },
		} {
			t.Run(name+"/"+how, func(t *testing.T) {
				hub, store, topic := newHub(t)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				s, stream := leasing(ctx, t, hub, store, topic)
				changed := make(chan error, 1)
				go func() { changed <- change(ctx, hub, s) }()
				// The owner serves one call after the other: once it has served this
				// one it has served the change, or it has a moment later.
				for range 50 {
					if _, err := hub.Inspect(ctx, s); err != nil {
						t.Fatal(err)
					}
					select {
					case err := <-changed:
						t.Fatalf("it returned, with error %v, while a delivery was in flight", err)
					default:
					}
				}
				if err := goOn(ctx, stream); err != nil {
					t.Fatal(err)
				}
				if err := <-changed; err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

var window = &tidingsv1.FlowControl{MaxEvents: 1, MaxBytes: 1 << 20}

// next opens a stream that is just given an event.
func next(ctx context.Context, t *testing.T, hub *Hub, s *engine.Subscription) *Stream {
	t.Helper()
	stream, err := hub.Open(ctx, s, StreamConfig{Window: window})
	if err != nil {
		t.Fatal(err)
	}
	batch, err := stream.Next(ctx, BatchLimits{MaxEvents: 1, MaxBytes: 1 << 20, Wait: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if len(batch.Deliveries()) == 0 {
		t.Fatal("nothing was leased")
	}
	return stream
}

// leasing makes a subscription with a stream that was just given an event.
func leasing(ctx context.Context, t *testing.T, hub *Hub, store engine.Engine, topic *engine.Topic) (*engine.Subscription, *Stream) {
	t.Helper()
	record, err := proto.Marshal(&storagev1.Record{Format: 1, Events: []*tidingsv1.Event{{Id: "1", Source: "/barrier"}}})
	if err != nil {
		t.Fatal(err)
	}
	stored, err := store.Start(ctx, topic, &engine.Batch{ID: engine.ID{1}, Hash: 1, Data: record, Events: []engine.BatchEvent{{End: len(record)}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stored.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	s, err := store.CreateSubscription(ctx, "leasing", &storagev1.SubscriptionConfig{
		Uid: 5, TokenKey: make([]byte, tokenKeySize), Topic: topic.Name, TopicUid: topic.Config.GetUid(), StartSequence: 1,
		Ordering: tidingsv1.Ordering_ORDERING_NONE, AckDeadline: durationpb.New(time.Minute),
		RetryPolicy: &tidingsv1.RetryPolicy{Multiplier: proto.Float64(2)}, CreateTime: timestamppb.Now(), UpdateTime: timestamppb.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, next(ctx, t, hub, s)
}
