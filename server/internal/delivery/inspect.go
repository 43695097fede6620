package delivery

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"example.com/tidings/server/internal/engine"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	replicav1 "example.com/tidings/server/internal/gen/tidings/replica/v1"
)

// inspect shows the statistics. What the storage has to be asked for, it is
// asked beside the owner's work.
func (o *owner) inspect(q *question, request *replicav1.Inspect) {
	known := o.machine.Statistics()
	response := &replicav1.OwnerResponse{Statistics: &tidingsv1.SubscriptionStatistics{
		InFlightEvents:   int64(known.Leased),
		RetryingEvents: int64(known.Retrying),
		BlockedEvents:  int64(known.Blocked),
		BlockedKeys:    int64(known.BlockedKeys),
		LatestGap:      known.LatestGap,
	}}
	if o.usedAt != 0 {
		response.Statistics.LatestUseTime = timestamppb.New(time.UnixMilli(o.usedAt))
	}
	for _, s := range o.sessions {
		if !s.once {
			response.Statistics.Consumers++
		}
	}
	redriven := o.machine.Redriven()
	if !request.GetStatisticsOnly() {
		response.Redriven = redriven
	}
	o.surveys = append(o.surveys, survey{
		answer: answer{q, response},
		engine: o.hub.engine, subscription: o.subscription, topic: o.topic,
		oldest: known.Oldest, position: o.machine.Position(), redriven: len(redriven), timeout: o.hub.writeTimeout, log: o.log,
	})
}

// survey finds what the storage knows of a subscription.
type survey struct {
	answer       answer
	engine       engine.Engine
	subscription *engine.Subscription
	topic        *engine.Topic
	oldest       int64
	position     int64
	redriven     int
	timeout      time.Duration
	log          *slog.Logger
}

// run finds it and answers.
func (s *survey) run() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	err := s.add(ctx, s.answer.response.GetStatistics())
	if err != nil && !errors.Is(err, engine.ErrTopicNotFound) { // It is deleted just now.
		return err
	}
	s.answer.question.reply(s.answer.response)
	return nil
}

// failed answers where run has failed.
func (s *survey) failed(err error) {
	if err == nil {
		return
	}
	if errorNumber(err) == replicav1.OwnerError_OWNER_ERROR_MOVED {
		s.log.Error("looking at a subscription", "error", err) // No error of the storage.
	}
	s.answer.question.reply(failure(errorNumber(err)))
}

func (s *survey) add(ctx context.Context, statistics *tidingsv1.SubscriptionStatistics) error {
	dead, err := s.engine.DeadLetterCount(ctx, s.subscription)
	if err != nil {
		return err
	}
	statistics.DeadLetteredEvents = max(int64(dead)-int64(s.redriven), 0)
	if s.topic == nil {
		return nil
	}
	state, err := s.engine.State(ctx, s.topic)
	if err != nil {
		return err
	}
	events, exact, err := s.engine.Count(ctx, s.topic, s.position)
	if err != nil {
		return err
	}
	statistics.BacklogEvents, statistics.BacklogEstimated = events, !exact
	oldest := s.oldest
	if oldest == 0 && events > 0 {
		oldest = max(s.position, state.First)
	}
	if oldest == 0 {
		return nil
	}
	record, err := s.engine.Get(ctx, s.topic, oldest)
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
