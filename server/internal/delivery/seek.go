package delivery

import (
	"context"
	"crypto/rand"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"example.com/tidings/server/internal/engine"
)

// Seek moves a subscription to a sequence; events that were stored before
// notBefore, unless it is nil, are left out from there on. It returns when nothing
// from before is in flight to a consumer any more, with the sequence of the oldest
// event that wasn't settled, or of the next to look at where all were. It returns
//
//   - engine.ErrSubscriptionNotFound where the subscription was deleted,
//   - ErrUnavailable, engine.ErrUnavailable or engine.ErrFull: whether it moved
//     isn't known,
//   - the error of the context.
func (h *Hub) Seek(ctx context.Context, s *engine.Subscription, sequence int64, notBefore *timestamppb.Timestamp) (previous int64, err error) {
	response, err := h.call(ctx, s, &seekRequest{sequence: sequence, notBefore: notBefore, id: rand.Text()})
	if err != nil {
		return 0, err
	}
	return response.previous, nil
}

// seekRequest moves the subscription: see Hub.Seek. Where the last one had the
// same id, it moves nothing again.
type seekRequest struct {
	sequence  int64
	notBefore *timestamppb.Timestamp
	id        string
}

func (r *seekRequest) serve(o *owner, c *call, now time.Time) {
	o.use(now)
	generation := o.machine.Generation()
	previous := o.machine.SeekTo(r.sequence, r.notBefore, r.id)
	if o.machine.Generation() != generation {
		o.matched = o.machine.Position()
		o.feed.stop()
		o.sessions.creditAll()
	}
	o.sessions.replyAfterBarrier(c, &response{previous: previous})
}
