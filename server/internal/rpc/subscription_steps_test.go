package rpc_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// The statuses of settlements, in short.
const (
	applied   = tidingsv1.SettlementStatus_SETTLEMENT_STATUS_APPLIED
	already   = tidingsv1.SettlementStatus_SETTLEMENT_STATUS_ALREADY_APPLIED
	leaseLost = tidingsv1.SettlementStatus_SETTLEMENT_STATUS_LEASE_LOST
	malformed = tidingsv1.SettlementStatus_SETTLEMENT_STATUS_MALFORMED

	invalidSettlement = tidingsv1.SettlementStatus_SETTLEMENT_STATUS_INVALID
)

// How an event is nacked, in short.
var (
	retryAtOnce  = &tidingsv1.Nack{Delay: durationpb.New(0)}
	retryLate    = &tidingsv1.Nack{Delay: durationpb.New(time.Hour)}
	toDeadLetter = &tidingsv1.Nack{Kind: tidingsv1.NackKind_NACK_KIND_DEAD_LETTER}
	dropped      = &tidingsv1.Nack{Kind: tidingsv1.NackKind_NACK_KIND_DROP}
	released     = &tidingsv1.Nack{Kind: tidingsv1.NackKind_NACK_KIND_RELEASE}
	releasedLate = &tidingsv1.Nack{Kind: tidingsv1.NackKind_NACK_KIND_RELEASE, Delay: durationpb.New(time.Hour)}
)

// ackWithin makes a subscription lease for a time.
func ackWithin(d time.Duration) func(*tidingsv1.Subscription) {
	return func(s *tidingsv1.Subscription) { s.AckDeadline = durationpb.New(d) }
}

// retrying gives a subscription a retry policy.
func retrying(policy *tidingsv1.RetryPolicy) func(*tidingsv1.Subscription) {
	return func(s *tidingsv1.Subscription) { s.RetryPolicy = policy }
}

// at once: what failed is delivered again without a delay.
var backoffNone = retrying(&tidingsv1.RetryPolicy{MinBackoff: durationpb.New(0), MaxBackoff: durationpb.New(0)})

// ordered gives a subscription an order.
func ordered(o tidingsv1.Ordering) func(*tidingsv1.Subscription) {
	return func(s *tidingsv1.Subscription) { s.Ordering = o }
}

// filtered gives a subscription a filter.
func filtered(f *tidingsv1.EventFilter) func(*tidingsv1.Subscription) {
	return func(s *tidingsv1.Subscription) { s.Filter = f }
}

// newSubscribed creates a topic and a subscription to it, and deletes both when
// the test ends: the shared server keeps little.
func newSubscribed(t *testing.T, c client, change ...func(*tidingsv1.Subscription)) (topic, subscription string) {
	t.Helper()
	topic = newTopic(t, c)
	subscription = newSubscription(t, c, topic, change...)
	deleteAtEnd(t, c, topic, subscription)
	return topic, subscription
}

func deleteAtEnd(t *testing.T, c client, topic, subscription string) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
		defer cancel()
		// Either may be gone: that is what some tests are about.
		_, _ = c.DeleteSubscription(ctx, &tidingsv1.DeleteSubscriptionRequest{Name: subscription})
		_, _ = c.DeleteTopic(ctx, &tidingsv1.DeleteTopicRequest{Name: topic})
	})
}

// pull pulls until a number of deliveries has come.
func pull(t *testing.T, c client, subscription string, count int) []*tidingsv1.Delivery {
	t.Helper()
	ctx := testContext(t)
	var all []*tidingsv1.Delivery
	for len(all) < count {
		response, err := c.Pull(ctx, &tidingsv1.PullRequest{
			Subscription: subscription, MaxEvents: int32(count - len(all)), MaxWait: durationpb.New(10 * time.Second),
		})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, response.GetDeliveries()...)
	}
	return all
}

// pullNow pulls what there is.
func pullNow(t *testing.T, c client, subscription string) []*tidingsv1.Delivery {
	t.Helper()
	response, err := c.Pull(testContext(t), &tidingsv1.PullRequest{Subscription: subscription})
	if err != nil {
		t.Fatal(err)
	}
	return response.GetDeliveries()
}

// wantNothing fails the test if there is something to pull.
func wantNothing(t *testing.T, c client, subscription string) {
	t.Helper()
	if got := pullNow(t, c, subscription); len(got) > 0 {
		t.Fatalf("%d events were delivered, the first one with attempt %d: %v", len(got), got[0].GetAttempt(), idsOf(got))
	}
}

// settleNow settles and returns the statuses.
func settleNow(t *testing.T, c client, subscription string, settlements ...*tidingsv1.Settlement) []tidingsv1.SettlementStatus {
	t.Helper()
	return statuses(settle(t, testContext(t), c, subscription, settlements...))
}

// wantSettled fails the test unless settlements have the status that is wanted.
func wantSettled(t *testing.T, c client, subscription string, want tidingsv1.SettlementStatus, settlements ...*tidingsv1.Settlement) {
	t.Helper()
	wantStatuses(t, settleNow(t, c, subscription, settlements...), slices.Repeat([]tidingsv1.SettlementStatus{want}, len(settlements))...)
}

// ackAll acknowledges deliveries.
func ackAll(t *testing.T, c client, subscription string, deliveries ...*tidingsv1.Delivery) {
	t.Helper()
	var acks []*tidingsv1.Settlement
	for _, d := range deliveries {
		acks = append(acks, ack(d.GetDeliveryToken()))
	}
	wantSettled(t, c, subscription, applied, acks...)
}

func statuses(results []*tidingsv1.SettlementResult) []tidingsv1.SettlementStatus {
	var list []tidingsv1.SettlementStatus
	for _, r := range results {
		list = append(list, r.GetStatus())
	}
	return list
}

func wantStatuses(t *testing.T, got []tidingsv1.SettlementStatus, want ...tidingsv1.SettlementStatus) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("the statuses are %v, want %v", got, want)
	}
}

// idsOf returns the ids of delivered events.
func idsOf(deliveries []*tidingsv1.Delivery) []string {
	var list []string
	for _, d := range deliveries {
		list = append(list, d.GetRecorded().GetEvent().GetId())
	}
	return list
}

// ids returns the ids of events.
func ids(events []*tidingsv1.Event) []string {
	var list []string
	for _, e := range events {
		list = append(list, e.GetId())
	}
	return list
}

// wantIDs fails the test unless the deliveries are those of some events, in
// their order.
func wantIDs(t *testing.T, got []*tidingsv1.Delivery, want ...*tidingsv1.Event) {
	t.Helper()
	if !slices.Equal(idsOf(got), ids(want)) {
		t.Fatalf("delivered were %v, want %v", idsOf(got), ids(want))
	}
}

// show returns a subscription as GetSubscription has it.
func show(t *testing.T, c client, subscription string) *tidingsv1.Subscription {
	t.Helper()
	response, err := c.GetSubscription(testContext(t), &tidingsv1.GetSubscriptionRequest{Name: subscription})
	if err != nil {
		t.Fatal(err)
	}
	return response.GetSubscription()
}

// until waits until the statistics of a subscription are as wanted.
func until(t *testing.T, c client, subscription string, is func(*tidingsv1.SubscriptionStatistics) bool) *tidingsv1.SubscriptionStatistics {
	t.Helper()
	ctx := testContext(t)
	for {
		statistics := show(t, c, subscription).GetStatistics()
		if is(statistics) {
			return statistics
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("the statistics stay %v", statistics)
		}
	}
}

// leasedNone says that no lease is left.
func leasedNone(s *tidingsv1.SubscriptionStatistics) bool { return s.GetInFlightEvents() == 0 }

// seek moves a subscription.
func seek(t *testing.T, c client, subscription string, position *tidingsv1.StartPosition) string {
	t.Helper()
	return sought(t, c, subscription, position).GetCursor()
}

// sought moves a subscription and returns what the server says.
func sought(t *testing.T, c client, subscription string, position *tidingsv1.StartPosition) *tidingsv1.SeekSubscriptionResponse {
	t.Helper()
	response, err := c.SeekSubscription(testContext(t), &tidingsv1.SeekSubscriptionRequest{Name: subscription, Position: position})
	if err != nil {
		t.Fatal(err)
	}
	return response
}
