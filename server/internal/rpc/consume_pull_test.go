package rpc_test

import (
	"context"
	"math"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

func TestPull(t *testing.T) {
	t.Run("without a wait", each(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c)
		wantNothing(t, c, s)
		events := publishN(t, c, topic, 3)
		for round := range 3 {
			got := pullNow(t, c, s)
			wantIDs(t, got, events...)
			wantNothing(t, c, s) // They are leased.
			if round == 0 {
				ackAll(t, c, s, got...)
				events = publishN(t, c, topic, 3)
				continue
			}
			for i := range got {
				wantSettled(t, c, s, applied, nack(got[i].GetDeliveryToken(), retryAtOnce))
			}
		}
		wantIDs(t, pullNow(t, c, s), events...)
	}))
	t.Run("without a wait, of events that the filter leaves out", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c, filtered(&tidingsv1.EventFilter{EventTypes: []string{orderPaid}}))
		publishN(t, c, topic, 500)
		wantNothing(t, c, s)
		want := event(t, "paid", paid("o"))
		publish(t, c, topic, want)
		wantIDs(t, pullNow(t, c, s), want)
		wantNothing(t, c, s)
	}))
	t.Run("without a wait, beside a stream", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c)
		stream := receive(t, testContext(t), c, &tidingsv1.ReceiveRequest{Subscription: s, Window: &tidingsv1.FlowControl{MaxEvents: 1}})
		for range 5 {
			events := publishN(t, c, topic, 2)
			first := stream.next()
			wantIDs(t, []*tidingsv1.Delivery{first}, events[0])
			rest := pullNow(t, c, s)
			wantIDs(t, rest, events[1])
			ackAll(t, c, s, rest[0], first)
		}
	}))
	t.Run("in parts", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c)
		events := publishN(t, c, topic, 250)
		var all []string
		for _, most := range []int32{1, 50, 0, 1000} {
			response, err := c.Pull(testContext(t), &tidingsv1.PullRequest{Subscription: s, MaxEvents: most})
			if err != nil {
				t.Fatal(err)
			}
			got := response.GetDeliveries()
			if want := map[int32]int{1: 1, 50: 50, 0: 100, 1000: 99}[most]; len(got) != want {
				t.Errorf("%d events for max_events %d, want %d", len(got), most, want)
			}
			all = append(all, idsOf(got)...)
		}
		if !slices.Equal(all, ids(events)) {
			t.Errorf("pulled were %v, want %v", all, ids(events))
		}
	}))
	t.Run("more than may be", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c)
		publishN(t, c, topic, 1001)
		for _, want := range []int{1000, 1, 0} {
			response, err := c.Pull(testContext(t), &tidingsv1.PullRequest{Subscription: s, MaxEvents: math.MaxInt32})
			if got := len(response.GetDeliveries()); err != nil || got != want {
				t.Fatalf("%d events, %v, want %d", got, err, want)
			}
		}
	}))
	t.Run("waits", each(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c)
		before := time.Now()
		response, err := c.Pull(testContext(t), &tidingsv1.PullRequest{Subscription: s, MaxWait: durationpb.New(300 * time.Millisecond)})
		if took := time.Since(before); err != nil || len(response.GetDeliveries()) != 0 || took < 299*time.Millisecond || took > 20*time.Second {
			t.Errorf("%v, %v after %s", response, err, took)
		}
		waiting := make(chan []*tidingsv1.Delivery)
		go func() {
			response, err := c.Pull(testContext(t), &tidingsv1.PullRequest{Subscription: s, MaxWait: durationpb.New(time.Minute)})
			if err != nil {
				t.Error(err)
			}
			waiting <- response.GetDeliveries()
		}()
		events := publishN(t, c, topic, 1)
		wantIDs(t, <-waiting, events...)
	}))
	t.Run("cancelled", each(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c, ackWithin(2*time.Second), backoffNone)
		for range 5 {
			ctx, cancel := context.WithTimeout(testContext(t), 20*time.Millisecond)
			_, err := c.Pull(ctx, &tidingsv1.PullRequest{Subscription: s, MaxWait: durationpb.New(time.Minute)})
			cancel()
			if err == nil {
				t.Fatal("it came back before it was cancelled")
			}
		}
		// None of them keeps anything. What the server was just sending to one when
		// it heard of its end comes after the deadline.
		events := publishN(t, c, topic, 5)
		var got []string
		for len(got) < len(events) {
			for _, d := range pull(t, c, s, 1) {
				ackAll(t, c, s, d)
				got = append(got, d.GetRecorded().GetEvent().GetId())
			}
		}
		slices.Sort(got)
		if want := slices.Sorted(slices.Values(ids(events))); !slices.Equal(got, want) {
			t.Errorf("came %v, want %v", got, want)
		}
	}))
	invalid := because(codes.InvalidArgument, "REQUEST_INVALID")
	for name, test := range map[string]struct {
		request *tidingsv1.PullRequest
		want    refusal
	}{
		"bad name":        {&tidingsv1.PullRequest{Subscription: "A"}, invalid.at("subscription")},
		"negative number": {&tidingsv1.PullRequest{Subscription: "a", MaxEvents: -1}, invalid.at("max_events")},
		"negative wait":   {&tidingsv1.PullRequest{Subscription: "a", MaxWait: durationpb.New(-1)}, invalid.at("max_wait")},
		"long wait":       {&tidingsv1.PullRequest{Subscription: "a", MaxWait: durationpb.New(time.Minute + 1)}, invalid.at("max_wait")},
		"not found":       {&tidingsv1.PullRequest{Subscription: "a"}, because(codes.NotFound, "SUBSCRIPTION_NOT_FOUND", "subscription", "a")},
	} {
		t.Run("refused/"+name, some(func(t *testing.T, c client) {
			_, err := c.Pull(testContext(t), test.request)
			wantRefusal(t, err, test.want)
		}))
	}
}
