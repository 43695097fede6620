package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

func openOf(open *tidingsv1.ConsumeOpen) *tidingsv1.ConsumeRequest {
	return &tidingsv1.ConsumeRequest{Request: &tidingsv1.ConsumeRequest_Open{Open: open}}
}

func settleOf(settlements ...*tidingsv1.Settlement) *tidingsv1.ConsumeRequest {
	return &tidingsv1.ConsumeRequest{Request: &tidingsv1.ConsumeRequest_Settle{Settle: &tidingsv1.SettlementBatch{Settlements: settlements}}}
}

// consumeRefused sends requests and returns the error that ends the call.
func consumeRefused(t *testing.T, c client, requests ...*tidingsv1.ConsumeRequest) error {
	t.Helper()
	stream, err := c.consume(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range requests {
		if err := stream.Send(r); err != nil && !errors.Is(err, io.EOF) { // The reason is what Recv returns.
			t.Fatal(err)
		}
	}
	for {
		if _, err := stream.Recv(); err != nil {
			return err
		}
	}
}

// receiveRefused returns the error that ends a call.
func receiveRefused(t *testing.T, c client, r *tidingsv1.ReceiveRequest) error {
	t.Helper()
	stream, err := c.receive(testContext(t), r)
	if err != nil {
		return err
	}
	for {
		if _, err := stream.Recv(); err != nil {
			return err
		}
	}
}

func TestConsumeHeartbeat(t *testing.T) {
	// The first heartbeats come while nothing is delivered, at the interval.
	check := func(t *testing.T, opened *tidingsv1.ConsumeOpened, beat func()) {
		t.Helper()
		if got := opened.GetHeartbeatInterval().AsDuration(); got != time.Second {
			t.Fatalf("the interval is %s", got)
		}
		beat()
		before := time.Now()
		beat()
		beat()
		// What a loaded machine delays may follow faster.
		if took := time.Since(before); took < 1500*time.Millisecond || took > 20*time.Second {
			t.Errorf("two heartbeats took %s", took)
		}
	}
	t.Run("Consume", each(func(t *testing.T, c client) {
		_, s := newSubscribed(t, c)
		stream := consume(t, testContext(t), c, &tidingsv1.ConsumeOpen{Subscription: s, HeartbeatInterval: everySecond})
		check(t, stream.opened, stream.quiet)
	}, fullDuplex))
	t.Run("Receive", each(func(t *testing.T, c client) {
		_, s := newSubscribed(t, c)
		stream := receive(t, testContext(t), c, &tidingsv1.ReceiveRequest{Subscription: s, HeartbeatInterval: everySecond})
		check(t, stream.opened, stream.quiet)
	}))
	for name, interval := range map[string]time.Duration{"short": 999 * time.Millisecond, "long": 301 * time.Second, "negative": -time.Second, "zero": 0} {
		invalid := because(codes.InvalidArgument, "REQUEST_INVALID")
		t.Run("refused by Consume/"+name, some(func(t *testing.T, c client) {
			_, s := newSubscribed(t, c)
			err := consumeRefused(t, c, openOf(&tidingsv1.ConsumeOpen{Subscription: s, HeartbeatInterval: durationpb.New(interval)}))
			wantRefusal(t, err, invalid.at("open.heartbeat_interval"))
		}, fullDuplex))
		t.Run("refused by Receive/"+name, some(func(t *testing.T, c client) {
			_, s := newSubscribed(t, c)
			err := receiveRefused(t, c, &tidingsv1.ReceiveRequest{Subscription: s, HeartbeatInterval: durationpb.New(interval)})
			wantRefusal(t, err, invalid.at("heartbeat_interval"))
		}))
	}
}

func TestConsumeRefused(t *testing.T) {
	invalid := because(codes.InvalidArgument, "REQUEST_INVALID")
	for name, test := range map[string]struct {
		requests func(subscription string) []*tidingsv1.ConsumeRequest
		want     refusal
	}{
		"no open": {func(string) []*tidingsv1.ConsumeRequest {
			return []*tidingsv1.ConsumeRequest{settleOf(ack("x"))}
		}, invalid.at("open")},
		"a window first": {func(string) []*tidingsv1.ConsumeRequest {
			return []*tidingsv1.ConsumeRequest{{Request: &tidingsv1.ConsumeRequest_Window{Window: new(tidingsv1.FlowControl)}}}
		}, invalid.at("open")},
		"nothing first": {func(string) []*tidingsv1.ConsumeRequest {
			return []*tidingsv1.ConsumeRequest{{}}
		}, invalid.at("request")},
		"open again": {func(s string) []*tidingsv1.ConsumeRequest {
			open := openOf(&tidingsv1.ConsumeOpen{Subscription: s})
			return []*tidingsv1.ConsumeRequest{open, settleOf(ack("x")), open}
		}, invalid.at("open")},
		"nothing later": {func(s string) []*tidingsv1.ConsumeRequest {
			return []*tidingsv1.ConsumeRequest{openOf(&tidingsv1.ConsumeOpen{Subscription: s}), {}}
		}, invalid.at("request")},
		"bad name": {func(string) []*tidingsv1.ConsumeRequest {
			return []*tidingsv1.ConsumeRequest{openOf(&tidingsv1.ConsumeOpen{Subscription: "a.>"})}
		}, invalid.at("open.subscription")},
		"not found": {func(s string) []*tidingsv1.ConsumeRequest {
			return []*tidingsv1.ConsumeRequest{openOf(&tidingsv1.ConsumeOpen{Subscription: s + "x"})}
		}, because(codes.NotFound, "SUBSCRIPTION_NOT_FOUND").and("subscription", anything)},
		"no settlements": {func(s string) []*tidingsv1.ConsumeRequest {
			return []*tidingsv1.ConsumeRequest{openOf(&tidingsv1.ConsumeOpen{Subscription: s}), settleOf()}
		}, invalid.at("settle.settlements")},
	} {
		t.Run(name, each(func(t *testing.T, c client) {
			_, s := newSubscribed(t, c)
			wantRefusal(t, consumeRefused(t, c, test.requests(s)...), test.want)
		}, fullDuplex))
	}
}

// TestConsumeHalfClose: a client that ends its side gets an answer to all that
// it sent.
func TestConsumeHalfClose(t *testing.T) {
	t.Run("with answers", each(func(t *testing.T, c client) {
		const batches = 200
		topic, s := newSubscribed(t, c)
		publishN(t, c, topic, batches)
		deliveries := pull(t, c, s, batches)
		stream := consume(t, testContext(t), c, &tidingsv1.ConsumeOpen{Subscription: s})
		for i, d := range deliveries {
			stream.send(settleOf(ack(d.GetDeliveryToken()), ack(fmt.Sprint("x", i))))
		}
		if err := stream.stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		for i := range batches {
			for len(stream.settled) <= i {
				stream.frame()
			}
			if got := stream.settled[i].GetBatch(); got != int64(i) {
				t.Fatalf("answer %d is of batch %d", i, got)
			}
			wantStatuses(t, statuses(stream.settled[i].GetResults()), applied, malformed)
		}
		if got, err := stream.stream.Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("after the answers came %v, %v", got, err)
		}
		until(t, c, s, func(s *tidingsv1.SubscriptionStatistics) bool {
			return s.GetConsumers() == 0 && s.GetInFlightEvents() == 0
		})
	}, fullDuplex))
	t.Run("at once", each(func(t *testing.T, c client) {
		stream, err := c.consume(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		if got, err := stream.Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("got %v, %v", got, err)
		}
	}, fullDuplex))
}

// TestHeldTokens comes back to a subscription with what an earlier stream was
// given.
func TestHeldTokens(t *testing.T) {
	for _, d := range streams {
		t.Run(d.name, some(func(t *testing.T, c client) {
			topic, s := newSubscribed(t, c)
			other := newSubscription(t, c, topic)
			deleteAtEnd(t, c, topic, other)
			events := publishN(t, c, topic, 7)
			ctx, cancel := context.WithCancel(testContext(t))
			first := receive(t, ctx, c, &tidingsv1.ReceiveRequest{Subscription: s, Window: &tidingsv1.FlowControl{MaxEvents: 5}})
			var tokens []string
			for range 5 {
				tokens = append(tokens, first.next().GetDeliveryToken())
			}
			cancel()
			left := until(t, c, s, func(s *tidingsv1.SubscriptionStatistics) bool { return s.GetConsumers() == 0 })
			if left.GetInFlightEvents() != 5 { // The end of a stream leaves its leases.
				t.Fatalf("the statistics are %v", left)
			}
			wantSettled(t, c, s, applied, ack(tokens[0]), nack(tokens[1], retryLate), nack(tokens[2], toDeadLetter))
			held := slices.Concat(tokens, []string{tokens[3], "garbage", "", strings.Repeat("x", 257), pull(t, c, other, 1)[0].GetDeliveryToken()})
			want := []tidingsv1.SettlementStatus{already, already, already, applied, applied, applied, malformed, malformed, malformed, malformed}
			var stream door
			var opened *tidingsv1.ConsumeOpened
			var quiet func()
			window := &tidingsv1.FlowControl{MaxEvents: 2}
			if d.name == "Consume" {
				s := consume(t, testContext(t), c, &tidingsv1.ConsumeOpen{Subscription: s, Window: window, HeartbeatInterval: everySecond, HeldDeliveryTokens: held})
				stream, opened, quiet = s, s.opened, s.quiet
			} else {
				s := receive(t, testContext(t), c, &tidingsv1.ReceiveRequest{Subscription: s, Window: window, HeartbeatInterval: everySecond, HeldDeliveryTokens: held})
				stream, opened, quiet = s, s.opened, s.quiet
			}
			wantStatuses(t, statuses(opened.GetHeld()), want...)
			quiet() // The two that are held fill the window, however often they were named.
			wantStatuses(t, statuses(stream.settle(ack(tokens[3]))), applied)
			wantIDs(t, []*tidingsv1.Delivery{stream.next()}, events[5])
			quiet()
			wantStatuses(t, statuses(stream.settle(ack(tokens[4]))), applied)
			wantIDs(t, []*tidingsv1.Delivery{stream.next()}, events[6])
		}, d.need...))
	}
	t.Run("lost", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c)
		publishN(t, c, topic, 2)
		both := pull(t, c, s, 2)
		wantSettled(t, c, s, applied, nack(both[0].GetDeliveryToken(), retryAtOnce))
		again := pull(t, c, s, 1)[0]
		open := func(held ...string) []tidingsv1.SettlementStatus {
			return statuses(receive(t, testContext(t), c, &tidingsv1.ReceiveRequest{Subscription: s, HeldDeliveryTokens: held}).opened.GetHeld())
		}
		wantStatuses(t, open(both[0].GetDeliveryToken(), again.GetDeliveryToken()), leaseLost, applied)
		seek(t, c, s, fromNew)
		wantStatuses(t, open(both[0].GetDeliveryToken(), both[1].GetDeliveryToken(), again.GetDeliveryToken()), leaseLost, leaseLost, leaseLost)
	}))
	t.Run("takes from the stream that had it", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c)
		events := publishN(t, c, topic, 2)
		one := &tidingsv1.FlowControl{MaxEvents: 1}
		first := receive(t, testContext(t), c, &tidingsv1.ReceiveRequest{Subscription: s, Window: one})
		token := first.next().GetDeliveryToken()
		second := receive(t, testContext(t), c, &tidingsv1.ReceiveRequest{Subscription: s, Window: one, HeldDeliveryTokens: []string{token}})
		wantStatuses(t, statuses(second.opened.GetHeld()), applied)
		wantIDs(t, []*tidingsv1.Delivery{first.next()}, events[1]) // Its window is free again.
	}))
}
