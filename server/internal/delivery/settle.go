package delivery

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"example.com/tidings/server/internal/lease"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	replicav1 "example.com/tidings/server/internal/gen/tidings/replica/v1"
)

func refOf(ref *replicav1.LeaseRef) lease.Ref {
	return lease.Ref{Generation: ref.GetGeneration(), Sequence: ref.GetSequence(), Delivery: ref.GetDelivery()}
}

func (o *owner) settle(q *question, request *replicav1.Settle, now time.Time) {
	o.use(now)
	settlements := request.GetSettlements()
	results := make([]*tidingsv1.SettlementResult, len(settlements))
	made := make([]tidingsv1.SettlementResult, len(settlements))
	for i, s := range settlements {
		results[i] = &made[i]
		if extend := s.GetExtend(); extend != nil {
			var deadline int64
			results[i].Status, deadline = o.machine.Extend(refOf(s.GetLease()), extend.GetDuration().AsDuration(), now.UnixMilli())
			if results[i].GetStatus() == tidingsv1.SettlementStatus_SETTLEMENT_STATUS_APPLIED {
				results[i].Deadline = timestamppb.New(time.UnixMilli(deadline))
			}
			continue
		}
		status, freed := o.machine.Settle(settlement(s), now.UnixMilli())
		o.credit(freed)
		results[i].Status = status
	}
	o.answer(q, &replicav1.OwnerResponse{Results: results})
}

// settlement is what a consumer says of a delivery, as the machine has it.
func settlement(s *replicav1.Settlement) lease.Settlement {
	result := lease.Settlement{Ref: refOf(s.GetLease()), Action: lease.Ack}
	nack := s.GetNack()
	if nack == nil {
		return result
	}
	result.Action, result.Reason = lease.Retry, nack.GetReason()
	switch nack.GetKind() {
	case tidingsv1.NackKind_NACK_KIND_DEAD_LETTER:
		result.Action = lease.Bury
	case tidingsv1.NackKind_NACK_KIND_DROP:
		result.Action = lease.Drop
	case tidingsv1.NackKind_NACK_KIND_RELEASE:
		result.Action = lease.Release
	default:
	}
	if nack.GetDelay() != nil {
		delay := nack.GetDelay().AsDuration()
		result.Delay = &delay
	}
	return result
}

// seek moves the subscription.
func (o *owner) seek(q *question, request *replicav1.Seek, now time.Time) {
	o.use(now)
	generation := o.machine.Generation()
	previous := o.machine.SeekTo(request.GetSequence(), request.GetNotBefore(), request.GetId())
	if o.machine.Generation() != generation {
		o.matched = o.machine.Position()
		o.restartFeed()
		for _, s := range o.sessions {
			s.events, s.bytes = 0, 0
		}
	}
	o.fence(q, &replicav1.OwnerResponse{Previous: previous})
}
