package rpc_test

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// redrive redrives the dead letters that a filter takes, which have to be so
// many.
func redrive(t *testing.T, c client, subscription string, f *tidingsv1.DeadLetterFilter, want int64) {
	t.Helper()
	response, err := c.RedriveDeadLetters(testContext(t), &tidingsv1.RedriveDeadLettersRequest{Subscription: subscription, Filter: f})
	if err != nil || response.GetRedrivenCount() != want || response.GetRemainingCount() != 0 {
		t.Fatalf("redriving: %v, %v; want %d", response, err, want)
	}
}

// purge purges the dead letters that a filter takes, which have to be so many.
func purge(t *testing.T, c client, subscription string, f *tidingsv1.DeadLetterFilter, want int64) {
	t.Helper()
	response, err := c.PurgeDeadLetters(testContext(t), &tidingsv1.PurgeDeadLettersRequest{Subscription: subscription, Filter: f})
	if err != nil || response.GetPurgedCount() != want {
		t.Fatalf("purging: %v, %v; want %d", response, err, want)
	}
}

// wantDead fails the test unless the statistics count so many dead letters and
// so many events that wait, and none that is leased.
func wantDead(t *testing.T, c client, subscription string, dead, waiting int64) {
	t.Helper()
	got := show(t, c, subscription).GetStatistics()
	if got.GetDeadLetteredEvents() != dead || got.GetInFlightEvents() != 0 || got.GetRetryingEvents() != waiting {
		t.Fatalf("the statistics are %v, want %d dead, %d waiting", got, dead, waiting)
	}
}

func TestRedrive(t *testing.T) {
	for _, d := range doors {
		t.Run("all/"+d.name, some(func(t *testing.T, c client) {
			topic, s := newSubscribed(t, c)
			events := publishN(t, c, topic, 3)
			before := bury(t, c, s, 3)
			wantDead(t, c, s, 3, 0)
			redrive(t, c, s, nil, 3)
			wantLetters(t, c, s, nil)
			wantDead(t, c, s, 0, 3)
			redrive(t, c, s, nil, 0)
			door := d.open(t, testContext(t), c, s)
			for i, want := range events {
				got := door.next()
				wantIDs(t, []*tidingsv1.Delivery{got}, want)
				if got.GetAttempt() != 1 || !got.GetRedriven() || got.GetDeliveryToken() == before[i].GetDeliveryToken() {
					t.Errorf("redriven came %v, before it %v", got, before[i])
				}
				// The token from before it died settles nothing, and says that it was
				// made a dead letter no more.
				old := before[i].GetDeliveryToken()
				wantStatuses(t, statuses(door.settle(ack(old), nack(old, toDeadLetter))), leaseLost, leaseLost)
				redrive(t, c, s, nil, 0) // It is leased.
				wantStatuses(t, statuses(door.settle(ack(got.GetDeliveryToken()))), applied)
				wantStatuses(t, statuses(door.settle(ack(got.GetDeliveryToken()), nack(got.GetDeliveryToken(), toDeadLetter))), already, leaseLost)
			}
			redrive(t, c, s, nil, 0)
			wantDead(t, c, s, 0, 0)
			wantNothing(t, c, s)
		}, d.need...))
	}
	t.Run("of a filter and a time", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c)
		events := publishN(t, c, topic, 4, func(i int, e *tidingsv1.Event) { e.Subject = string(rune('a' + i)) })
		bury(t, c, s, 2)
		died := listDeadLetters(t, c, s, nil)[1].GetDeadLetterTime()
		for !time.Now().After(died.AsTime().Add(2 * time.Millisecond)) {
			show(t, c, s)
		}
		bury(t, c, s, 2)
		redrive(t, c, s, &tidingsv1.DeadLetterFilter{Event: &tidingsv1.EventFilter{Cel: `event.subject == "b"`}}, 1)
		wantIDs(t, pull(t, c, s, 1), events[1])
		wantLetters(t, c, s, nil, events[0], events[2], events[3])
		later := listDeadLetters(t, c, s, nil)[1].GetDeadLetterTime()
		redrive(t, c, s, &tidingsv1.DeadLetterFilter{Before: later}, 1)
		wantIDs(t, pull(t, c, s, 1), events[0])
		redrive(t, c, s, &tidingsv1.DeadLetterFilter{Sequences: []int64{listDeadLetters(t, c, s, nil)[1].GetRecorded().GetSequence()}}, 1)
		wantIDs(t, pull(t, c, s, 1), events[3])
		wantLetters(t, c, s, nil, events[2])
	}))
	t.Run("dead again", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c, retrying(&tidingsv1.RetryPolicy{
			MinBackoff: durationpb.New(0), MaxBackoff: durationpb.New(0), Attempts: &tidingsv1.RetryPolicy_MaxAttempts{MaxAttempts: 3},
		}))
		events := publishN(t, c, topic, 1)
		bury(t, c, s, 1)
		var tokens []string
		for round := range 3 {
			first := listDeadLetters(t, c, s, nil)[0]
			redrive(t, c, s, nil, 1)
			began := time.Now().Truncate(time.Millisecond)
			for attempt := range int32(3) {
				got := pull(t, c, s, 1)[0]
				if got.GetAttempt() != attempt+1 || !got.GetRedriven() || attempt == 0 && got.GetLastNackReason() != "" {
					t.Fatalf("round %d: %v", round, got)
				}
				for _, old := range tokens {
					if old == got.GetDeliveryToken() {
						t.Fatal("a token came again")
					}
					wantSettled(t, c, s, leaseLost, ack(old))
				}
				tokens = append(tokens, got.GetDeliveryToken())
				wantSettled(t, c, s, applied, nack(got.GetDeliveryToken(), &tidingsv1.Nack{Reason: "again"}))
			}
			letters := listDeadLetters(t, c, s, nil)
			if len(letters) != 1 {
				t.Fatalf("the dead letters are %v", letters)
			}
			got := letters[0]
			if got.GetAttempts() != 3 || got.GetCause() != tidingsv1.DeadLetterCause_DEAD_LETTER_CAUSE_MAX_ATTEMPTS ||
				got.GetFirstAttemptTime().AsTime().Before(began) || got.GetDeadLetterTime().AsTime().Before(first.GetDeadLetterTime().AsTime()) {
				t.Errorf("round %d, since %s: %v", round, began, got)
			}
			wantLetters(t, c, s, nil, events...)
			wantDead(t, c, s, 1, 0)
		}
	}))
	t.Run("dropped", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c)
		publishN(t, c, topic, 1)
		bury(t, c, s, 1)
		redrive(t, c, s, nil, 1)
		token := pull(t, c, s, 1)[0].GetDeliveryToken()
		wantSettled(t, c, s, applied, nack(token, dropped))
		wantSettled(t, c, s, already, nack(token, dropped))
		redrive(t, c, s, nil, 0)
		wantDead(t, c, s, 0, 0)
	}))
	t.Run("after a seek", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c)
		events := publishN(t, c, topic, 2)
		before := bury(t, c, s, 2)
		seek(t, c, s, fromNew)
		wantLetters(t, c, s, nil, events...)
		redrive(t, c, s, &tidingsv1.DeadLetterFilter{Sequences: []int64{before[0].GetRecorded().GetSequence()}}, 1)
		redriven := pull(t, c, s, 1)[0]
		wantIDs(t, []*tidingsv1.Delivery{redriven}, events[0])
		// What was redriven and isn't settled is a dead letter again.
		seek(t, c, s, fromEarliest)
		wantSettled(t, c, s, leaseLost, ack(redriven.GetDeliveryToken()), ack(before[0].GetDeliveryToken()))
		wantLetters(t, c, s, nil, events...)
		// The events come once more, beside their dead letters.
		again := pull(t, c, s, 2)
		wantIDs(t, again, events...)
		for _, d := range again {
			if d.GetRedriven() || d.GetAttempt() != 1 {
				t.Errorf("after the seek came %v", d)
			}
		}
		redrive(t, c, s, nil, 0) // They are being redelivered.
		ackAll(t, c, s, again...)
		wantLetters(t, c, s, nil, events...)
		redrive(t, c, s, nil, 2)
		wantIDs(t, pull(t, c, s, 2), events...)
	}))
	t.Run("seek to what is redriven", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c)
		events := publishN(t, c, topic, 2)
		bury(t, c, s, 1)
		redrive(t, c, s, nil, 1)
		seek(t, c, s, fromEarliest)
		got := pull(t, c, s, 2)
		wantIDs(t, got, events...)
		ackAll(t, c, s, got...)
		wantLetters(t, c, s, nil, events[0])
		seek(t, c, s, fromEarliest)
		redrive(t, c, s, nil, 1)
		// It came from the dead letters before the topic gives it: once.
		got = pull(t, c, s, 2)
		wantNothing(t, c, s)
		wantIDs(t, got, events...)
		if !got[0].GetRedriven() || got[1].GetRedriven() {
			t.Errorf("came %v", got)
		}
	}))
	t.Run("of a removed event", some(func(t *testing.T, c client) {
		topic := newTopic(t, c, func(topic *tidingsv1.Topic) { topic.Settings.Retention = &optionsv1.Retention{MaxBytes: 64 << 10} })
		s := newSubscription(t, c, topic)
		deleteAtEnd(t, c, topic, s)
		want := bulky(t, "a", 8<<10)
		publish(t, c, topic, want)
		sequence := bury(t, c, s, 1)[0].GetRecorded().GetSequence()
		for _, id := range []string{"b", "c"} {
			publish(t, c, topic, bulky(t, id, 40<<10))
		}
		untilTopic(t, c, topic, func(s *tidingsv1.TopicStatistics) bool { return s.GetStoredBytes() <= 64<<10 })
		_, err := c.GetEvent(testContext(t), &tidingsv1.GetEventRequest{Topic: topic, Sequence: sequence})
		wantRefusal(t, err, because(codes.NotFound, "EVENT_NOT_FOUND").and("topic", topic).and("sequence", anything))
		wantLetters(t, c, s, nil, want)
		redrive(t, c, s, nil, 1)
		got := pull(t, c, s, 1)[0]
		wantIDs(t, []*tidingsv1.Delivery{got}, want)
		// It can die and be redriven still.
		wantSettled(t, c, s, applied, nack(got.GetDeliveryToken(), retryAtOnce))
		wantSettled(t, c, s, applied, nack(pull(t, c, s, 1)[0].GetDeliveryToken(), toDeadLetter))
		redrive(t, c, s, nil, 1)
		ackAll(t, c, s, pull(t, c, s, 1)...)
		wantLetters(t, c, s, nil)
	}))
}

func TestPurge(t *testing.T) {
	t.Run("all and some", each(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c)
		events := publishN(t, c, topic, 5)
		deliveries := bury(t, c, s, 5)
		purge(t, c, s, &tidingsv1.DeadLetterFilter{Sequences: []int64{deliveries[1].GetRecorded().GetSequence(), deliveries[3].GetRecorded().GetSequence()}}, 2)
		wantLetters(t, c, s, nil, events[0], events[2], events[4])
		wantDead(t, c, s, 3, 0)
		redrive(t, c, s, nil, 3)
		purge(t, c, s, nil, 0) // They aren't dead letters any more.
		got := pull(t, c, s, 3)
		wantIDs(t, got, events[0], events[2], events[4])
		wantSettled(t, c, s, applied, nack(got[0].GetDeliveryToken(), toDeadLetter))
		purge(t, c, s, nil, 1)
		ackAll(t, c, s, got[1:]...)
		purge(t, c, s, nil, 0)
		wantDead(t, c, s, 0, 0)
		wantNothing(t, c, s)
	}))
	t.Run("of many", some(func(t *testing.T, c client) {
		const count = 1200 // More than what the owner is asked for at once.
		topic, s := newSubscribed(t, c)
		publishN(t, c, topic, count)
		for range count / 400 {
			bury(t, c, s, 400)
		}
		wantDead(t, c, s, count, 0)
		redrive(t, c, s, nil, count)
		wantDead(t, c, s, 0, count)
		for range count / 400 {
			bury(t, c, s, 400)
		}
		purge(t, c, s, nil, count)
		wantDead(t, c, s, 0, 0)
		wantLetters(t, c, s, nil)
	}, need{"one transport shows it: nothing of it is the transport's", func(t transport) bool { return t.native }}))
}
