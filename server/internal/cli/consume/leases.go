package consume

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// The most that a request has of each: fewer settlements than servers take, and
// no more reasons than there is room for.
const (
	maxHeldTokens  = 10_000
	maxSettlements = 500
	maxReasonBytes = 512 << 10
)

// lease is a delivery that is in hand.
type lease struct {
	delivery   *tidingsv1.Delivery
	settlement *tidingsv1.Settlement // What was decided. nil: nothing yet.
	since      time.Time             // When it was given, or more time for it was last asked for.
	gone       bool                  // The server has it as settled or lost: nothing more is sent for it.
}

func (l *lease) token() string { return l.delivery.GetDeliveryToken() }

// demand is what is asked of the server for a lease.
type demand struct {
	lease      *lease
	settlement *tidingsv1.Settlement
}

func (d demand) extends() bool { return d.settlement.GetExtend() != nil }

// leases are the deliveries in hand, from when they came until the server has
// answered their settlement. It is not safe for concurrent use.
type leases struct {
	held    map[string]*lease // By token: all that aren't gone.
	waiting []*lease          // Nobody deals with them yet, in the order in which they came.
	decided []*lease          // Their settlement is to be sent.
	unsure  []*lease          // Their settlement is to be sent again, after a while.
	expire  []*lease          // Their deadline is to be extended.
}

// add takes a delivery in. It returns nil for one that is in hand already.
func (l *leases) add(delivery *tidingsv1.Delivery, now time.Time) *lease {
	if l.held[delivery.GetDeliveryToken()] != nil {
		return nil
	}
	added := &lease{delivery: delivery, since: now}
	l.held[added.token()] = added
	return added
}

// take returns the next delivery to deal with, or nil.
func (l *leases) take() *lease {
	for len(l.waiting) > 0 {
		first := l.waiting[0]
		l.waiting = l.waiting[1:]
		if !first.gone {
			return first
		}
	}
	return nil
}

// decide says how a delivery is to be settled.
func (l *leases) decide(one *lease, settlement *tidingsv1.Settlement) {
	settlement.DeliveryToken = one.token()
	one.settlement = settlement
	l.decided = append(l.decided, one)
}

// releaseWaiting gives back what nobody deals with.
func (l *leases) releaseWaiting() {
	for one := l.take(); one != nil; one = l.take() {
		l.decide(one, nack(tidingsv1.NackKind_NACK_KIND_RELEASE, ""))
	}
}

// forget ends a lease: the server has settled it or doesn't know of it.
func (l *leases) forget(one *lease) {
	one.gone = true
	delete(l.held, one.token())
}

// extendBefore has more time asked for where that was last done before a moment.
func (l *leases) extendBefore(moment time.Time) {
	l.expire = nil
	for _, one := range l.inOrder() {
		if one.settlement == nil && one.since.Before(moment) {
			l.expire = append(l.expire, one)
		}
	}
}

// again puts what was answered UNKNOWN back among what is to be sent.
func (l *leases) again() {
	l.decided = append(l.decided, l.unsure...)
	l.unsure = nil
}

// unsent puts back what was sent and had no answer.
func (l *leases) unsent(demands []demand) {
	for _, d := range demands {
		if d.extends() {
			d.lease.since = time.Time{}
			continue
		}
		l.decided = append(l.decided, d.lease)
	}
}

// pending reports whether there is something to send.
func (l *leases) pending() bool { return len(l.decided) > 0 || len(l.expire) > 0 }

// next returns what to send next, without what has gone meanwhile. It isn't
// pending any more. Deadlines are extended to so long after now.
func (l *leases) next(extension time.Duration, now time.Time) []demand {
	var demands []demand
	for len(l.expire) > 0 && len(demands) < maxSettlements {
		one := l.expire[0]
		l.expire = l.expire[1:]
		if !one.gone && one.settlement == nil {
			one.since = now
			demands = append(demands, demand{one, &tidingsv1.Settlement{
				DeliveryToken: one.token(),
				Action:        &tidingsv1.Settlement_Extend{Extend: &tidingsv1.ExtendDeadline{Duration: durationpb.New(extension)}},
			}})
		}
	}
	for reasons := 0; len(l.decided) > 0 && len(demands) < maxSettlements && reasons < maxReasonBytes; {
		one := l.decided[0]
		l.decided = l.decided[1:]
		if !one.gone {
			demands = append(demands, demand{one, one.settlement})
			reasons += len(one.settlement.GetNack().GetReason())
		}
	}
	return demands
}

// inOrder returns the leases in the order of their events.
func (l *leases) inOrder() []*lease {
	return slices.SortedFunc(maps.Values(l.held), func(a, b *lease) int {
		return cmp.Compare(a.delivery.GetRecorded().GetSequence(), b.delivery.GetRecorded().GetSequence())
	})
}

// settlements returns the messages of demands.
func settlements(demands []demand) []*tidingsv1.Settlement {
	messages := make([]*tidingsv1.Settlement, len(demands))
	for i, d := range demands {
		messages[i] = d.settlement
	}
	return messages
}

// ack is the settlement of an event that is dealt with.
func ack() *tidingsv1.Settlement {
	return &tidingsv1.Settlement{Action: &tidingsv1.Settlement_Ack{Ack: &tidingsv1.Ack{}}}
}

// nack is the settlement of an event that isn't.
func nack(kind tidingsv1.NackKind, reason string) *tidingsv1.Settlement {
	return &tidingsv1.Settlement{Action: &tidingsv1.Settlement_Nack{Nack: &tidingsv1.Nack{Kind: kind, Reason: reason}}}
}
