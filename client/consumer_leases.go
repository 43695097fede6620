package client

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// The most that a request has of each: what every server takes, and no more reasons
// than there is room for.
const (
	maxHeldTokens  = 10_000
	maxSettlements = 500
	maxReasonBytes = 512 << 10
)

// lease is a delivery that is in flight.
type lease struct {
	delivery   *Delivery
	settlement *tidingsv1.Settlement // What was decided. nil: nothing yet.
	ack        tidingsv1.Settlement  // What most decide.
	since      time.Time             // When it was given, or more time for it was last asked for.
	expires    time.Time             // When the lease ends, as far as is known.
	begun      time.Time             // When its handler was called. Zero: not yet.
	context    handlerContext
	trace      HandleTrace // Once its handler was called.
	gone       bool        // The server has it as settled or lost: nothing more is sent for it.
}

func (l *lease) token() string { return l.delivery.GetDeliveryToken() }

// order is what of a lease keeps others from being begun: events with the same one
// follow one another.
type order struct {
	key      string
	sequence int64 // Of an event without a key; otherwise 0.
}

func (l *lease) order() order {
	recorded := l.delivery.GetRecorded()
	if key := recorded.GetEvent().GetPartitionKey(); key != "" {
		return order{key: key}
	}
	return order{sequence: recorded.GetSequence()}
}

// demand is what is asked of the server for a lease.
type demand struct {
	lease      *lease
	settlement *tidingsv1.Settlement
}

func (d demand) extends() bool { return d.settlement.GetExtend() != nil }

// leases are the deliveries in flight, from when they came until the server has
// answered their settlement. It is not safe for concurrent use.
type leases struct {
	held    map[string]*lease // By token: all that aren't gone.
	waiting []*lease          // Not begun, in the order in which they came.
	decided []*lease          // Their settlement is to be sent.
	unsure  []*lease          // Their settlement is to be sent again, after a while.
	expire  []*lease          // Their deadline is to be extended.
	// orphans count the handlers that run although their lease is gone. An ordered
	// subscription delivers the next event of their key, which waits for them.
	orphans map[order]int
	memory  []lease // For those that come next.
}

func newLeases() leases {
	return leases{held: make(map[string]*lease), orphans: make(map[order]int)}
}

// add takes a delivery in. It returns nil for one that is in flight already.
func (l *leases) add(delivery *Delivery, deadline time.Duration, now time.Time) *lease {
	if l.held[delivery.GetDeliveryToken()] != nil {
		return nil
	}
	if d := delivery.GetLeaseDuration().AsDuration(); d > 0 {
		deadline = d
	}
	if len(l.memory) == 0 {
		l.memory = make([]lease, runEvents)
	}
	added := &l.memory[0]
	l.memory = l.memory[1:]
	added.delivery, added.since, added.expires = delivery, now, now.Add(deadline)
	l.held[added.token()] = added
	return added
}

// take returns the next delivery to handle, or nil. One whose lease may have ended
// waits until the server has extended it.
func (l *leases) take(now time.Time) *lease {
	for len(l.waiting) > 0 && l.waiting[0].gone {
		l.waiting = l.waiting[1:]
	}
	for i, one := range l.waiting {
		if one.gone || !one.expires.After(now) || len(l.orphans) > 0 && l.orphans[one.order()] > 0 {
			continue
		}
		if i == 0 {
			l.waiting[0], l.waiting = nil, l.waiting[1:]
		} else {
			l.waiting = slices.Delete(l.waiting, i, i+1)
		}
		return one
	}
	return nil
}

// decide says how a delivery is to be settled.
func (l *leases) decide(one *lease, settlement *tidingsv1.Settlement) {
	settlement.DeliveryToken = one.token()
	one.settlement = settlement
	l.decided = append(l.decided, one)
}

// finish takes what the handler of a delivery decided on.
func (l *leases) finish(one *lease, err error) {
	switch {
	case one.gone:
	case err == nil:
		one.ack.Action = acknowledged
		l.decide(one, &one.ack)
		return
	default:
		l.decide(one, settlementOf(err))
		return
	}
	l.orphans[one.order()]--
	if l.orphans[one.order()] == 0 {
		delete(l.orphans, one.order())
	}
}

// releaseWaiting gives back what wasn't begun.
func (l *leases) releaseWaiting() {
	for _, one := range l.waiting {
		if !one.gone {
			l.decide(one, released())
		}
	}
	l.waiting = nil
}

// forget ends a lease: the server has settled it or doesn't know of it.
func (l *leases) forget(one *lease) {
	one.gone = true
	delete(l.held, one.token())
	if one.settlement == nil && !one.begun.IsZero() {
		l.orphans[one.order()]++
		one.context.end(ErrLeaseLost)
	}
}

// extendBefore has more time asked for where that was last done before a moment, and
// whose handler wasn't called before another: that has had its time.
func (l *leases) extendBefore(moment, begun time.Time) {
	l.expire = nil
	for _, one := range l.inOrder() {
		if one.settlement == nil && one.since.Before(moment) && (one.begun.IsZero() || one.begun.After(begun)) {
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

// next returns what to send next, without what has gone meanwhile. It isn't pending
// any more. Deadlines are extended to so long after now.
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
