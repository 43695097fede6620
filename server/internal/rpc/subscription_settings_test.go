package rpc_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// outputs are the fields of a subscription that nobody sets.
func outputs() cmp.Option {
	return protocmp.IgnoreFields(&tidingsv1.Subscription{}, "etag", "create_time", "update_time", "statistics")
}

func TestCreateSubscription(t *testing.T) {
	t.Run("with every field", each(func(t *testing.T, c client) {
		topic := newTopic(t, c)
		want := &tidingsv1.Subscription{
			Name:        newName(),
			Topic:       topic,
			Description: "What happens to ☕ orders.",
			Filter:      &tidingsv1.EventFilter{EventTypes: []string{orderPaid}, Attributes: attributeIs("room", "a"), Cel: `data.order_id != ""`},
			Ordering:    tidingsv1.Ordering_ORDERING_KEY,
			AckDeadline: durationpb.New(90 * time.Second),
			RetryPolicy: &tidingsv1.RetryPolicy{
				MinBackoff: durationpb.New(0), MaxBackoff: durationpb.New(time.Minute), Multiplier: new(1.5), Attempts: &tidingsv1.RetryPolicy_UnlimitedAttempts{UnlimitedAttempts: true},
			},
			ExpireAfterIdle: durationpb.New(time.Hour),
			Paused:          true,
		}
		deleteAtEnd(t, c, topic, want.GetName())
		before := time.Now()
		created, err := c.CreateSubscription(testContext(t), &tidingsv1.CreateSubscriptionRequest{Subscription: want})
		if err != nil {
			t.Fatal(err)
		}
		got := created.GetSubscription()
		if diff := cmp.Diff(want, got, protocmp.Transform(), outputs()); diff != "" {
			t.Errorf("created otherwise (-want +got):\n%s", diff)
		}
		at := got.GetCreateTime().AsTime()
		if got.GetEtag() == "" || at.Before(before.Add(-time.Second)) || at.After(time.Now().Add(time.Second)) || got.GetStatistics() != nil {
			t.Errorf("created with %v", got)
		}
		shown := show(t, c, want.GetName())
		if diff := cmp.Diff(got, shown, protocmp.Transform(), protocmp.IgnoreFields(&tidingsv1.Subscription{}, "statistics")); diff != "" {
			t.Errorf("GetSubscription shows it otherwise (-created +got):\n%s", diff)
		}
		if diff := cmp.Diff(&tidingsv1.SubscriptionStatistics{}, shown.GetStatistics(), protocmp.Transform()); diff != "" {
			t.Errorf("the new subscription has statistics:\n%s", diff)
		}
	}))
	t.Run("with defaults", some(func(t *testing.T, c client) {
		topic := newTopic(t, c)
		for name, test := range map[string]struct{ asked, want *tidingsv1.RetryPolicy }{
			"nothing": {nil, &tidingsv1.RetryPolicy{
				MinBackoff: durationpb.New(time.Second), MaxBackoff: durationpb.New(5 * time.Minute), Multiplier: proto.Float64(2), Attempts: &tidingsv1.RetryPolicy_MaxAttempts{MaxAttempts: 10},
			}},
			"an empty policy": {&tidingsv1.RetryPolicy{}, &tidingsv1.RetryPolicy{
				MinBackoff: durationpb.New(time.Second), MaxBackoff: durationpb.New(5 * time.Minute), Multiplier: proto.Float64(2), Attempts: &tidingsv1.RetryPolicy_MaxAttempts{MaxAttempts: 10},
			}},
			"a long backoff": {&tidingsv1.RetryPolicy{MinBackoff: durationpb.New(time.Hour)}, &tidingsv1.RetryPolicy{
				MinBackoff: durationpb.New(time.Hour), MaxBackoff: durationpb.New(time.Hour), Multiplier: proto.Float64(2), Attempts: &tidingsv1.RetryPolicy_MaxAttempts{MaxAttempts: 10},
			}},
		} {
			s := newName()
			deleteAtEnd(t, c, topic, s)
			created, err := c.CreateSubscription(testContext(t), &tidingsv1.CreateSubscriptionRequest{Subscription: &tidingsv1.Subscription{
				Name: s, Topic: topic, RetryPolicy: test.asked, Etag: "ignored", Detached: true,
			}})
			if err != nil {
				t.Fatal(err)
			}
			want := &tidingsv1.Subscription{
				Name: s, Topic: topic, Ordering: tidingsv1.Ordering_ORDERING_NONE, AckDeadline: durationpb.New(30 * time.Second), RetryPolicy: test.want,
			}
			if diff := cmp.Diff(want, created.GetSubscription(), protocmp.Transform(), outputs()); diff != "" || created.GetSubscription().GetEtag() == "ignored" {
				t.Errorf("%s: created otherwise (-want +got):\n%s", name, diff)
			}
		}
	}))
	t.Run("exists", each(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c)
		other := newTopic(t, c)
		for _, of := range []string{topic, other} {
			_, err := c.CreateSubscription(testContext(t), &tidingsv1.CreateSubscriptionRequest{Subscription: &tidingsv1.Subscription{Name: s, Topic: of}})
			wantRefusal(t, err, because(codes.AlreadyExists, "SUBSCRIPTION_ALREADY_EXISTS", "subscription", s))
		}
		if got := show(t, c, s).GetTopic(); got != topic {
			t.Errorf("it is of topic %s now", got)
		}
	}))
	t.Run("topic not found", some(func(t *testing.T, c client) {
		topic := newName()
		_, err := c.CreateSubscription(testContext(t), &tidingsv1.CreateSubscriptionRequest{Subscription: &tidingsv1.Subscription{Name: newName(), Topic: topic}})
		wantRefusal(t, err, because(codes.NotFound, "TOPIC_NOT_FOUND", "topic", topic))
	}))
	with := func(change func(*tidingsv1.Subscription)) *tidingsv1.Subscription {
		s := &tidingsv1.Subscription{Name: "a", Topic: "orders"}
		change(s)
		return s
	}
	policy := func(p *tidingsv1.RetryPolicy) *tidingsv1.Subscription { return with(retrying(p)) }
	for name, test := range map[string]struct {
		subscription *tidingsv1.Subscription
		field        string
	}{
		"nothing":            {nil, "subscription"},
		"no name":            {&tidingsv1.Subscription{Topic: "orders"}, "subscription.name"},
		"no topic":           {&tidingsv1.Subscription{Name: "a"}, "subscription.topic"},
		"upper case":         {with(func(s *tidingsv1.Subscription) { s.Name = "A" }), "subscription.name"},
		"wildcard":           {with(func(s *tidingsv1.Subscription) { s.Name = "a.>" }), "subscription.name"},
		"hyphen at the end":  {with(func(s *tidingsv1.Subscription) { s.Name = "a-" }), "subscription.name"},
		"long name":          {with(func(s *tidingsv1.Subscription) { s.Name = strings.Repeat("a", 64) }), "subscription.name"},
		"newline":            {with(func(s *tidingsv1.Subscription) { s.Name = "a\n" }), "subscription.name"},
		"long description":   {with(func(s *tidingsv1.Subscription) { s.Description = strings.Repeat("☕", 1025) }), "subscription.description"},
		"unknown ordering":   {with(ordered(17)), "subscription.ordering"},
		"short deadline":     {with(ackWithin(time.Second - 1)), "subscription.ack_deadline"},
		"long deadline":      {with(ackWithin(time.Hour + 1)), "subscription.ack_deadline"},
		"short idle time":    {with(func(s *tidingsv1.Subscription) { s.ExpireAfterIdle = durationpb.New(time.Second) }), "subscription.expire_after_idle"},
		"negative backoff":   {policy(&tidingsv1.RetryPolicy{MinBackoff: durationpb.New(-1)}), "subscription.retry_policy.min_backoff"},
		"long backoff":       {policy(&tidingsv1.RetryPolicy{MinBackoff: durationpb.New(24*time.Hour + 1)}), "subscription.retry_policy.min_backoff"},
		"backoff above":      {policy(&tidingsv1.RetryPolicy{MinBackoff: durationpb.New(2), MaxBackoff: durationpb.New(1)}), "subscription.retry_policy"},
		"small maximum":      {policy(&tidingsv1.RetryPolicy{MaxBackoff: durationpb.New(time.Millisecond)}), "subscription.retry_policy"},
		"small multiplier":   {policy(&tidingsv1.RetryPolicy{Multiplier: new(0.5)}), "subscription.retry_policy.multiplier"},
		"large multiplier":   {policy(&tidingsv1.RetryPolicy{Multiplier: new(10.5)}), "subscription.retry_policy.multiplier"},
		"negative attempts":  {policy(&tidingsv1.RetryPolicy{Attempts: &tidingsv1.RetryPolicy_MaxAttempts{MaxAttempts: -2}}), "subscription.retry_policy.max_attempts"},
		"too many attempts":  {policy(&tidingsv1.RetryPolicy{Attempts: &tidingsv1.RetryPolicy_MaxAttempts{MaxAttempts: 1001}}), "subscription.retry_policy.max_attempts"},
		"type twice":         {with(filtered(&tidingsv1.EventFilter{EventTypes: []string{orderPaid, orderPaid}})), "subscription.filter.event_types"},
		"long CEL":           {with(filtered(&tidingsv1.EventFilter{Cel: strings.Repeat("a", 4097)})), "subscription.filter.cel"},
		"a filter of nobody": {with(filtered(&tidingsv1.EventFilter{Attributes: new(tidingsv1.AttributeFilter)})), "subscription.filter.attributes.condition"},
	} {
		t.Run("refused/"+name, some(func(t *testing.T, c client) {
			_, err := c.CreateSubscription(testContext(t), &tidingsv1.CreateSubscriptionRequest{Subscription: test.subscription})
			wantRefusal(t, err, because(codes.InvalidArgument, "REQUEST_INVALID").at(test.field))
		}))
	}
}

func TestListSubscriptions(t *testing.T) {
	t.Run("pages and topics", each(func(t *testing.T, c client) {
		topic, first := newSubscribed(t, c)
		mine := []string{first}
		for range 4 {
			s := newSubscription(t, c, topic)
			deleteAtEnd(t, c, topic, s)
			mine = append(mine, s)
		}
		_, foreign := newSubscribed(t, c)
		slices.Sort(mine)
		list := func(request *tidingsv1.ListSubscriptionsRequest) (all []string) {
			t.Helper()
			for {
				response, err := c.ListSubscriptions(testContext(t), request)
				if err != nil {
					t.Fatal(err)
				}
				if size := request.GetPageSize(); size > 0 && len(response.GetSubscriptions()) > int(size) {
					t.Fatalf("a page of %d", len(response.GetSubscriptions()))
				}
				for _, s := range response.GetSubscriptions() {
					if s.GetStatistics() != nil || s.GetEtag() == "" {
						t.Errorf("listed as %v", s)
					}
					all = append(all, s.GetName())
				}
				if request.PageToken = response.GetNextPageToken(); request.GetPageToken() == "" {
					return all
				}
			}
		}
		for _, size := range []int32{0, 1, 2, 5, 1000, 1<<31 - 1} {
			if got := list(&tidingsv1.ListSubscriptionsRequest{Topic: topic, PageSize: size}); !slices.Equal(got, mine) {
				t.Errorf("in pages of %d: %v, want %v", size, got, mine)
			}
		}
		all := list(&tidingsv1.ListSubscriptionsRequest{PageSize: 7})
		if !slices.IsSorted(all) {
			t.Errorf("not in order: %v", all)
		}
		for _, name := range append(mine, foreign) {
			if !slices.Contains(all, name) {
				t.Errorf("%s is missing in %v", name, all)
			}
		}
		if got := list(&tidingsv1.ListSubscriptionsRequest{Topic: newName()}); len(got) != 0 {
			t.Errorf("of no topic: %v", got)
		}
	}))
	invalid := because(codes.InvalidArgument, "REQUEST_INVALID")
	token := because(codes.InvalidArgument, "PAGE_TOKEN_INVALID").at("page_token")
	for name, test := range map[string]struct {
		request *tidingsv1.ListSubscriptionsRequest
		want    refusal
	}{
		"negative page size": {&tidingsv1.ListSubscriptionsRequest{PageSize: -1}, invalid.at("page_size")},
		"bad topic":          {&tidingsv1.ListSubscriptionsRequest{Topic: "*"}, invalid.at("topic")},
		"long token":         {&tidingsv1.ListSubscriptionsRequest{PageToken: strings.Repeat("a", 1025)}, invalid.at("page_token")},
		"garbage token":      {&tidingsv1.ListSubscriptionsRequest{PageToken: "%%%"}, token},
		"made-up token":      {&tidingsv1.ListSubscriptionsRequest{PageToken: "b3JkZXJz"}, token}, //nolint:gosec // A page token is no secret.
	} {
		t.Run("refused/"+name, some(func(t *testing.T, c client) {
			_, err := c.ListSubscriptions(testContext(t), test.request)
			wantRefusal(t, err, test.want)
		}))
	}
	t.Run("token of another list", each(func(t *testing.T, c client) {
		types, err := c.ListEventTypes(testContext(t), &tidingsv1.ListEventTypesRequest{PageSize: 1})
		if err != nil || types.GetNextPageToken() == "" {
			t.Fatal(types, err)
		}
		_, err = c.ListSubscriptions(testContext(t), &tidingsv1.ListSubscriptionsRequest{PageToken: types.GetNextPageToken()})
		wantRefusal(t, err, token)
	}))
}
