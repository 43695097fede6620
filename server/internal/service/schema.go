package service

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/governance"
	"example.com/tidings/server/internal/quota"
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
		Revision:    revisionOf(t),
	}
}

func revisionOf(t *schema.Type) string {
	revision := t.Revision()
	return schema.FormatRevision(revision[:])
}

// GetEventType implements tidings.v1.SchemaService.
func (s *Service) GetEventType(ctx context.Context, request *tidingsv1.GetEventTypeRequest) (*tidingsv1.GetEventTypeResponse, error) {
	types := s.Types()
	t, err := types.Type(request.GetName())
	if revision := request.GetRevision(); revision != "" && (err != nil || revision != revisionOf(t)) {
		types, t, err = s.typeAt(ctx, types, request.GetName(), revision)
		if err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, typeNotFound(request.GetName(), types.Lacks(request.GetName()))
	}
	return &tidingsv1.GetEventTypeResponse{EventType: typeProto(t), FileDescriptorSet: types.FileDescriptorSet(t)}, nil
}

func typeNotFound(name, description string) *Error {
	return fault(tidingsv1.ErrorReason_ERROR_REASON_EVENT_TYPE_NOT_FOUND, description, "type", name)
}

// typeAt returns a type as it was in a revision, and a set that has it.
func (s *Service) typeAt(ctx context.Context, present *schema.Set, name, revision string) (*schema.Set, *schema.Type, error) {
	types, err := s.schemas.SetAt(ctx, name, revision)
	if err == nil {
		var t *schema.Type
		t, err = types.Type(name)
		return types, t, err
	}
	if !errors.Is(err, governance.ErrNoRevision) {
		return nil, nil, storageFault(err, "")
	}
	// Which of both isn't there?
	if _, lacking := present.Type(name); lacking != nil {
		if list, err := s.schemas.TypeRevisions(ctx, name); err != nil {
			return nil, nil, storageFault(err, "")
		} else if len(list) == 0 {
			return nil, nil, typeNotFound(name, present.Lacks(name))
		}
	}
	return nil, nil, fault(tidingsv1.ErrorReason_ERROR_REASON_EVENT_TYPE_REVISION_NOT_FOUND,
		fmt.Sprintf("revision %s of %q is unknown", revision, name), "type", name, "revision", revision)
}

// ListEventTypeRevisions implements tidings.v1.SchemaService.
func (s *Service) ListEventTypeRevisions(ctx context.Context, request *tidingsv1.ListEventTypeRevisionsRequest) (*tidingsv1.ListEventTypeRevisionsResponse, error) {
	name, types := request.GetName(), s.Types()
	list, err := s.schemas.TypeRevisions(ctx, name)
	if err != nil {
		return nil, storageFault(err, "")
	}
	if len(list) == 0 {
		return nil, typeNotFound(name, types.Lacks(name))
	}
	if t, err := types.Type(name); err == nil { // It goes first, also where an earlier one is in force again.
		present := revisionOf(t)
		if i := slices.IndexFunc(list, func(r governance.TypeRevision) bool { return r.Revision == present }); i > 0 {
			again := list[i]
			list = slices.Insert(slices.Delete(list, i, i+1), 0, again)
		}
	}
	show := func(r governance.TypeRevision) (*tidingsv1.EventTypeRevision, error) {
		return &tidingsv1.EventTypeRevision{Revision: r.Revision, CreateTime: timestamppb.New(r.CreateTime)}, nil
	}
	first := list[0].Number
	place := func(r governance.TypeRevision) string { // The order of the list.
		if r.Number == first {
			return ""
		}
		return fmt.Sprintf("%020d", math.MaxInt64-r.Number)
	}
	page, next, err := paginate(list, place, show, "revisions\x00"+name, request.GetPageSize(), request.GetPageToken())
	return &tidingsv1.ListEventTypeRevisionsResponse{Revisions: page, NextPageToken: next}, err
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
	if err := quota.FromContext(ctx).Publish(len(b.events), len(data)); err != nil {
		return nil, err
	}
	response := new(tidingsv1.ValidateEventsResponse)
	var said errorsOf
	for i := range b.events {
		_, key, err := c.check(ctx, i, &b.events[i])
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
