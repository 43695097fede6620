package rpc_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

func TestSubscriptionStatistics(t *testing.T) {
	t.Run("at every step", each(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c, byKey)
		before := time.Now().Add(-time.Second)
		want := func(step string, want *tidingsv1.SubscriptionStatistics) {
			t.Helper()
			got := show(t, c, s).GetStatistics()
			used := got.GetLatestUseTime()
			if used != nil && (used.AsTime().Before(before) || used.AsTime().After(time.Now().Add(time.Second))) {
				t.Errorf("%s: last used at %s", step, used.AsTime())
			}
			if (want.GetLatestUseTime() == nil) != (used == nil) {
				t.Errorf("%s: last used at %v, want %v", step, used, want.GetLatestUseTime())
			}
			if diff := cmp.Diff(want, got, protocmp.Transform(), protocmp.IgnoreFields(want, "latest_use_time")); diff != "" {
				t.Errorf("%s: other statistics (-want +got):\n%s", step, diff)
			}
		}
		want("new", &tidingsv1.SubscriptionStatistics{})
		publishN(t, c, topic, 5, keys("a", "b", "a", "b", "c"))
		publishN(t, c, topic, 1, keys("d"))
		events := openRead(t, c, &tidingsv1.ReadRequest{Topic: topic, Stop: stopCaughtUp}).untilEnd().events
		oldest := func(i int, statistics *tidingsv1.SubscriptionStatistics) *tidingsv1.SubscriptionStatistics {
			statistics.OldestUnsettledSequence = events[i].GetSequence()
			statistics.OldestUnsettledPublishTime = events[i].GetPublishTime()
			return statistics
		}
		want("published", oldest(0, &tidingsv1.SubscriptionStatistics{BacklogEvents: 6}))
		first := pull(t, c, s, 1)[0]
		use := show(t, c, s).GetStatistics().GetLatestUseTime()
		with := func(statistics *tidingsv1.SubscriptionStatistics) *tidingsv1.SubscriptionStatistics {
			statistics.LatestUseTime = use
			return statistics
		}
		want("one leased", with(oldest(0, &tidingsv1.SubscriptionStatistics{BacklogEvents: 5, InFlightEvents: 1})))
		second := pull(t, c, s, 1)[0]
		want("two leased", with(oldest(0, &tidingsv1.SubscriptionStatistics{BacklogEvents: 4, InFlightEvents: 2})))
		rest := pull(t, c, s, 2)
		want("the others blocked", with(oldest(0, &tidingsv1.SubscriptionStatistics{InFlightEvents: 4, BlockedEvents: 2, BlockedKeys: 2})))
		wantSettled(t, c, s, applied, nack(second.GetDeliveryToken(), retryLate))
		want("one waits", with(oldest(0, &tidingsv1.SubscriptionStatistics{InFlightEvents: 3, RetryingEvents: 1, BlockedEvents: 2, BlockedKeys: 2})))
		wantSettled(t, c, s, applied, nack(first.GetDeliveryToken(), toDeadLetter))
		// What was blocked waits for a consumer only.
		want("one dead", with(oldest(1, &tidingsv1.SubscriptionStatistics{
			InFlightEvents: 2, RetryingEvents: 2, BlockedEvents: 1, BlockedKeys: 1, DeadLetteredEvents: 1,
		})))
		ackAll(t, c, s, rest...)
		ctx, cancel := context.WithCancel(testContext(t))
		defer cancel()
		one := receive(t, ctx, c, &tidingsv1.ReceiveRequest{Subscription: s})
		got := one.next()
		receive(t, testContext(t), c, &tidingsv1.ReceiveRequest{Subscription: s})
		want("two consumers", with(oldest(1, &tidingsv1.SubscriptionStatistics{
			InFlightEvents: 1, RetryingEvents: 1, BlockedEvents: 1, BlockedKeys: 1, DeadLetteredEvents: 1, Consumers: 2,
		})))
		cancel()
		until(t, c, s, func(s *tidingsv1.SubscriptionStatistics) bool { return s.GetConsumers() == 1 })
		ackAll(t, c, s, got)
		seek(t, c, s, fromNew)
		want("sought", with(&tidingsv1.SubscriptionStatistics{DeadLetteredEvents: 1, Consumers: 1}))
	}))
	t.Run("backlog in parts of a record", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c)
		for range 5 {
			publishN(t, c, topic, 7)
		}
		for left := int64(35); left > 0; left -= 5 {
			if got := show(t, c, s).GetStatistics(); got.GetBacklogEvents() != left || got.GetBacklogEstimated() {
				t.Fatalf("the backlog is %v, want %d", got, left)
			}
			ackAll(t, c, s, pull(t, c, s, 5)...)
		}
		if got := show(t, c, s).GetStatistics(); got.GetBacklogEvents() != 0 || got.GetOldestUnsettledSequence() != 0 || got.GetOldestUnsettledPublishTime() != nil {
			t.Errorf("at the end: %v", got)
		}
	}))
	native := need{"nothing of it is the transport's", func(t transport) bool { return t.native }}
	t.Run("backlog of many records", some(func(t *testing.T, c client) {
		const records = 150
		topic, s := newSubscribed(t, c)
		for i := range records {
			publishN(t, c, topic, 1+i%3)
		}
		if got := show(t, c, s).GetStatistics(); got.GetBacklogEvents() != 2*records || got.GetBacklogEstimated() {
			t.Errorf("for %d events: %v", 2*records, got)
		}
	}, native))
}

func TestSubscriptionGap(t *testing.T) {
	removing := func(t *testing.T, c client) (topic, s string) {
		t.Helper()
		topic = newTopic(t, c, func(topic *tidingsv1.Topic) { topic.Settings.Retention = &optionsv1.Retention{MaxBytes: 64 << 10} })
		s = newSubscription(t, c, topic)
		deleteAtEnd(t, c, topic, s)
		return topic, s
	}
	within := func(s *tidingsv1.TopicStatistics) bool { return s.GetStoredBytes() <= 64<<10 }
	earliest := func(t *testing.T, c client, topic string) int64 {
		t.Helper()
		shown, err := c.GetTopic(testContext(t), &tidingsv1.GetTopicRequest{Name: topic})
		if err != nil {
			t.Fatal(err)
		}
		return shown.GetTopic().GetStatistics().GetEarliestSequence()
	}
	t.Run("of the backlog", some(func(t *testing.T, c client) {
		topic, s := removing(t, c)
		for i := range 6 {
			publish(t, c, topic, bulky(t, fmt.Sprint(i), 20<<10))
		}
		untilTopic(t, c, topic, within)
		left := earliest(t, c, topic)
		if got := pullRest(t, c, s); len(got) == 0 || got[0] != left {
			t.Fatalf("delivered were %d, the earliest is %d", got, left)
		}
		want := &tidingsv1.Gap{FirstSequence: 1, NextSequence: left}
		got := show(t, c, s).GetStatistics()
		if diff := cmp.Diff(want, got.GetLatestGap(), protocmp.Transform()); diff != "" {
			t.Errorf("another gap (-want +got):\n%s", diff)
		}
		if got.GetBacklogEvents() != 0 {
			t.Errorf("the statistics are %v", got)
		}
	}))
	t.Run("of what waits", some(func(t *testing.T, _ client) {
		// After a restart, for a server may still have what retention removed.
		dir := t.TempDir()
		first, err := start(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		native := transports()[0]
		c := native.dial(t, first)
		topic, s := newTopic(t, c, func(topic *tidingsv1.Topic) { topic.Settings.Retention = &optionsv1.Retention{MaxBytes: 64 << 10} }), newName()
		if _, err := c.CreateSubscription(testContext(t), &tidingsv1.CreateSubscriptionRequest{
			Subscription: &tidingsv1.Subscription{Name: s, Topic: topic},
		}); err != nil {
			t.Fatal(err)
		}
		publish(t, c, topic, bulky(t, "lost", 20<<10))
		publish(t, c, topic, bulky(t, "settled", 20<<10))
		both := pull(t, c, s, 2)
		lost := both[0]
		wantSettled(t, c, s, applied, nack(lost.GetDeliveryToken(), retryAtOnce), ack(both[1].GetDeliveryToken()))
		var left []*tidingsv1.Event
		for i := range 3 {
			left = append(left, bulky(t, fmt.Sprint(i), 20<<10))
			publish(t, c, topic, left[i])
		}
		untilTopic(t, c, topic, within)
		first.close()
		second, err := start(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(second.close)
		c = native.dial(t, second)
		if got := show(t, c, s).GetStatistics(); got.GetRetryingEvents() != 1 {
			t.Errorf("after the restart: %v", got)
		}
		wantIDs(t, pull(t, c, s, 3), left...)
		got := show(t, c, s).GetStatistics()
		want := &tidingsv1.Gap{FirstSequence: lost.GetRecorded().GetSequence(), NextSequence: earliest(t, c, topic)}
		if diff := cmp.Diff(want, got.GetLatestGap(), protocmp.Transform()); diff != "" || got.GetRetryingEvents() != 0 {
			t.Errorf("the statistics are %v; another gap (-want +got):\n%s", got, diff)
		}
	}, need{"nothing of it is the transport's", func(t transport) bool { return t.native }}))
	t.Run("none where all was settled", some(func(t *testing.T, c client) {
		topic, s := removing(t, c)
		for i := range 6 { // One more each time than what fits beside the last.
			for j := range min(i+1, 2) {
				publish(t, c, topic, bulky(t, fmt.Sprint(i, "-", j), 28<<10))
			}
			ackAll(t, c, s, pull(t, c, s, min(i+1, 2))...)
		}
		untilTopic(t, c, topic, within)
		if left := earliest(t, c, topic); left < 4 {
			t.Fatalf("the earliest is %d", left)
		}
		if got := show(t, c, s).GetStatistics().GetLatestGap(); got != nil {
			t.Errorf("a gap: %v", got)
		}
	}))
}
