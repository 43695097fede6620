package rpc_test

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// waitings are the ways to wait for events that don't come. Each begins, and
// returns what waits for its end and returns why.
var waitings = []struct {
	name  string
	begin func(t *testing.T, c client, subscription string) (end func() error)
	need  []need
}{
	{"Consume", func(t *testing.T, c client, s string) func() error {
		stream := consume(t, testContext(t), c, &tidingsv1.ConsumeOpen{Subscription: s})
		return func() error {
			for {
				if _, err := stream.stream.Recv(); err != nil {
					return err
				}
			}
		}
	}, []need{fullDuplex}},
	{"Receive", func(t *testing.T, c client, s string) func() error {
		stream := receive(t, testContext(t), c, &tidingsv1.ReceiveRequest{Subscription: s})
		return func() error {
			for {
				if _, err := stream.stream.Recv(); err != nil {
					return err
				}
			}
		}
	}, nil},
	{"Pull", func(t *testing.T, c client, s string) func() error {
		ctx, ended := testContext(t), make(chan error, 1)
		go func() {
			_, err := c.Pull(ctx, &tidingsv1.PullRequest{Subscription: s, MaxWait: durationpb.New(time.Minute)})
			ended <- err
		}()
		return func() error { return <-ended }
	}, nil},
}

func TestDeleteSubscription(t *testing.T) {
	for _, d := range waitings {
		t.Run("while it is consumed/"+d.name, some(func(t *testing.T, c client) {
			_, s := newSubscribed(t, c)
			end := d.begin(t, c, s)
			if _, err := c.DeleteSubscription(testContext(t), &tidingsv1.DeleteSubscriptionRequest{Name: s}); err != nil {
				t.Fatal(err)
			}
			wantRefusal(t, end(), because(codes.NotFound, "SUBSCRIPTION_NOT_FOUND", "subscription", s))
		}, d.need...))
	}
	t.Run("and create again", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c)
		publishN(t, c, topic, 3)
		bury(t, c, s, 1)
		pull(t, c, s, 1)
		if _, err := c.DeleteSubscription(testContext(t), &tidingsv1.DeleteSubscriptionRequest{Name: s}); err != nil {
			t.Fatal(err)
		}
		gone := because(codes.NotFound, "SUBSCRIPTION_NOT_FOUND", "subscription", s)
		_, err := c.Pull(testContext(t), &tidingsv1.PullRequest{Subscription: s})
		wantRefusal(t, err, gone)
		_, err = c.ListDeadLetters(testContext(t), &tidingsv1.ListDeadLettersRequest{Subscription: s})
		wantRefusal(t, err, gone)
		_, err = c.DeleteSubscription(testContext(t), &tidingsv1.DeleteSubscriptionRequest{Name: s})
		wantRefusal(t, err, gone)
		if _, err := c.CreateSubscription(testContext(t), &tidingsv1.CreateSubscriptionRequest{
			Subscription: &tidingsv1.Subscription{Name: s, Topic: topic},
		}); err != nil {
			t.Fatal(err)
		}
		wantLetters(t, c, s, nil)
		if got := show(t, c, s).GetStatistics(); got.GetBacklogEvents() != 3 || got.GetInFlightEvents() != 0 || got.GetLatestUseTime() != nil {
			t.Errorf("the new one has %v", got)
		}
		if got := pull(t, c, s, 3); got[0].GetAttempt() != 1 {
			t.Errorf("it begins with %v", got[0])
		}
	}))
}

func TestDetached(t *testing.T) {
	detach := func(t *testing.T, c client, topic string) {
		t.Helper()
		if _, err := c.DeleteTopic(testContext(t), &tidingsv1.DeleteTopicRequest{Name: topic}); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range waitings {
		t.Run("while it is consumed/"+d.name, some(func(t *testing.T, c client) {
			topic, s := newSubscribed(t, c)
			end := d.begin(t, c, s)
			detach(t, c, topic)
			gone := because(codes.FailedPrecondition, "SUBSCRIPTION_DETACHED", "subscription", s, "topic", topic)
			wantRefusal(t, end(), gone)
			_, err := c.Pull(testContext(t), &tidingsv1.PullRequest{Subscription: s})
			wantRefusal(t, err, gone)
			wantRefusal(t, receiveRefused(t, c, &tidingsv1.ReceiveRequest{Subscription: s}), gone)
		}, d.need...))
	}
	t.Run("before it is consumed", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c)
		detach(t, c, topic)
		wantRefusal(t, consumeRefused(t, c, openOf(&tidingsv1.ConsumeOpen{Subscription: s})),
			because(codes.FailedPrecondition, "SUBSCRIPTION_DETACHED", "subscription", s, "topic", topic))
	}, fullDuplex))
	t.Run("what is left", each(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c)
		events := publishN(t, c, topic, 3)
		bury(t, c, s, 1)
		token := pull(t, c, s, 1)[0].GetDeliveryToken()
		detach(t, c, topic)
		gone := because(codes.FailedPrecondition, "SUBSCRIPTION_DETACHED", "subscription", s, "topic", topic)
		for range 2 { // Also when there is another topic of the name.
			if !show(t, c, s).GetDetached() {
				t.Error("it isn't detached")
			}
			wantLetters(t, c, s, nil, events[0])
			wantLetters(t, c, s, &tidingsv1.DeadLetterFilter{Event: &tidingsv1.EventFilter{Cel: "event.id != ''"}}, events[0])
			_, err := c.Pull(testContext(t), &tidingsv1.PullRequest{Subscription: s})
			wantRefusal(t, err, gone)
			wantRefusal(t, receiveRefused(t, c, &tidingsv1.ReceiveRequest{Subscription: s}), gone)
			_, err = c.RedriveDeadLetters(testContext(t), &tidingsv1.RedriveDeadLettersRequest{Subscription: s})
			wantRefusal(t, err, gone)
			_, err = c.RedriveDeadLetters(testContext(t), &tidingsv1.RedriveDeadLettersRequest{Subscription: s, DryRun: true})
			wantRefusal(t, err, gone)
			_, err = c.SeekSubscription(testContext(t), &tidingsv1.SeekSubscriptionRequest{Name: s, Position: fromEarliest})
			wantRefusal(t, err, gone)
			if _, err := c.CreateTopic(testContext(t), &tidingsv1.CreateTopicRequest{Topic: &tidingsv1.Topic{Name: topic}}); err == nil {
				publishN(t, c, topic, 3)
			}
		}
		wantSettled(t, c, s, applied, ack(token))
		purge(t, c, s, nil, 1)
		wantLetters(t, c, s, nil)
		change(t, c, &tidingsv1.Subscription{Name: s, Description: "old"})
	}))
	t.Run("another topic of the name", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c)
		stream := receive(t, testContext(t), c, &tidingsv1.ReceiveRequest{Subscription: s})
		events := publishN(t, c, topic, 1)
		wantIDs(t, []*tidingsv1.Delivery{stream.next()}, events...)
		detach(t, c, topic)
		if _, err := c.CreateTopic(testContext(t), &tidingsv1.CreateTopicRequest{Topic: &tidingsv1.Topic{Name: topic}}); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			publishN(t, c, topic, 3)
		}
		for {
			response, err := stream.stream.Recv()
			if err != nil {
				wantRefusal(t, err, because(codes.FailedPrecondition, "SUBSCRIPTION_DETACHED", "subscription", s, "topic", topic))
				break
			}
			if response.GetDeliveries() != nil {
				t.Fatalf("events of another topic are delivered: %v", response)
			}
		}
	}))
}

func TestPause(t *testing.T) {
	pause := func(t *testing.T, c client, s string, paused bool) {
		t.Helper()
		got := change(t, c, &tidingsv1.Subscription{Name: s, Paused: paused}, "paused")
		if got.GetPaused() != paused {
			t.Fatalf("updated to %v", got)
		}
	}
	t.Run("and resume", each(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c)
		events := publishN(t, c, topic, 3)
		first := pull(t, c, s, 1)
		pause(t, c, s, true)
		wantNothing(t, c, s)
		wantSettled(t, c, s, applied, nack(first[0].GetDeliveryToken(), retryAtOnce)) // What is leased can be settled.
		response, err := c.Pull(testContext(t), &tidingsv1.PullRequest{Subscription: s, MaxWait: durationpb.New(100 * time.Millisecond)})
		if err != nil || len(response.GetDeliveries()) != 0 {
			t.Fatal(response, err)
		}
		pause(t, c, s, false)
		got := pull(t, c, s, 3)
		wantIDs(t, got, events...)
		wantAttempt(t, got[0], 2, "")
		wantAttempt(t, got[1], 1, "")
	}))
	for _, d := range streams {
		t.Run("beside a stream/"+d.name, some(func(t *testing.T, c client) {
			topic, s := newSubscribed(t, c)
			stream, _ := d.open(t, c, s, nil)
			for range 3 {
				events := publishN(t, c, topic, 1)
				got := stream.next()
				wantIDs(t, []*tidingsv1.Delivery{got}, events...)
				pause(t, c, s, true)
				events = publishN(t, c, topic, 2)
				wantStatuses(t, statuses(stream.settle(ack(got.GetDeliveryToken()))), applied)
				if leased := show(t, c, s).GetStatistics(); leased.GetInFlightEvents() != 0 || leased.GetBacklogEvents() != 2 {
					t.Fatalf("while it is paused: %v", leased)
				}
				pause(t, c, s, false)
				both := []*tidingsv1.Delivery{stream.next(), stream.next()}
				wantIDs(t, both, events...)
				ackAll(t, c, s, both...)
			}
		}, d.need...))
	}
	t.Run("from the beginning", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c, func(s *tidingsv1.Subscription) { s.Paused = true })
		events := publishN(t, c, topic, 2)
		wantNothing(t, c, s)
		stream := receive(t, testContext(t), c, &tidingsv1.ReceiveRequest{Subscription: s, HeartbeatInterval: everySecond})
		stream.quiet()
		if _, err := c.UpdateSubscription(testContext(t), &tidingsv1.UpdateSubscriptionRequest{
			Subscription: &tidingsv1.Subscription{Name: s}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"paused"}},
		}); err != nil {
			t.Fatal(err)
		}
		wantIDs(t, []*tidingsv1.Delivery{stream.next(), stream.next()}, events...)
	}))
	t.Run("settings in force when the update returns", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c, func(s *tidingsv1.Subscription) { s.AckDeadline = nil })
		publishN(t, c, topic, 2)
		first := pull(t, c, s, 1)[0]
		if left := time.Until(first.GetDeadline().AsTime()); left > 31*time.Second || left < time.Second {
			t.Errorf("leased for %s", left)
		}
		change(t, c, &tidingsv1.Subscription{
			Name: s, AckDeadline: durationpb.New(time.Hour), RetryPolicy: &tidingsv1.RetryPolicy{Attempts: &tidingsv1.RetryPolicy_MaxAttempts{MaxAttempts: 1}},
		}, "ack_deadline", "retry_policy.max_attempts")
		second := pull(t, c, s, 1)[0]
		if left := time.Until(second.GetDeadline().AsTime()); left < 50*time.Minute {
			t.Errorf("leased for %s", left)
		}
		wantSettled(t, c, s, applied, nack(first.GetDeliveryToken(), nil), nack(second.GetDeliveryToken(), nil))
		wantDead(t, c, s, 2, 0)
	}))
}
