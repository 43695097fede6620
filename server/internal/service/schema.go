package service

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/schema"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// ListEventTypes implements tidings.v1.SchemaService.
func (s *Service) ListEventTypes(_ context.Context, request *tidingsv1.ListEventTypesRequest) (*tidingsv1.ListEventTypesResponse, error) {
	types := s.Types()
	names := types.Names(request.GetIncludeUndeclared())
	if topic := request.GetTopic(); topic != "" {
		names = slices.DeleteFunc(slices.Clone(names), func(name string) bool {
			t, err := types.Type(name)
			return err != nil || t.Topic != topic
		})
	}
	listing := fmt.Sprintf("types\x00%s\x00%t", request.GetTopic(), request.GetIncludeUndeclared())
	show := func(name string) (*tidingsv1.EventType, error) {
		t, err := types.Type(name)
		if err != nil {
			return nil, err
		}
		return typeProto(t), nil
	}
	page, next, err := paginate(names, func(name string) string { return name }, show, listing, request.GetPageSize(), request.GetPageToken())
	return &tidingsv1.ListEventTypesResponse{EventTypes: page, NextPageToken: next}, err
}

func typeProto(t *schema.Type) *tidingsv1.EventType {
	return &tidingsv1.EventType{
		Name:        t.Name,
		Topic:       t.Topic,
		Key:         t.Key,
		Description: t.Description,
		Deprecated:  t.Deprecated,
	}
}

// GetEventType implements tidings.v1.SchemaService.
func (s *Service) GetEventType(_ context.Context, request *tidingsv1.GetEventTypeRequest) (*tidingsv1.GetEventTypeResponse, error) {
	types := s.Types()
	t, err := types.Type(request.GetName())
	if err != nil {
		return nil, typeNotFound(request.GetName(), types.Lacks(request.GetName()))
	}
	return &tidingsv1.GetEventTypeResponse{EventType: typeProto(t), FileDescriptorSet: types.FileDescriptorSet(t)}, nil
}

func typeNotFound(name, description string) *Error {
	return fault(tidingsv1.ErrorReason_ERROR_REASON_EVENT_TYPE_NOT_FOUND, description, "type", name)
}

// ValidateEvents implements tidings.v1.SchemaService.
func (s *Service) ValidateEvents(ctx context.Context, request *tidingsv1.ValidateEventsRequest) (*tidingsv1.ValidateEventsResponse, error) {
	c := &checker{types: s.Types(), limits: s.limits}
	if name := request.GetTopic(); name != "" && plainTopic(name) {
		topic, err := s.engine.Topic(ctx, name)
		if err != nil {
			return nil, storageFault(err, name)
		}
		c.topic = topic
	}
	// The same way as a publish takes, so that the verdict is the same.
	data, err := proto.Marshal(&tidingsv1.PublishRequest{Topic: request.GetTopic(), Events: request.GetEvents()})
	if err != nil {
		return nil, Malformed("", err.Error())
	}
	var b batch
	if err := parseBatch(data, &b, 0); err != nil {
		return nil, err
	}
	response := new(tidingsv1.ValidateEventsResponse)
	var said errorsOf
	for i := range b.events {
		key, err := c.check(ctx, i, &b.events[i])
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		result := &tidingsv1.ValidationResult{Valid: err == nil, PartitionKey: key}
		if err != nil {
			result.Error = said.proto(AsError(ctx, s.log, err))
		}
		response.Results = append(response.Results, result)
	}
	return response, nil
}

var errNotServing = errors.New("the server is stopping")

// Readiness is what a server can do.
type Readiness struct {
	// Problem is what is wrong. nil: nothing.
	Problem error
	// Stores says that events can be stored, and Works that all else works.
	Stores, Works bool
}

// Readiness asks the storage what can be done.
func (s *Service) Readiness(ctx context.Context) Readiness {
	if s.Leaving() {
		return Readiness{Problem: errNotServing}
	}
	err := s.engine.Ready(ctx)
	works := err == nil || errors.Is(err, engine.ErrFull) || errors.Is(err, engine.ErrDamaged)
	return Readiness{Problem: err, Works: works, Stores: works && !errors.Is(err, engine.ErrFull)}
}

// ListEventTypeRevisions implements tidings.v1.SchemaService.
func (s *Service) ListEventTypeRevisions(context.Context, *tidingsv1.ListEventTypeRevisionsRequest) (*tidingsv1.ListEventTypeRevisionsResponse, error) {
	panic("to be written")
}
