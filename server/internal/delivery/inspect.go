package delivery

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/eventlog"

	replicav1 "example.com/tidings/gen/go/tidings/replica/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// inspect shows the statistics. What the storage has to be asked for, it is
// asked beside the owner's work.
func (o *owner) inspect(q *question, request *replicav1.Inspect) {
	known := o.machine.Statistics()
	response := &replicav1.OwnerResponse{Statistics: &tidingsv1.SubscriptionStatistics{
		LeasedEvents:   int64(known.Leased),
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
		oldest: known.Oldest, position: o.machine.Position(), redriven: len(redriven), log: o.log,
	})
}

// survey finds what the storage knows of a subscription.
type survey struct {
	answer       answer
	engine       *engine.Engine
	subscription *engine.Subscription
	topic        *engine.Topic
	oldest       int64
	position     int64
	redriven     int
	log          *slog.Logger
}

const (
	// maxCounted is the number of records up to which every one is looked at to
	// say how many events there are.
	maxCounted = 64
	// maxSurveyed is the number that is looked at where there are more. They lie
	// far apart: for each, JetStream may load several megabytes and keep them for
	// a while.
	maxSurveyed = 8
)

// run finds it and answers.
func (s *survey) run() error {
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
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
	first, _ := eventlog.Split(s.position)
	first = max(first, state.First, 1)
	if first <= state.Last {
		if err := s.backlog(ctx, first, state.Last, statistics); err != nil {
			return err
		}
	}
	oldest := s.oldest
	if oldest == 0 && statistics.GetBacklogEvents() > 0 {
		oldest = max(s.position, eventlog.SequenceOf(first, 0))
	}
	if oldest == 0 {
		return nil
	}
	number, _ := eventlog.Split(oldest)
	record, err := s.engine.Get(ctx, s.topic, number)
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

// backlog counts the events from the position to the last record, from a sample
// of the records where there are many.
func (s *survey) backlog(ctx context.Context, first, last uint64, statistics *tidingsv1.SubscriptionStatistics) error {
	if begin, index := eventlog.Split(s.position); begin == first && index > 0 {
		// Of this one, some are behind the position. It is no sample.
		events, err := s.eventsOf(ctx, first)
		if err != nil {
			return err
		}
		statistics.BacklogEvents = max(events-int64(index), 0)
		first++
	}
	records := last - first + 1
	if first > last {
		return nil
	}
	if s.topic.Config.GetDedupe() == tidingsv1.Dedupe_DEDUPE_EVENT { // Each record holds one event.
		statistics.BacklogEvents += int64(records)
		return nil
	}
	looked := records
	if records > maxCounted {
		looked = maxSurveyed
	}
	var sample int64
	for i := range looked {
		events, err := s.eventsOf(ctx, first+i*(records-1)/max(looked-1, 1))
		if err != nil {
			return err
		}
		sample += events
	}
	statistics.BacklogEvents += int64(float64(sample) / float64(looked) * float64(records))
	statistics.BacklogEstimated = looked < records
	return nil
}

// eventsOf is the number of events of a record, 0 where retention removed it.
func (s *survey) eventsOf(ctx context.Context, number uint64) (int64, error) {
	record, err := s.engine.Get(ctx, s.topic, number)
	if errors.Is(err, engine.ErrRecordNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	list, err := eventlog.Events(record.Sequence, record.Data, nil)
	return int64(len(list)), err
}
