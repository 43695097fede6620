package delivery

import (
	"context"
	"errors"
	"time"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/guard"
)

// idleCheck is how often the hub looks for subscriptions that nobody uses.
const idleCheck = 30 * time.Second

// useResolution is how exactly a journal knows the last use.
const useResolution = time.Minute

// expireIdle deletes subscriptions that nobody has used for as long as they
// allow.
func (h *Hub) expireIdle() error {
	tick := time.NewTicker(idleCheck)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := guard.Do(func() error { h.ExpireIdle(time.Now()); return nil }); err != nil {
				h.log.Error("expiring subscriptions", "error", err)
			}
		case <-h.quit:
			return nil
		}
	}
}

// ExpireIdle deletes the subscriptions that, by this time, nobody has used for
// as long as they allow. The hub does so by itself, twice a minute.
func (h *Hub) ExpireIdle(now time.Time) {
	for _, s := range h.engine.Subscriptions() {
		idle := s.Config.GetExpireAfterIdle()
		if idle == nil || now.Sub(s.Config.GetUpdateTime().AsTime()) < idle.AsDuration() {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), replyTimeout)
		err := h.expire(ctx, s, now)
		cancel()
		if err != nil && !errors.Is(err, engine.ErrSubscriptionNotFound) && !errors.Is(err, engine.ErrRevision) {
			h.log.Warn("looking whether a subscription is used", "subscription", s.Name, "error", err)
		}
	}
}

func (h *Hub) expire(ctx context.Context, s *engine.Subscription, now time.Time) error {
	statistics, err := h.Inspect(ctx, s)
	if err != nil {
		return err
	}
	used := statistics.GetLatestUseTime()
	last := s.Config.GetUpdateTime().AsTime()
	if used != nil && used.AsTime().After(last) {
		last = used.AsTime()
	}
	if statistics.GetConsumers() > 0 || now.Sub(last) < s.Config.GetExpireAfterIdle().AsDuration()+useResolution {
		return nil
	}
	h.log.Info("subscription expired", "subscription", s.Name, "idle_since", last)
	return h.engine.DeleteSubscription(ctx, s)
}
