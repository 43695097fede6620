package delivery

import (
	"context"
	"time"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	replicav1 "example.com/tidings/server/internal/gen/tidings/replica/v1"
)

// A request is what an owner can be asked for.
type request interface {
	// serve does it, in a turn of the owner. What it replies is sent once the
	// journal is written.
	serve(o *owner, c *call, now time.Time)
	// encode returns it as another server is sent it.
	encode() *replicav1.OwnerRequest
}

// A call is a request to an owner, from this server or from another one.
type call struct {
	// ctx ends when the caller is gone.
	ctx     context.Context //nolint:containedctx // It belongs to the call, not to the owner.
	request request
	reply   func(*response) // Called at most once.
}

// refuse replies that the request has failed.
func (c *call) refuse(err error) { c.reply(&response{err: err}) }

// response is the reply of an owner: an error, or what the request asked for.
type response struct {
	err error // One of those in ownerErrors.

	owner       string                            // Of attachRequest: see owner.name.
	ackDeadline time.Duration                     // Of attachRequest.
	results     []*tidingsv1.SettlementResult     // Of attachRequest and settleRequest.
	deliveries  []byte                            // Of leaseRequest: see Batch.buffer.
	window      *tidingsv1.FlowControl            // Of leaseRequest: see Batch.
	statistics  *tidingsv1.SubscriptionStatistics // Of inspectRequest.
	redriven    []int64                           // Of inspectRequest, ascending.
	count       int64                             // Of redriveRequest and purgeRequest: how many dead letters it changed.
	remaining   int64                             // Of redriveRequest: for how many there was no room.
	previous    int64                             // Of seekRequest: see Hub.Seek.
}

// belongsToSession reports whether a request is of no use to another owner than
// the one that has the session.
func belongsToSession(r request) bool {
	switch r.(type) {
	case *leaseRequest, *resizeRequest, *detachRequest:
		return true
	default:
		return false
	}
}

// repeatable reports whether a request that is repeated changes nothing more, and
// is answered at once.
func repeatable(r request) bool {
	switch r.(type) {
	case *attachRequest, *settleRequest, *detachRequest:
		return true
	default:
		return false
	}
}

// bound is how long the caller of a request waits for the reply.
func bound(r request) time.Duration {
	if lease, ok := r.(*leaseRequest); ok {
		return replyTimeout + lease.wait
	}
	return replyTimeout
}
