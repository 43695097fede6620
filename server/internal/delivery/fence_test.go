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
	replicav1 "example.com/tidings/server/internal/gen/tidings/replica/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// TestFence: a seek and a change of the settings aren't answered while what was
// leased before may still be on its way to a consumer: until its session asks
// for more, or ends.
func TestFence(t *testing.T) {
	for name, change := range map[string]func(s *engine.Subscription) *replicav1.OwnerRequest{
		"seek": func(*engine.Subscription) *replicav1.OwnerRequest {
			return &replicav1.OwnerRequest{Request: &replicav1.OwnerRequest_Seek{Seek: &replicav1.Seek{Sequence: 1 << 30}}}
		},
		"refresh": func(s *engine.Subscription) *replicav1.OwnerRequest {
			return &replicav1.OwnerRequest{Request: &replicav1.OwnerRequest_Refresh{Refresh: &replicav1.Refresh{Revision: s.Revision}}}
		},
	} {
		for next, request := range map[string]*replicav1.OwnerRequest{
			"asks":  leaseOf(2, 0),
			"ends":  {Request: &replicav1.OwnerRequest_Detach{Detach: &replicav1.Detach{Session: "stream", Sent: 1}}},
			"fails": {Request: &replicav1.OwnerRequest_Detach{Detach: &replicav1.Detach{Session: "stream"}}},
		} {
			t.Run(name+"/"+next, func(t *testing.T) {
				hub, store, topic := newHub(t)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				s := leasing(ctx, t, hub, store, topic)
				changed := make(chan error, 1)
				go func() {
					_, err := hub.Call(ctx, s, change(s))
					changed <- err
				}()
				// The owner takes one question after the other: once it has taken this
				// one it has taken the change, or it has a moment later.
				for range 50 {
					ask(ctx, t, hub, s, inspection)
					select {
					case err := <-changed:
						t.Fatalf("it was answered, with error %v, while a delivery was on its way", err)
					default:
					}
				}
				ask(ctx, t, hub, s, request)
				if err := <-changed; err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

var (
	window     = &tidingsv1.FlowControl{MaxEvents: 1, MaxBytes: 1 << 20}
	inspection = &replicav1.OwnerRequest{Request: &replicav1.OwnerRequest_Inspect{Inspect: new(replicav1.Inspect)}}
)

func leaseOf(number int64, wait time.Duration) *replicav1.OwnerRequest {
	return &replicav1.OwnerRequest{Request: &replicav1.OwnerRequest_Lease{Lease: &replicav1.Lease{
		Session: "stream", Number: number, MaxEvents: 1, MaxBytes: 1 << 20, Wait: durationpb.New(wait),
	}}}
}

func ask(ctx context.Context, t *testing.T, hub *Hub, s *engine.Subscription, request *replicav1.OwnerRequest) *replicav1.OwnerResponse {
	t.Helper()
	response, err := hub.Call(ctx, s, request)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

// leasing makes a subscription with a session that was just given an event.
func leasing(ctx context.Context, t *testing.T, hub *Hub, store engine.Engine, topic *engine.Topic) *engine.Subscription {
	t.Helper()
	record, err := proto.Marshal(&storagev1.Record{Format: 1, Events: []*tidingsv1.Event{{Id: "1", Source: "/fence"}}})
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
	s, err := store.CreateSubscription(ctx, "fenced", &storagev1.SubscriptionConfig{
		Uid: 5, TokenKey: make([]byte, tokenKeySize), Topic: topic.Name, TopicUid: topic.Config.GetUid(), StartSequence: 1,
		Ordering: tidingsv1.Ordering_ORDERING_NONE, AckDeadline: durationpb.New(time.Minute),
		RetryPolicy: &tidingsv1.RetryPolicy{Multiplier: proto.Float64(2)}, CreateTime: timestamppb.Now(), UpdateTime: timestamppb.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ask(ctx, t, hub, s, &replicav1.OwnerRequest{Request: &replicav1.OwnerRequest_Attach{
		Attach: &replicav1.Attach{Session: "stream", Window: window},
	}})
	if got := ask(ctx, t, hub, s, leaseOf(1, 10*time.Second)); len(got.GetDeliveries()) == 0 {
		t.Fatal("nothing was leased")
	}
	return s
}
