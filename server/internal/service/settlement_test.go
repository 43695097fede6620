package service

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/tidings/server/internal/delivery"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// settlements are every kind of settlement, at and beyond every bound.
func settlements() []*tidingsv1.Settlement {
	var durations []*durationpb.Duration
	for _, seconds := range []int64{math.MinInt64, -1, 0, 1, 3599, 3600, 86399, 86400, 86401, math.MaxInt64} {
		for _, nanos := range []int32{math.MinInt32, -1, 0, 1, 999_999_999, 1_000_000_000} {
			durations = append(durations, &durationpb.Duration{Seconds: seconds, Nanos: nanos})
		}
	}
	durations = append(durations, nil)
	actions := []*tidingsv1.Settlement{
		{},
		{Action: &tidingsv1.Settlement_Ack{Ack: new(tidingsv1.Ack)}},
		{Action: &tidingsv1.Settlement_Ack{}},
		{Action: &tidingsv1.Settlement_Nack{}},
		{Action: &tidingsv1.Settlement_Extend{}},
	}
	for _, duration := range durations {
		actions = append(actions, &tidingsv1.Settlement{
			Action: &tidingsv1.Settlement_Extend{Extend: &tidingsv1.ExtendDeadline{Duration: duration}},
		})
		for kind := tidingsv1.NackKind(-1); int(kind) <= len(tidingsv1.NackKind_name); kind++ {
			for _, reason := range []string{"", strings.Repeat("☕", 2*maxReason)} {
				actions = append(actions, &tidingsv1.Settlement{
					Action: &tidingsv1.Settlement_Nack{Nack: &tidingsv1.Nack{Kind: kind, Delay: duration, Reason: reason}},
				})
			}
		}
	}
	var all []*tidingsv1.Settlement
	for _, token := range []string{"", "x", strings.Repeat("x", maxToken), strings.Repeat("x", maxToken+1)} {
		for _, action := range actions {
			one := proto.CloneOf(action)
			one.DeliveryToken = token
			all = append(all, one)
		}
	}
	return all
}

func TestPlainSettlements(t *testing.T) {
	plain := 0
	for _, s := range settlements() {
		err := CheckRequest(s)
		if got := plainSettlement(s); got != (err == nil) {
			t.Errorf("%v is plain: %t; protovalidate says %v", s, got, err)
		} else if got {
			plain++
		}
	}
	if plain == 0 {
		t.Error("none is plain")
	}
	// What isn't plain may keep the rules all the same.
	wide := &tidingsv1.Settlement{DeliveryToken: strings.Repeat("é", maxToken), Action: &tidingsv1.Settlement_Ack{Ack: new(tidingsv1.Ack)}}
	if plainSettlement(wide) || checkSettlement(wide) != nil {
		t.Error("a token of two bytes a character is counted in bytes")
	}
}

// As many settlements as a request may have, each as wrong as can be, are answered
// in a message that every client takes.
func TestSettlementMessages(t *testing.T) {
	tokens := delivery.NewTokens(new(storagev1.SubscriptionConfig))
	most := 0
	for _, s := range settlements() {
		_, refused, err := settlementOf(s, tokens)
		if err != nil {
			t.Fatal(err)
		}
		invalid := refused.GetStatus() == tidingsv1.SettlementStatus_SETTLEMENT_STATUS_INVALID
		if invalid == plainSettlement(s) || invalid != (refused.GetMessage() != "") {
			t.Errorf("%v gives %v", s, refused)
		}
		most = max(most, proto.Size(&tidingsv1.SettlementResults{Results: []*tidingsv1.SettlementResult{refused}}))
	}
	if total := most * maxSettlements; total > 4<<20 {
		t.Errorf("a response has up to %d bytes", total)
	}
}

func TestKeptReason(t *testing.T) {
	for _, character := range []string{"x", "é", "☕", "🫖"} {
		for _, length := range []int{0, 1, maxReason - 1, maxReason, maxReason + 1, 3 * maxReason} {
			t.Run(fmt.Sprint(length, character), func(t *testing.T) {
				reason := "a" + strings.Repeat(character, length)
				kept := keptReason(reason)
				if !strings.HasPrefix(reason, kept) || !utf8.ValidString(kept) || utf8.RuneCountInString(kept) != min(maxReason, length+1) {
					t.Errorf("%d characters are kept of %d", utf8.RuneCountInString(kept), length+1)
				}
			})
		}
	}
}

func BenchmarkSettlementOf(b *testing.B) {
	tokens := delivery.NewTokens(new(storagev1.SubscriptionConfig))
	s := &tidingsv1.Settlement{DeliveryToken: strings.Repeat("x", 50), Action: &tidingsv1.Settlement_Ack{Ack: new(tidingsv1.Ack)}}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := settlementOf(s, tokens); err != nil {
			b.Fatal(err)
		}
	}
}
