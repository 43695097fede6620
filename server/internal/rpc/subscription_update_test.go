package rpc_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// change updates the fields of a subscription that paths name.
func change(t *testing.T, c client, values *tidingsv1.Subscription, paths ...string) *tidingsv1.Subscription {
	t.Helper()
	request := &tidingsv1.UpdateSubscriptionRequest{Subscription: values}
	if len(paths) > 0 {
		request.UpdateMask = &fieldmaskpb.FieldMask{Paths: paths}
	}
	updated, err := c.UpdateSubscription(testContext(t), request)
	if err != nil {
		t.Fatal(err)
	}
	return updated.GetSubscription()
}

func TestUpdateSubscription(t *testing.T) {
	minute, hour := durationpb.New(time.Minute), durationpb.New(time.Hour)
	onlyPaid := &tidingsv1.EventFilter{EventTypes: []string{orderPaid}}
	full := &tidingsv1.RetryPolicy{MinBackoff: minute, MaxBackoff: hour, Multiplier: proto.Float64(3), Attempts: &tidingsv1.RetryPolicy_MaxAttempts{MaxAttempts: 7}}
	for name, test := range map[string]struct {
		mask   []string
		values *tidingsv1.Subscription
		change func(*tidingsv1.Subscription) // What is wanted of the subscription.
	}{
		"one field": {
			[]string{"description"}, &tidingsv1.Subscription{Description: "new", Paused: true, AckDeadline: hour},
			func(s *tidingsv1.Subscription) { s.Description = "new" },
		},
		"every field": {
			[]string{"description", "filter", "ack_deadline", "retry_policy", "expire_after_idle", "paused"},
			&tidingsv1.Subscription{Description: "new", Filter: onlyPaid, AckDeadline: hour, RetryPolicy: full, ExpireAfterIdle: minute, Paused: true},
			func(s *tidingsv1.Subscription) {
				s.Description, s.Filter, s.AckDeadline, s.RetryPolicy, s.ExpireAfterIdle, s.Paused = "new", onlyPaid, hour, full, minute, true
			},
		},
		"cleared": {
			[]string{"description", "filter", "ack_deadline", "retry_policy", "expire_after_idle"}, &tidingsv1.Subscription{},
			func(s *tidingsv1.Subscription) {
				s.Description, s.Filter, s.AckDeadline, s.ExpireAfterIdle = "", nil, durationpb.New(30*time.Second), nil
				s.RetryPolicy = &tidingsv1.RetryPolicy{MinBackoff: durationpb.New(time.Second), MaxBackoff: durationpb.New(5 * time.Minute), Multiplier: proto.Float64(2), Attempts: &tidingsv1.RetryPolicy_MaxAttempts{MaxAttempts: 10}}
			},
		},
		"attempts": {
			[]string{"retry_policy.max_attempts"}, &tidingsv1.Subscription{RetryPolicy: full},
			func(s *tidingsv1.Subscription) {
				s.RetryPolicy.Attempts = &tidingsv1.RetryPolicy_MaxAttempts{MaxAttempts: 7}
			},
		},
		"attempts without end": {
			[]string{"retry_policy.unlimited_attempts"}, &tidingsv1.Subscription{RetryPolicy: &tidingsv1.RetryPolicy{Attempts: &tidingsv1.RetryPolicy_UnlimitedAttempts{UnlimitedAttempts: true}}},
			func(s *tidingsv1.Subscription) {
				s.RetryPolicy.Attempts = &tidingsv1.RetryPolicy_UnlimitedAttempts{UnlimitedAttempts: true}
			},
		},
		"backoff": {
			[]string{"retry_policy.min_backoff", "retry_policy.max_backoff", "retry_policy.multiplier"}, &tidingsv1.Subscription{RetryPolicy: full},
			func(s *tidingsv1.Subscription) {
				s.RetryPolicy.MinBackoff, s.RetryPolicy.MaxBackoff, s.RetryPolicy.Multiplier = minute, hour, proto.Float64(3)
			},
		},
		"a part of the policy cleared": {
			[]string{"retry_policy.max_attempts", "retry_policy.multiplier"}, &tidingsv1.Subscription{},
			func(s *tidingsv1.Subscription) {
				s.RetryPolicy.Attempts, s.RetryPolicy.Multiplier = &tidingsv1.RetryPolicy_MaxAttempts{MaxAttempts: 10}, proto.Float64(2)
			},
		},
		"the other one of the attempts": {
			[]string{"retry_policy.unlimited_attempts", "description"}, &tidingsv1.Subscription{RetryPolicy: full},
			func(s *tidingsv1.Subscription) { s.Description = "" },
		},
		"a new policy": {
			[]string{"retry_policy"}, &tidingsv1.Subscription{RetryPolicy: &tidingsv1.RetryPolicy{MinBackoff: durationpb.New(3 * time.Second)}},
			func(s *tidingsv1.Subscription) {
				s.RetryPolicy = &tidingsv1.RetryPolicy{MinBackoff: durationpb.New(3 * time.Second), MaxBackoff: durationpb.New(5 * time.Minute), Multiplier: proto.Float64(2), Attempts: &tidingsv1.RetryPolicy_MaxAttempts{MaxAttempts: 10}}
			},
		},
		"no mask": {
			nil, &tidingsv1.Subscription{Description: "new", RetryPolicy: full},
			func(s *tidingsv1.Subscription) { s.Description, s.RetryPolicy = "new", full },
		},
		"no mask, a part of the policy": {
			nil, &tidingsv1.Subscription{RetryPolicy: &tidingsv1.RetryPolicy{MinBackoff: durationpb.New(3 * time.Second)}},
			func(s *tidingsv1.Subscription) { s.RetryPolicy.MinBackoff = durationpb.New(3 * time.Second) },
		},
		"everything": {
			[]string{"*"}, &tidingsv1.Subscription{RetryPolicy: full},
			func(s *tidingsv1.Subscription) {
				s.Description, s.Filter, s.AckDeadline, s.RetryPolicy, s.ExpireAfterIdle = "", nil, durationpb.New(30*time.Second), full, nil
			},
		},
	} {
		t.Run(name, some(func(t *testing.T, c client) {
			topic := newTopic(t, c)
			s := newName()
			deleteAtEnd(t, c, topic, s)
			created, err := c.CreateSubscription(testContext(t), &tidingsv1.CreateSubscriptionRequest{Subscription: &tidingsv1.Subscription{
				Name: s, Topic: topic, Description: "old", Ordering: tidingsv1.Ordering_ORDERING_TOTAL, AckDeadline: minute,
				Filter:          &tidingsv1.EventFilter{Cel: "event.id != ''"},
				RetryPolicy:     &tidingsv1.RetryPolicy{MinBackoff: durationpb.New(2 * time.Second), MaxBackoff: minute, Multiplier: proto.Float64(4), Attempts: &tidingsv1.RetryPolicy_MaxAttempts{MaxAttempts: 20}},
				ExpireAfterIdle: hour,
			}})
			if err != nil {
				t.Fatal(err)
			}
			want := created.GetSubscription()
			values := proto.CloneOf(test.values)
			values.Name, values.Etag = s, want.GetEtag()
			got := change(t, c, values, test.mask...)
			if got.GetEtag() == want.GetEtag() || got.GetUpdateTime().AsTime().Before(want.GetUpdateTime().AsTime()) || got.GetStatistics() != nil {
				t.Errorf("after %v: %v", want, got)
			}
			want = proto.CloneOf(want)
			test.change(want)
			if diff := cmp.Diff(want, got, protocmp.Transform(), protocmp.IgnoreFields(want, "etag", "update_time")); diff != "" {
				t.Errorf("updated otherwise (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(got, show(t, c, s), protocmp.Transform(), protocmp.IgnoreFields(want, "statistics")); diff != "" {
				t.Errorf("GetSubscription shows it otherwise (-updated +got):\n%s", diff)
			}
		}, maskNeeds(test.mask)...))
	}
	for _, path := range []string{"etag", "create_time", "detached", "statistics", "nothing", "retry_policy.nothing", "retry_policy.attempts", "filter.cel", "*"} {
		t.Run("bad mask/"+path, some(func(t *testing.T, c client) {
			_, s := newSubscribed(t, c)
			_, err := c.UpdateSubscription(testContext(t), &tidingsv1.UpdateSubscriptionRequest{
				Subscription: &tidingsv1.Subscription{Name: s}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"description", path}},
			})
			wantRefusal(t, err, because(codes.InvalidArgument, "UPDATE_MASK_INVALID").at("update_mask.paths[1]"))
		}, maskNeeds([]string{path})...))
	}
	for field, wanted := range map[string]*tidingsv1.Subscription{
		"topic":    {Topic: "orders", Description: "new"},
		"ordering": {Ordering: tidingsv1.Ordering_ORDERING_KEY, Description: "new"},
	} {
		for name, mask := range map[string][]string{"no mask": nil, "everything": {"*"}, "named": {field}, "not named": {"description"}} {
			t.Run("immutable/"+field+"/"+name, some(func(t *testing.T, c client) {
				_, s := newSubscribed(t, c)
				request := &tidingsv1.UpdateSubscriptionRequest{Subscription: proto.CloneOf(wanted)}
				request.Subscription.Name = s
				if mask != nil {
					request.UpdateMask = &fieldmaskpb.FieldMask{Paths: mask}
				}
				_, err := c.UpdateSubscription(testContext(t), request)
				wantRefusal(t, err, because(codes.InvalidArgument, "FIELD_IMMUTABLE").at("subscription."+field))
				if got := show(t, c, s); got.GetDescription() != "" {
					t.Errorf("it is %v", got)
				}
			}, maskNeeds(mask)...))
		}
	}
	t.Run("nothing to change", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c)
		before := show(t, c, s)
		after := change(t, c, &tidingsv1.Subscription{Name: s, Topic: topic, Etag: before.GetEtag()}, "topic", "ordering", "paused", "retry_policy.max_attempts")
		if diff := cmp.Diff(before, after, protocmp.Transform(), protocmp.IgnoreFields(before, "statistics")); diff != "" {
			t.Errorf("changed (-before +after):\n%s", diff)
		}
	}))
	t.Run("policy that doesn't fit", each(func(t *testing.T, c client) {
		_, s := newSubscribed(t, c)
		_, err := c.UpdateSubscription(testContext(t), &tidingsv1.UpdateSubscriptionRequest{
			Subscription: &tidingsv1.Subscription{Name: s, RetryPolicy: &tidingsv1.RetryPolicy{MinBackoff: hour}},
			UpdateMask:   &fieldmaskpb.FieldMask{Paths: []string{"retry_policy.min_backoff"}},
		})
		wantRefusal(t, err, because(codes.InvalidArgument, "REQUEST_INVALID").at("subscription.retry_policy"))
	}))
	t.Run("etag", each(func(t *testing.T, c client) {
		_, s := newSubscribed(t, c)
		first := change(t, c, &tidingsv1.Subscription{Name: s, Description: "1"})
		second := change(t, c, &tidingsv1.Subscription{Name: s, Description: "2", Etag: first.GetEtag()})
		mismatch := because(codes.Aborted, "SUBSCRIPTION_ETAG_MISMATCH", "subscription", s, "etag", second.GetEtag())
		_, err := c.UpdateSubscription(testContext(t), &tidingsv1.UpdateSubscriptionRequest{
			Subscription: &tidingsv1.Subscription{Name: s, Description: "3", Etag: first.GetEtag()},
		})
		wantRefusal(t, err, mismatch)
		_, err = c.DeleteSubscription(testContext(t), &tidingsv1.DeleteSubscriptionRequest{Name: s, Etag: first.GetEtag()})
		wantRefusal(t, err, mismatch)
		if got := show(t, c, s); got.GetDescription() != "2" {
			t.Errorf("it is %v", got)
		}
		if _, err := c.DeleteSubscription(testContext(t), &tidingsv1.DeleteSubscriptionRequest{Name: s, Etag: second.GetEtag()}); err != nil {
			t.Error(err)
		}
	}))
	t.Run("at once without an etag", some(func(t *testing.T, c client) {
		_, s := newSubscribed(t, c)
		errs := make(chan error)
		paths := []string{"description", "ack_deadline", "retry_policy.max_attempts", "expire_after_idle"}
		for _, path := range paths {
			go func() {
				_, err := c.UpdateSubscription(testContext(t), &tidingsv1.UpdateSubscriptionRequest{
					Subscription: &tidingsv1.Subscription{
						Name: s, Description: "new", AckDeadline: hour, RetryPolicy: &tidingsv1.RetryPolicy{Attempts: &tidingsv1.RetryPolicy_MaxAttempts{MaxAttempts: 3}}, ExpireAfterIdle: hour,
					},
					UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{path}},
				})
				errs <- err
			}()
		}
		for range paths {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if got := show(t, c, s); got.GetDescription() != "new" || got.GetAckDeadline().GetSeconds() != 3600 ||
			got.GetRetryPolicy().GetMaxAttempts() != 3 || got.GetExpireAfterIdle() == nil {
			t.Errorf("an update is lost: %v", got)
		}
	}))
	t.Run("not found", each(func(t *testing.T, c client) {
		s := newName()
		gone := because(codes.NotFound, "SUBSCRIPTION_NOT_FOUND", "subscription", s)
		_, err := c.UpdateSubscription(testContext(t), &tidingsv1.UpdateSubscriptionRequest{Subscription: &tidingsv1.Subscription{Name: s, Topic: "orders"}})
		wantRefusal(t, err, gone)
		_, err = c.GetSubscription(testContext(t), &tidingsv1.GetSubscriptionRequest{Name: s})
		wantRefusal(t, err, gone)
		_, err = c.DeleteSubscription(testContext(t), &tidingsv1.DeleteSubscriptionRequest{Name: s})
		wantRefusal(t, err, gone)
		_, err = c.Settle(testContext(t), &tidingsv1.SettleRequest{Subscription: s, Settlements: []*tidingsv1.Settlement{ack("x")}})
		wantRefusal(t, err, gone)
		wantRefusal(t, receiveRefused(t, c, &tidingsv1.ReceiveRequest{Subscription: s}), gone)
	}))
}
