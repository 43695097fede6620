package delivery

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/lease"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

const (
	// maxSettled and maxSettledBytes bound the settlements of a request to the
	// owner: between servers it is one NATS message.
	maxSettled      = 2000
	maxSettledBytes = 256 << 10
	// settlementBytes is about what a settlement has besides its reason.
	settlementBytes = 64
)

// Settle settles deliveries, or extends them, and returns what became of each:
// APPLIED, ALREADY_APPLIED or LEASE_LOST; or UNKNOWN where the owner didn't answer
// for it, which is logged. The error is
//
//   - engine.ErrSubscriptionNotFound where the subscription was deleted,
//   - any other where the context has ended.
//
// What is applied is in the journal.
func (h *Hub) Settle(ctx context.Context, s *engine.Subscription, settlements []lease.Settlement) ([]*tidingsv1.SettlementResult, error) {
	results := make([]*tidingsv1.SettlementResult, 0, len(settlements))
	for len(settlements) > 0 {
		count, size := 0, 0
		for count < min(len(settlements), maxSettled) && size <= maxSettledBytes {
			size += len(settlements[count].Reason) + settlementBytes
			count++
		}
		some, err := h.settle(ctx, s, settlements[:count])
		if err != nil {
			return nil, err
		}
		results, settlements = append(results, some...), settlements[count:]
	}
	return results, nil
}

// settle settles as much as one request may.
func (h *Hub) settle(ctx context.Context, s *engine.Subscription, settlements []lease.Settlement) ([]*tidingsv1.SettlementResult, error) {
	bounded, cancel := context.WithTimeout(ctx, ownerTimeout)
	defer cancel()
	response, err := h.call(bounded, s, &settleRequest{settlements: settlements})
	switch {
	case errors.Is(err, engine.ErrSubscriptionNotFound), err != nil && ctx.Err() != nil:
		return nil, err
	case err == nil && len(response.results) == len(settlements):
		return response.results, nil
	}
	h.log.WarnContext(ctx, "settling", "subscription", s.Name, "error", err)
	results, made := newResults(len(settlements))
	for i := range made {
		made[i].Status = tidingsv1.SettlementStatus_SETTLEMENT_STATUS_UNKNOWN
	}
	return results, nil
}

// newResults returns results, and what they point to.
func newResults(count int) (results []*tidingsv1.SettlementResult, made []tidingsv1.SettlementResult) {
	results, made = make([]*tidingsv1.SettlementResult, count), make([]tidingsv1.SettlementResult, count)
	for i := range made {
		results[i] = &made[i]
	}
	return results, made
}

// settleRequest settles deliveries. The response has as many results.
type settleRequest struct{ settlements []lease.Settlement }

func (r *settleRequest) serve(o *owner, c *call, now time.Time) {
	o.use(now)
	results, made := newResults(len(r.settlements))
	for i, s := range r.settlements {
		result := &made[i]
		if s.Extend == 0 {
			var credit lease.Credit
			result.Status, credit = o.machine.Settle(s, now.UnixMilli())
			o.sessions.credit(credit)
			o.tally.settle(s.Action, result.GetStatus())
			continue
		}
		var deadline int64
		result.Status, deadline = o.machine.Extend(s.Ref, s.Extend, now.UnixMilli())
		if result.GetStatus() == tidingsv1.SettlementStatus_SETTLEMENT_STATUS_APPLIED {
			result.Deadline = timestamppb.New(time.UnixMilli(deadline))
		}
	}
	o.outbox.reply(c, &response{results: results})
}
