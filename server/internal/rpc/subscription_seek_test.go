package rpc_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

func fromTime(at time.Time) *tidingsv1.StartPosition {
	return &tidingsv1.StartPosition{Position: &tidingsv1.StartPosition_Time{Time: timestamppb.New(at)}}
}

// pullRest pulls all that there is.
func pullRest(t *testing.T, c client, subscription string) []int64 {
	t.Helper()
	var list []int64
	for {
		got := pullNow(t, c, subscription)
		if len(got) == 0 {
			return list
		}
		for _, d := range got {
			list = append(list, d.GetRecorded().GetSequence())
		}
	}
}

// TestSubscriptionPositions looks at positions that are yet to come, and comes there.
func TestSubscriptionPositions(t *testing.T) {
	t.Run("at a time to come", some(func(t *testing.T, c client) {
		topic, moved := newSubscribed(t, c)
		publishN(t, c, topic, 2)
		at := time.Now().Add(300 * time.Millisecond)
		begun := newName()
		deleteAtEnd(t, c, topic, begun)
		if _, err := c.CreateSubscription(testContext(t), &tidingsv1.CreateSubscriptionRequest{
			Subscription: &tidingsv1.Subscription{Name: begun, Topic: topic}, Start: fromTime(at),
		}); err != nil {
			t.Fatal(err)
		}
		seek(t, c, moved, fromTime(at))
		reader := openRead(t, c, &tidingsv1.ReadRequest{Topic: topic, Start: fromTime(at)})
		reader.untilFrame(isCaughtUp)
		var want []int64
		for len(want) < 3 {
			published := publish(t, c, topic, event(t, newName(), placed("o")))[0].GetSequence()
			got, err := c.GetEvent(testContext(t), &tidingsv1.GetEventRequest{Topic: topic, Sequence: published})
			if err != nil {
				t.Fatal(err)
			}
			if early := got.GetRecorded().GetPublishTime().AsTime().Before(at); !early {
				want = append(want, published)
			}
		}
		if got := reader.untilEvents(3).sequences(); !slices.Equal(got, want) {
			t.Errorf("read are %d, want %d", got, want)
		}
		for _, s := range []string{begun, moved} {
			if got := pullRest(t, c, s); !slices.Equal(got, want) {
				t.Errorf("delivered are %d, want %d", got, want)
			}
		}
		seek(t, c, moved, fromEarliest)
		if got := pullRest(t, c, moved); len(got) < 5 {
			t.Errorf("after a seek to the beginning come %d", got)
		}
	}))
	t.Run("in the future", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c)
		publishN(t, c, topic, 2)
		seek(t, c, s, fromSequence(6))
		publishN(t, c, topic, 2)
		wantNothing(t, c, s)
		events := publishN(t, c, topic, 3)
		wantIDs(t, pull(t, c, s, 2), events[1:]...)
		seek(t, c, s, fromSequence(1<<63-1))
		publishN(t, c, topic, 1)
		wantNothing(t, c, s)
		seek(t, c, s, fromSequence(7))
		wantIDs(t, pull(t, c, s, 1), events[2])
	}))
}

func TestSeek(t *testing.T) {
	for _, d := range doors {
		t.Run("tokens from before/"+d.name, some(func(t *testing.T, c client) {
			topic, s := newSubscribed(t, c)
			events := publishN(t, c, topic, 2)
			door := d.open(t, testContext(t), c, s)
			acked := door.next().GetDeliveryToken()
			wantStatuses(t, statuses(door.settle(ack(acked))), applied)
			old := door.next()
			wantStatuses(t, statuses(door.settle(nack(old.GetDeliveryToken(), retryAtOnce))), applied)
			old = door.next()
			wantAttempt(t, old, 2, "")
			seek(t, c, s, fromEarliest)
			token := old.GetDeliveryToken()
			lost := door.settle(ack(token), nack(token, retryAtOnce), nack(token, released), nack(token, dropped), nack(token, toDeadLetter), extend(token, time.Minute), ack(acked))
			wantStatuses(t, statuses(lost), leaseLost, leaseLost, leaseLost, leaseLost, leaseLost, leaseLost, leaseLost)
			for _, want := range events {
				got := door.next()
				wantIDs(t, []*tidingsv1.Delivery{got}, want)
				wantAttempt(t, got, 1, "")
				if got.GetDeliveryToken() == acked || got.GetDeliveryToken() == token {
					t.Error("a token from before came again")
				}
				wantStatuses(t, statuses(door.settle(ack(got.GetDeliveryToken()))), applied)
			}
			wantDead(t, c, s, 0, 0)
		}, d.need...))
	}
	t.Run("while a stream consumes", some(seekWhileConsuming, fullDuplex))
}

// seekWhileConsuming seeks to the end, again and again, while a stream consumes
// what is published: once a seek has returned, the server sends nothing that was
// stored before it. What it had sent is in flight then; the answer to a change
// of the window comes behind it.
func seekWhileConsuming(t *testing.T, c client) {
	const seeks = 15
	topic, s := newSubscribed(t, c)
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	// So few that they have room in the connection while nobody reads: the server
	// waits for who doesn't.
	stream := consume(t, ctx, c, &tidingsv1.ConsumeOpen{Subscription: s, Window: &tidingsv1.FlowControl{MaxEvents: 50}})
	published, data := make(chan error), event(t, "x", placed("o")).GetData()
	go func() {
		for i := 0; ; i++ {
			_, err := c.Publish(ctx, &tidingsv1.PublishRequest{Topic: topic, Events: []*tidingsv1.Event{{Id: fmt.Sprint(i), Source: "/seek", Data: data}}})
			if err != nil {
				published <- err
				return
			}
			select { // Nobody has to keep up with what a fast machine can publish.
			case <-time.After(time.Millisecond):
			case <-ctx.Done():
			}
		}
	}()
	for range seeks {
		stream.take(5) // It goes on.
		cursor := seek(t, c, s, fromNew)
		stream.changeWindow(&tidingsv1.FlowControl{MaxEvents: 50})
		before := stream.pending
		stream.pending = nil
		after := stream.take(5)
		// The first event after the cursor, by reading.
		first := openRead(t, c, &tidingsv1.ReadRequest{Topic: topic, Start: fromCursor(cursor), MaxEvents: 1}).untilEnd().sequences()[0]
		for _, d := range before { // Some may have been leased after the seek.
			sequence := d.GetRecorded().GetSequence()
			if status := settleNow(t, c, s, ack(d.GetDeliveryToken()))[0]; status != leaseLost && sequence < first {
				t.Fatalf("acknowledging %d after the seek to %d: %v", sequence, first, status)
			}
		}
		for _, d := range after {
			if sequence := d.GetRecorded().GetSequence(); sequence < first || d.GetAttempt() != 1 {
				t.Fatalf("attempt %d of %d came after the seek to %d had returned", d.GetAttempt(), sequence, first)
			}
		}
		ackAll(t, c, s, after...)
	}
	cancel()
	if err := <-published; ctx.Err() == nil {
		t.Fatal(err)
	}
}

// TestSeekExact moves back and forth among what is leased.
func TestSeekExact(t *testing.T) {
	t.Run("again and again", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c, backoffNone)
		events := publishN(t, c, topic, 20)
		all := pull(t, c, s, 20)
		for i := range 10 {
			seek(t, c, s, fromCursor(all[2*i].GetRecorded().GetCursor()))
			response, err := c.Pull(testContext(t), &tidingsv1.PullRequest{Subscription: s, MaxEvents: 5, MaxWait: durationpb.New(time.Second)})
			if err != nil {
				t.Fatal(err)
			}
			want := events[2*i+1:]
			wantIDs(t, response.GetDeliveries(), want[:min(5, len(want))]...)
			for j, d := range response.GetDeliveries() {
				if d.GetAttempt() != 1 {
					t.Errorf("attempt %d", d.GetAttempt())
				}
				if j%2 == 0 {
					wantSettled(t, c, s, applied, nack(d.GetDeliveryToken(), nil))
				}
			}
		}
	}))
}
