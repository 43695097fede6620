package rpc_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// TestInvalidSettlements settles three events at once, the second of them in a way
// that breaks a rule: it stays leased, and nothing else is touched.
func TestInvalidSettlements(t *testing.T) {
	delayed := func(kind tidingsv1.NackKind, delay time.Duration) func(string) *tidingsv1.Settlement {
		return func(token string) *tidingsv1.Settlement {
			return nack(token, &tidingsv1.Nack{Kind: kind, Delay: durationpb.New(delay)})
		}
	}
	extended := func(d *durationpb.Duration) func(string) *tidingsv1.Settlement {
		return func(token string) *tidingsv1.Settlement {
			return &tidingsv1.Settlement{DeliveryToken: token, Action: &tidingsv1.Settlement_Extend{
				Extend: &tidingsv1.ExtendDeadline{Duration: d},
			}}
		}
	}
	const retry = tidingsv1.NackKind_NACK_KIND_RETRY
	tests := []struct {
		name string
		bad  func(token string) *tidingsv1.Settlement
		want string // Part of the message.
	}{
		{"no action", func(token string) *tidingsv1.Settlement { return &tidingsv1.Settlement{DeliveryToken: token} }, "action: "},
		{"long token", func(token string) *tidingsv1.Settlement { return ack(token + strings.Repeat("x", 257-len(token))) }, "delivery_token: must be at most 256"},
		{"long token and no action", func(string) *tidingsv1.Settlement {
			return &tidingsv1.Settlement{DeliveryToken: strings.Repeat("x", 257)}
		}, "action: "},
		{"unknown nack", func(token string) *tidingsv1.Settlement { return nack(token, &tidingsv1.Nack{Kind: 17}) }, "nack.kind: "},
		{"negative delay", delayed(retry, -1), "nack.delay: "},
		{"long delay", delayed(retry, 24*time.Hour+1), "nack.delay: "},
		{"delay of a dead letter", delayed(toDeadLetter.GetKind(), time.Second), "delay is for NACK_KIND_RETRY and NACK_KIND_RELEASE"},
		{"delay of a drop", delayed(dropped.GetKind(), 0), "delay is for NACK_KIND_RETRY and NACK_KIND_RELEASE"},
		{"no duration", extended(nil), "extend.duration: "},
		{"short extension", extended(durationpb.New(time.Second - 1)), "extend.duration: "},
		{"long extension", extended(durationpb.New(time.Hour + 1)), "extend.duration: "},
		{"negative extension", extended(durationpb.New(-time.Second)), "extend.duration: "},
	}
	for _, d := range doors {
		t.Run(d.name, some(func(t *testing.T, c client) {
			topic, s := newSubscribed(t, c, ackWithin(time.Hour))
			door := d.open(t, testContext(t), c, s)
			for _, test := range tests {
				publishN(t, c, topic, 3)
				held := []*tidingsv1.Delivery{door.next()} // A stream has a window of one.
				held = append(held, pull(t, c, s, 2)...)
				results := door.settle(ack(held[0].GetDeliveryToken()), test.bad(held[1].GetDeliveryToken()), ack(held[2].GetDeliveryToken()))
				wantStatuses(t, statuses(results), applied, invalidSettlement, applied)
				if got := results[1]; !strings.Contains(got.GetMessage(), test.want) || got.GetDeadline() != nil {
					t.Errorf("%s: %v, want a message with %q", test.name, got, test.want)
				}
				if results[0].GetMessage() != "" {
					t.Errorf("%s: a neighbour gets %v", test.name, results[0])
				}
				if got := show(t, c, s).GetStatistics(); got.GetInFlightEvents() != 1 || got.GetRetryingEvents() != 0 || got.GetDeadLetteredEvents() != 0 {
					t.Errorf("%s: the statistics are %v", test.name, got)
				}
				wantStatuses(t, statuses(door.settle(ack(held[1].GetDeliveryToken()))), applied)
			}
		}, d.need...))
	}
}

func TestTooManySettlements(t *testing.T) {
	const most = 10_000
	invalid := because(codes.InvalidArgument, "REQUEST_INVALID", "limit", "10000")
	acks, tokens := slices.Repeat([]*tidingsv1.Settlement{ack("x")}, most+1), slices.Repeat([]string{"x"}, most+1)
	named := func(t *testing.T, err error, field string) {
		t.Helper()
		wantRefusal(t, err, invalid.at(field))
		if !strings.Contains(err.Error(), "at most 10000") {
			t.Errorf("%v doesn't say how many are allowed", err)
		}
	}
	t.Run("Settle", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c)
		publishN(t, c, topic, 1)
		token := pull(t, c, s, 1)[0].GetDeliveryToken()
		_, err := c.Settle(testContext(t), &tidingsv1.SettleRequest{Subscription: s, Settlements: append(slices.Clone(acks[1:]), ack(token))})
		named(t, err, "settlements")
		ackAll(t, c, s, &tidingsv1.Delivery{DeliveryToken: token}) // Nothing of the request was done.
	}))
	t.Run("Consume", some(func(t *testing.T, c client) {
		_, s := newSubscribed(t, c)
		named(t, consumeRefused(t, c, openOf(&tidingsv1.ConsumeOpen{Subscription: s}), settleOf(acks...)), "settle.settlements")
		named(t, consumeRefused(t, c, openOf(&tidingsv1.ConsumeOpen{Subscription: s, HeldDeliveryTokens: tokens})), "open.held_delivery_tokens")
	}, fullDuplex))
	t.Run("Receive", some(func(t *testing.T, c client) {
		_, s := newSubscribed(t, c)
		named(t, receiveRefused(t, c, &tidingsv1.ReceiveRequest{Subscription: s, HeldDeliveryTokens: tokens}), "held_delivery_tokens")
		held := receive(t, testContext(t), c, &tidingsv1.ReceiveRequest{Subscription: s, HeldDeliveryTokens: tokens[1:]}).opened.GetHeld()
		wantStatuses(t, statuses(held), slices.Repeat([]tidingsv1.SettlementStatus{malformed}, most)...)
	}))
	t.Run("as many as may be", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c)
		publishN(t, c, topic, 300)
		var settlements []*tidingsv1.Settlement
		for _, d := range pull(t, c, s, 300) {
			settlements = append(settlements, nack(d.GetDeliveryToken(), &tidingsv1.Nack{
				Kind: tidingsv1.NackKind_NACK_KIND_DEAD_LETTER, Reason: strings.Repeat("☕", 1024),
			}))
		}
		for len(settlements) < most {
			settlements = append(settlements, ack(fmt.Sprint("x", len(settlements))))
		}
		for i, got := range settleNow(t, c, s, settlements...) {
			want := malformed
			if i < 300 {
				want = applied
			}
			if got != want {
				t.Fatalf("settlement %d: %v", i, got)
			}
		}
		wantDead(t, c, s, 300, 0)
	}))
	t.Run("none", each(func(t *testing.T, c client) {
		_, s := newSubscribed(t, c)
		if got := settleNow(t, c, s); len(got) != 0 {
			t.Errorf("got %v", got)
		}
	}))
}

// TestLongReason: the first characters of a reason are kept, wherever it comes in,
// and the rest takes no room anywhere.
func TestLongReason(t *testing.T) {
	kept := strings.Repeat("☕", 1024)
	for _, d := range doors {
		t.Run(d.name, some(func(t *testing.T, c client) {
			topic, s := newSubscribed(t, c)
			publishN(t, c, topic, 1)
			door := d.open(t, testContext(t), c, s)
			for _, n := range []*tidingsv1.Nack{
				{Reason: kept + "☕", Delay: durationpb.New(0)},
				{Reason: kept, Delay: durationpb.New(0)},
				{Reason: kept + strings.Repeat("x", 100_000), Kind: released.GetKind()},
			} {
				wantStatuses(t, statuses(door.settle(nack(door.next().GetDeliveryToken(), n))), applied)
			}
			got := door.next()
			if got.GetLastNackReason() != kept {
				t.Errorf("%d bytes are kept of the reason", len(got.GetLastNackReason()))
			}
			last := &tidingsv1.Nack{Kind: toDeadLetter.GetKind(), Reason: "a" + kept}
			wantStatuses(t, statuses(door.settle(nack(got.GetDeliveryToken(), last))), applied)
			dead := listDeadLetters(t, c, s, nil)
			if want := last.GetReason()[:len(last.GetReason())-len("☕")]; len(dead) != 1 || dead[0].GetLastNackReason() != want {
				t.Errorf("the dead letters are %v", dead)
			}
		}, d.need...))
	}
}
