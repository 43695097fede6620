package delivery

import (
	"context"
	"time"

	"example.com/tidings/server/internal/engine"
)

// Refresh makes the owner of a subscription go by its settings, as they are at the
// revision of s or later. It returns when nothing that was leased by earlier
// settings is in flight to a consumer any more. It returns
//
//   - engine.ErrSubscriptionNotFound where the subscription was deleted,
//   - ErrUnavailable, engine.ErrUnavailable or engine.ErrFull: the owner finds out
//     by itself, within seconds,
//   - the error of the context.
func (h *Hub) Refresh(ctx context.Context, s *engine.Subscription) error {
	_, err := h.call(ctx, s, &refreshRequest{revision: s.Revision})
	return err
}

// refreshRequest asks for settings of at least a revision.
type refreshRequest struct{ revision uint64 }

func (r *refreshRequest) serve(o *owner, c *call, _ time.Time) {
	ctx, cancel := context.WithTimeout(context.Background(), o.hub.writeTimeout)
	defer cancel()
	if o.subscription.Revision < r.revision {
		present, err := o.hub.engine.SubscriptionAt(ctx, o.subscription.Name, r.revision)
		if err == nil {
			err = o.configure(ctx, present)
		}
		if err != nil {
			o.outbox.refuse(c, refusal(err))
			return
		}
	}
	o.sessions.replyAfterBarrier(c, new(response))
}
