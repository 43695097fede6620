package service

import (
	"context"
	"errors"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/eventlog"
	"example.com/tidings/server/internal/telemetry"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// GetEvent implements tidings.v1.ReaderService.
func (s *Service) GetEvent(ctx context.Context, request *tidingsv1.GetEventRequest) (*tidingsv1.GetEventResponse, error) {
	topic, err := s.engine.Topic(ctx, request.GetTopic())
	if err != nil {
		return nil, storageFault(err, request.GetTopic())
	}
	record, err := s.engine.Get(ctx, topic, request.GetSequence())
	if errors.Is(err, engine.ErrRecordNotFound) {
		return nil, eventNotFound(topic.Name, request.GetSequence())
	}
	if err != nil {
		return nil, storageFault(err, topic.Name)
	}
	events, err := eventlog.Events(record.First, record.Data, nil)
	if err != nil {
		return nil, err
	}
	index := int(request.GetSequence() - record.First)
	if index >= len(events) {
		return nil, eventNotFound(topic.Name, request.GetSequence())
	}
	event, err := recordedEvent(topic, record, index, events)
	if err != nil {
		return nil, err
	}
	s.metrics.Topic(topic.Name).Read.Inc()
	telemetry.CallFrom(ctx).AddEvents(1)
	return &tidingsv1.GetEventResponse{Recorded: event}, nil
}
