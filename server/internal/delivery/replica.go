package delivery

import (
	"context"
	"errors"

	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/lease"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	replicav1 "example.com/tidings/server/internal/gen/tidings/replica/v1"
)

// This file alone turns requests and responses into the messages of
// tidings.replica.v1, which servers send each other, and back.

// ownerErrors are the errors that an owner replies with. Any other number that
// another server sends, as for a request that it doesn't know, is ErrUnavailable.
var ownerErrors = map[replicav1.OwnerError]error{
	replicav1.OwnerError_OWNER_ERROR_MOVED:           ErrUnavailable,
	replicav1.OwnerError_OWNER_ERROR_SESSION:         ErrSession,
	replicav1.OwnerError_OWNER_ERROR_FULL:            engine.ErrFull,
	replicav1.OwnerError_OWNER_ERROR_STORAGE:         engine.ErrUnavailable,
	replicav1.OwnerError_OWNER_ERROR_NOT_FOUND:       engine.ErrSubscriptionNotFound,
	replicav1.OwnerError_OWNER_ERROR_TOPIC_NOT_FOUND: engine.ErrTopicNotFound,
	replicav1.OwnerError_OWNER_ERROR_FILTER:          ErrFilter,
	replicav1.OwnerError_OWNER_ERROR_UNKNOWN_REQUEST: errUnknownRequest,
}

// errUnknownRequest: a later release has sent the request.
var errUnknownRequest = errors.New("the owner doesn't know the request")

// refusal is what callers are told where an owner fails with an error: one of
// ownerErrors.
func refusal(err error) error {
	switch {
	case errors.Is(err, engine.ErrSubscriptionNotFound):
		return engine.ErrSubscriptionNotFound
	case errors.Is(err, engine.ErrFull):
		return engine.ErrFull
	case errors.Is(err, engine.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return engine.ErrUnavailable
	default:
		return ErrUnavailable
	}
}

func (r *response) encode() *replicav1.OwnerResponse {
	if r.err != nil {
		for number, err := range ownerErrors {
			if errors.Is(r.err, err) {
				return &replicav1.OwnerResponse{Error: number}
			}
		}
		return &replicav1.OwnerResponse{Error: replicav1.OwnerError_OWNER_ERROR_MOVED}
	}
	encoded := &replicav1.OwnerResponse{
		Deliveries: (&Batch{buffer: r.deliveries}).Deliveries(),
		Results:    r.results,
		Statistics: r.statistics,
		Redriven:   r.redriven,
		Count:      r.count,
		Remaining:  r.remaining,
		Window:     r.window,
		Owner:      r.owner,
		Previous:   r.previous,
	}
	if r.ackDeadline != 0 {
		encoded.AckDeadline = durationpb.New(r.ackDeadline)
	}
	return encoded
}

func decodeResponse(r *replicav1.OwnerResponse) *response {
	if number := r.GetError(); number != replicav1.OwnerError_OWNER_ERROR_UNSPECIFIED {
		err := ownerErrors[number]
		if err == nil || errors.Is(err, errUnknownRequest) {
			err = ErrUnavailable
		}
		return &response{err: err}
	}
	var deliveries []byte
	if len(r.GetDeliveries()) > 0 {
		deliveries = append(newBuffer(), r.GetDeliveries()...)
	}
	return &response{
		owner:       r.GetOwner(),
		ackDeadline: r.GetAckDeadline().AsDuration(),
		results:     r.GetResults(),
		deliveries:  deliveries,
		window:      r.GetWindow(),
		statistics:  r.GetStatistics(),
		redriven:    r.GetRedriven(),
		count:       r.GetCount(),
		remaining:   r.GetRemaining(),
		previous:    r.GetPrevious(),
	}
}

// decodeRequest returns nil for a request that isn't known.
func decodeRequest(encoded *replicav1.OwnerRequest) request {
	switch r := encoded.GetRequest().(type) {
	case *replicav1.OwnerRequest_Attach:
		request := &attachRequest{session: r.Attach.GetSession(), window: r.Attach.GetWindow(), once: r.Attach.GetOnce(), principal: r.Attach.GetPrincipal()}
		for _, ref := range r.Attach.GetHeld() {
			request.held = append(request.held, decodeRef(ref))
		}
		return request
	case *replicav1.OwnerRequest_Lease:
		return &leaseRequest{
			owner:     encoded.GetOwner(),
			session:   r.Lease.GetSession(),
			number:    r.Lease.GetNumber(),
			maxEvents: r.Lease.GetMaxEvents(),
			maxBytes:  r.Lease.GetMaxBytes(),
			wait:      r.Lease.GetWait().AsDuration(),
		}
	case *replicav1.OwnerRequest_Resize:
		return &resizeRequest{session: r.Resize.GetSession(), principal: r.Resize.GetPrincipal(), window: r.Resize.GetWindow()}
	case *replicav1.OwnerRequest_Detach:
		return &detachRequest{session: r.Detach.GetSession(), sent: r.Detach.GetSent()}
	case *replicav1.OwnerRequest_Settle:
		request := &settleRequest{settlements: make([]lease.Settlement, len(r.Settle.GetSettlements()))}
		for i, settlement := range r.Settle.GetSettlements() {
			request.settlements[i] = decodeSettlement(settlement)
		}
		return request
	case *replicav1.OwnerRequest_Seek:
		return &seekRequest{sequence: r.Seek.GetSequence(), notBefore: r.Seek.GetNotBefore(), id: r.Seek.GetId()}
	case *replicav1.OwnerRequest_Inspect:
		return &inspectRequest{statisticsOnly: r.Inspect.GetStatisticsOnly()}
	case *replicav1.OwnerRequest_Refresh:
		return &refreshRequest{revision: r.Refresh.GetRevision()}
	case *replicav1.OwnerRequest_Redrive:
		return &redriveRequest{sequences: r.Redrive.GetSequences()}
	case *replicav1.OwnerRequest_Purge:
		return &purgeRequest{sequences: r.Purge.GetSequences()}
	default:
		return nil
	}
}

func (r *attachRequest) encode() *replicav1.OwnerRequest {
	attach := &replicav1.Attach{Session: r.session, Window: r.window, Once: r.once, Principal: r.principal}
	for _, ref := range r.held {
		attach.Held = append(attach.Held, encodeRef(ref))
	}
	return &replicav1.OwnerRequest{Request: &replicav1.OwnerRequest_Attach{Attach: attach}}
}

func (r *leaseRequest) encode() *replicav1.OwnerRequest {
	return &replicav1.OwnerRequest{Owner: r.owner, Request: &replicav1.OwnerRequest_Lease{Lease: &replicav1.Lease{
		Session: r.session, Number: r.number, MaxEvents: r.maxEvents, MaxBytes: r.maxBytes, Wait: durationpb.New(r.wait),
	}}}
}

func (r *resizeRequest) encode() *replicav1.OwnerRequest {
	return &replicav1.OwnerRequest{Request: &replicav1.OwnerRequest_Resize{
		Resize: &replicav1.Resize{Session: r.session, Principal: r.principal, Window: r.window},
	}}
}

func (r *detachRequest) encode() *replicav1.OwnerRequest {
	return &replicav1.OwnerRequest{Request: &replicav1.OwnerRequest_Detach{
		Detach: &replicav1.Detach{Session: r.session, Sent: r.sent},
	}}
}

func (r *settleRequest) encode() *replicav1.OwnerRequest {
	settle := &replicav1.Settle{Settlements: make([]*replicav1.Settlement, len(r.settlements))}
	for i, settlement := range r.settlements {
		settle.Settlements[i] = encodeSettlement(settlement)
	}
	return &replicav1.OwnerRequest{Request: &replicav1.OwnerRequest_Settle{Settle: settle}}
}

func (r *seekRequest) encode() *replicav1.OwnerRequest {
	return &replicav1.OwnerRequest{Request: &replicav1.OwnerRequest_Seek{
		Seek: &replicav1.Seek{Sequence: r.sequence, NotBefore: r.notBefore, Id: r.id},
	}}
}

func (r *inspectRequest) encode() *replicav1.OwnerRequest {
	return &replicav1.OwnerRequest{Request: &replicav1.OwnerRequest_Inspect{
		Inspect: &replicav1.Inspect{StatisticsOnly: r.statisticsOnly},
	}}
}

func (r *refreshRequest) encode() *replicav1.OwnerRequest {
	return &replicav1.OwnerRequest{Request: &replicav1.OwnerRequest_Refresh{
		Refresh: &replicav1.Refresh{Revision: r.revision},
	}}
}

func (r *redriveRequest) encode() *replicav1.OwnerRequest {
	return &replicav1.OwnerRequest{Request: &replicav1.OwnerRequest_Redrive{
		Redrive: &replicav1.Redrive{Sequences: r.sequences},
	}}
}

func (r *purgeRequest) encode() *replicav1.OwnerRequest {
	return &replicav1.OwnerRequest{Request: &replicav1.OwnerRequest_Purge{
		Purge: &replicav1.Purge{Sequences: r.sequences},
	}}
}

func encodeRef(ref lease.Ref) *replicav1.LeaseRef {
	return &replicav1.LeaseRef{Generation: ref.Generation, Sequence: ref.Sequence, Delivery: ref.Delivery}
}

func decodeRef(ref *replicav1.LeaseRef) lease.Ref {
	return lease.Ref{Generation: ref.GetGeneration(), Sequence: ref.GetSequence(), Delivery: ref.GetDelivery()}
}

func encodeSettlement(s lease.Settlement) *replicav1.Settlement {
	encoded := &replicav1.Settlement{Lease: encodeRef(s.Ref)}
	switch {
	case s.Extend != 0:
		encoded.Action = &replicav1.Settlement_Extend{Extend: &tidingsv1.ExtendDeadline{Duration: durationpb.New(s.Extend)}}
	case s.Action == lease.Ack:
		encoded.Action = &replicav1.Settlement_Ack{Ack: new(tidingsv1.Ack)}
	default:
		encoded.Action = &replicav1.Settlement_Nack{Nack: s.Nack()}
	}
	return encoded
}

func decodeSettlement(s *replicav1.Settlement) lease.Settlement {
	ref := decodeRef(s.GetLease())
	switch action := s.GetAction().(type) {
	case *replicav1.Settlement_Extend:
		return lease.Settlement{Ref: ref, Extend: action.Extend.GetDuration().AsDuration()}
	case *replicav1.Settlement_Nack:
		return lease.NackOf(ref, action.Nack)
	default:
		return lease.Settlement{Ref: ref, Action: lease.Ack}
	}
}
