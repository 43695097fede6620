package delivery

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"example.com/tidings/server/internal/engine"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// Inspect returns the statistics of a subscription, or
//
//   - engine.ErrSubscriptionNotFound where it was deleted,
//   - ErrUnavailable, engine.ErrUnavailable or engine.ErrFull,
//   - the error of the context.
func (h *Hub) Inspect(ctx context.Context, s *engine.Subscription) (*tidingsv1.SubscriptionStatistics, error) {
	response, err := h.call(ctx, s, &inspectRequest{statisticsOnly: true})
	if err != nil {
		return nil, err
	}
	return response.statistics, nil
}

// Redriven returns, ascending, the sequences of the events that are stored as dead
// letters but count as none, because they were redriven and aren't settled. Its
// errors are those of Inspect.
func (h *Hub) Redriven(ctx context.Context, s *engine.Subscription) ([]int64, error) {
	response, err := h.call(ctx, s, new(inspectRequest))
	if err != nil {
		return nil, err
	}
	return response.redriven, nil
}

// inspectRequest asks for the statistics and for what is redriven.
type inspectRequest struct{ statisticsOnly bool }

// What the storage has to be asked for, it is asked beside the owner's work.
func (r *inspectRequest) serve(o *owner, c *call, _ time.Time) {
	known := o.machine.Statistics()
	statistics := &tidingsv1.SubscriptionStatistics{
		InFlightEvents: int64(known.Leased),
		RetryingEvents: int64(known.Retrying),
		BlockedEvents:  int64(known.Blocked),
		BlockedKeys:    int64(known.BlockedKeys),
		LatestGap:      known.LatestGap,
		Consumers:      o.sessions.consumers(),
	}
	if o.usedAt != 0 {
		statistics.LatestUseTime = timestamppb.New(time.UnixMilli(o.usedAt))
	}
	redriven := o.machine.Redriven()
	response := &response{statistics: statistics}
	if !r.statisticsOnly {
		response.redriven = redriven
	}
	o.outbox.backlogs = append(o.outbox.backlogs, backlog{
		reply:  reply{c, response},
		engine: o.hub.engine, subscription: o.subscription, topic: o.topic,
		oldest: known.Oldest, position: o.machine.Position(), redriven: len(redriven), timeout: o.hub.writeTimeout, log: o.log,
	})
}

// backlog completes the statistics with what the storage knows.
type backlog struct {
	reply        reply
	engine       engine.Engine
	subscription *engine.Subscription
	topic        *engine.Topic
	oldest       int64
	position     int64
	redriven     int
	timeout      time.Duration
	log          *slog.Logger
}

// run finds it and replies.
func (b *backlog) run() error {
	ctx, cancel := context.WithTimeout(context.Background(), b.timeout)
	defer cancel()
	err := b.add(ctx, b.reply.response.statistics)
	if err != nil && !errors.Is(err, engine.ErrTopicNotFound) { // It is deleted just now.
		return err
	}
	b.reply.send()
	return nil
}

// failed refuses where run has failed.
func (b *backlog) failed(err error) {
	if err == nil {
		return
	}
	if errors.Is(refusal(err), ErrUnavailable) {
		b.log.Error("looking at a subscription", "error", err) // No error of the storage.
	}
	b.reply.call.refuse(refusal(err))
}

func (b *backlog) add(ctx context.Context, statistics *tidingsv1.SubscriptionStatistics) error {
	dead, err := b.engine.DeadLetterCount(ctx, b.subscription)
	if err != nil {
		return err
	}
	statistics.DeadLetteredEvents = max(int64(dead)-int64(b.redriven), 0)
	if b.topic == nil {
		return nil
	}
	state, err := b.engine.State(ctx, b.topic)
	if err != nil {
		return err
	}
	events, exact, err := b.engine.Count(ctx, b.topic, b.position)
	if err != nil {
		return err
	}
	statistics.BacklogEvents, statistics.BacklogEstimated = events, !exact
	oldest := b.oldest
	if oldest == 0 && events > 0 {
		oldest = max(b.position, state.First)
	}
	if oldest == 0 {
		return nil
	}
	record, err := b.engine.Get(ctx, b.topic, oldest)
	if errors.Is(err, engine.ErrRecordNotFound) {
		return nil // Retention removes it just now.
	}
	if err != nil {
		return err
	}
	statistics.OldestUnsettledSequence = oldest
	statistics.OldestUnsettledPublishTime = timestamppb.New(record.Time)
	return nil
}
