package delivery

import (
	"context"
	"errors"
	"time"

	"example.com/tidings/server/internal/engine"
)

// MaxDeadLetters is how many sequences Redrive and Purge take.
const MaxDeadLetters = 500

// Redrive delivers the dead letters of events again and returns how many it is,
// and for how many there is no room now. Events without a dead letter, or that
// were redriven already, are left out. It returns
//
//   - engine.ErrTopicNotFound where the topic was deleted,
//   - engine.ErrSubscriptionNotFound where the subscription was,
//   - ErrUnavailable, engine.ErrUnavailable or engine.ErrFull: how many were
//     redriven isn't known,
//   - the error of the context.
func (h *Hub) Redrive(ctx context.Context, s *engine.Subscription, sequences []int64) (redriven, remaining int64, err error) {
	response, err := h.call(ctx, s, &redriveRequest{sequences: sequences})
	if err != nil {
		return 0, 0, err
	}
	return response.count, response.remaining, nil
}

// Purge deletes the dead letters of events, and returns how many it deleted.
// Those that were redriven and aren't settled are left. Its errors are those of
// Redrive, but for the topic's.
func (h *Hub) Purge(ctx context.Context, s *engine.Subscription, sequences []int64) (int64, error) {
	response, err := h.call(ctx, s, &purgeRequest{sequences: sequences})
	if err != nil {
		return 0, err
	}
	return response.count, nil
}

// redriveRequest delivers dead letters again.
type redriveRequest struct{ sequences []int64 }

func (r *redriveRequest) serve(o *owner, c *call, _ time.Time) {
	if o.topic == nil {
		o.outbox.refuse(c, engine.ErrTopicNotFound)
		return
	}
	response := new(response)
	for _, sequence := range r.sequences {
		if o.machine.IsTracked(sequence) {
			continue
		}
		if o.machine.Room() == 0 {
			response.remaining++
			continue
		}
		// Nobody else deletes dead letters: what is there is one until this
		// owner changes it.
		letter, e, err := o.deadLetter(sequence)
		if errors.Is(err, engine.ErrRecordNotFound) {
			continue
		}
		key, keyErr := keyHash(e.raw)
		if err = errors.Join(err, keyErr); err != nil {
			o.outbox.refuse(c, refusal(err))
			return
		}
		if o.machine.Redrive(sequence, letter.GetGeneration(), letter.GetDeliveries(), key) {
			response.count++
		}
	}
	o.outbox.reply(c, response)
}

// purgeRequest deletes dead letters.
type purgeRequest struct{ sequences []int64 }

func (r *purgeRequest) serve(o *owner, c *call, _ time.Time) {
	ctx, cancel := context.WithTimeout(context.Background(), o.hub.writeTimeout)
	defer cancel()
	var there []int64
	for _, sequence := range r.sequences {
		if o.machine.IsRedriven(sequence) { // It isn't one any more.
			continue
		}
		_, err := o.hub.engine.DeadLetter(ctx, o.subscription, sequence)
		switch {
		case err == nil:
			there = append(there, sequence)
		case !errors.Is(err, engine.ErrRecordNotFound):
			o.outbox.refuse(c, refusal(err))
			return
		}
	}
	if len(there) > 0 { // Together: each alone would wait for the disk.
		if err := o.hub.engine.DeleteDeadLetters(ctx, o.subscription, there...); err != nil {
			o.outbox.refuse(c, refusal(err))
			return
		}
	}
	o.outbox.reply(c, &response{count: int64(len(there))})
}
