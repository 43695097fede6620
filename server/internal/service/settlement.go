package service

import (
	"errors"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/tidings/server/internal/delivery"
	"example.com/tidings/server/internal/lease"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

const (
	// maxReason is how many characters of a nack's reason are kept.
	maxReason = 1024
	// What plainSettlement holds of the rules of the contract.
	maxToken     = 256
	maxDelay     = 24 * time.Hour
	minExtension = time.Second
	maxExtension = time.Hour
)

// checkSettlement says which rule of the contract a settlement breaks.
//
// Nearly every settlement passes through plainSettlement. It knows only what is
// plainly in order: whatever else there is goes to protovalidate, whose verdict
// counts.
func checkSettlement(s *tidingsv1.Settlement) error {
	if plainSettlement(s) {
		return nil
	}
	return CheckRequest(s)
}

// settlementOf returns a settlement as the owner settles it, or what is wrong
// with it, which is its own affair.
func settlementOf(s *tidingsv1.Settlement, tokens *delivery.Tokens) (lease.Settlement, *tidingsv1.SettlementResult, error) {
	err := checkSettlement(s)
	if broken, ok := errors.AsType[*Error](err); ok {
		return lease.Settlement{}, &tidingsv1.SettlementResult{
			Status: tidingsv1.SettlementStatus_SETTLEMENT_STATUS_INVALID,
			// As many as may be have to fit into one response.
			Message: shorten(broken.Message, maxDescriptionBytes),
		}, nil
	}
	if err != nil {
		return lease.Settlement{}, nil, err
	}
	ref, ok := tokens.Parse(s.GetDeliveryToken())
	if !ok {
		return lease.Settlement{}, &tidingsv1.SettlementResult{Status: tidingsv1.SettlementStatus_SETTLEMENT_STATUS_MALFORMED}, nil
	}
	switch action := s.GetAction().(type) {
	case *tidingsv1.Settlement_Extend:
		return lease.Settlement{Ref: ref, Extend: action.Extend.GetDuration().AsDuration()}, nil, nil
	case *tidingsv1.Settlement_Nack:
		nack := lease.NackOf(ref, action.Nack)
		nack.Reason = keptReason(nack.Reason)
		return nack, nil, nil
	default:
		return lease.Settlement{Ref: ref, Action: lease.Ack}, nil, nil
	}
}

// plainSettlement reports whether a settlement plainly keeps the rules.
func plainSettlement(s *tidingsv1.Settlement) bool {
	if len(s.GetDeliveryToken()) > maxToken {
		return false
	}
	switch action := s.GetAction().(type) {
	case *tidingsv1.Settlement_Ack:
		return true
	case *tidingsv1.Settlement_Nack:
		return plainNack(action.Nack)
	case *tidingsv1.Settlement_Extend:
		return within(action.Extend.GetDuration(), minExtension, maxExtension)
	default:
		return false
	}
}

func plainNack(nack *tidingsv1.Nack) bool {
	switch nack.GetKind() {
	case tidingsv1.NackKind_NACK_KIND_UNSPECIFIED, tidingsv1.NackKind_NACK_KIND_RETRY, tidingsv1.NackKind_NACK_KIND_RELEASE:
		return nack.GetDelay() == nil || within(nack.GetDelay(), 0, maxDelay)
	case tidingsv1.NackKind_NACK_KIND_DEAD_LETTER, tidingsv1.NackKind_NACK_KIND_DROP:
		return nack.GetDelay() == nil
	default:
		return false
	}
}

// within reports whether a duration is set and within bounds.
func within(d *durationpb.Duration, least, most time.Duration) bool {
	return d.IsValid() && d.AsDuration() >= least && d.AsDuration() <= most
}

// keptReason is what is kept of a nack's reason.
func keptReason(reason string) string {
	if len(reason) <= maxReason {
		return reason
	}
	characters := 0
	for end := range reason {
		if characters == maxReason {
			return strings.Clone(reason[:end]) // Or it would keep all of the reason in memory.
		}
		characters++
	}
	return reason
}
