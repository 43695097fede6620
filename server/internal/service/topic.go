package service

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"example.com/tidings/server/internal/auth"
	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/schema"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// defaultDedupeWindow is TopicSettings.dedupe_window where none is set.
const defaultDedupeWindow = 2 * time.Minute

func newTopicConfig(settings *optionsv1.TopicSettings) *storagev1.TopicConfig {
	var uid [8]byte
	rand.Read(uid[:])
	config := &storagev1.TopicConfig{
		Uid:        binary.BigEndian.Uint64(uid[:]),
		CreateTime: timestamppb.Now(),
		UpdateTime: timestamppb.Now(),
	}
	setSettings(config, settings)
	return config
}

// setSettings puts settings, with the defaults of what is unset, into a
// configuration, which shares nothing with them.
func setSettings(config *storagev1.TopicConfig, settings *optionsv1.TopicSettings) {
	settings = proto.CloneOf(settings)
	config.Description = settings.GetDescription()
	config.Owner = settings.GetOwner()
	config.EventTypes = settings.GetEventTypes()
	config.Dedupe = settings.GetDedupe()
	config.DedupeWindow = settings.GetDedupeWindow()
	config.Retention = settings.GetRetention()
	if proto.Equal(config.GetRetention(), new(optionsv1.Retention)) {
		config.Retention = nil // It bounds nothing.
	}
	if config.GetDedupe() == optionsv1.Dedupe_DEDUPE_UNSPECIFIED {
		config.Dedupe = optionsv1.Dedupe_DEDUPE_REQUEST
	}
	if config.GetDedupeWindow() == nil {
		config.DedupeWindow = durationpb.New(defaultDedupeWindow)
	}
}

// settingsOf is the inverse of setSettings.
func settingsOf(config *storagev1.TopicConfig) *optionsv1.TopicSettings {
	settings := &optionsv1.TopicSettings{
		Description:  config.GetDescription(),
		Owner:        config.GetOwner(),
		EventTypes:   config.GetEventTypes(),
		Dedupe:       config.GetDedupe(),
		DedupeWindow: valid(config.GetDedupeWindow()),
	}
	if r := config.GetRetention(); r != nil {
		settings.Retention = &optionsv1.Retention{MaxAge: valid(r.GetMaxAge()), MaxBytes: r.GetMaxBytes()}
	}
	return settings
}

func topicProto(topic *engine.Topic, types *schema.Set) *tidingsv1.Topic {
	return &tidingsv1.Topic{
		Name:       topic.Name,
		Settings:   settingsOf(topic.Config),
		Declared:   types.DeclaredTopic(topic.Name) != nil,
		Etag:       etagOf(topic.Revision),
		CreateTime: topic.Config.GetCreateTime(),
		UpdateTime: topic.Config.GetUpdateTime(),
	}
}

// CreateTopic implements tidings.v1.TopicService.
func (s *Service) CreateTopic(ctx context.Context, request *tidingsv1.CreateTopicRequest) (*tidingsv1.CreateTopicResponse, error) {
	name, settings := request.GetTopic().GetName(), request.GetTopic().GetSettings()
	if err := s.knowTypes(settings.GetEventTypes()); err != nil {
		return nil, err
	}
	switch _, err := s.engine.Topic(ctx, name); {
	case err == nil:
		return nil, topicExists(name)
	case !errors.Is(err, engine.ErrTopicNotFound):
		return nil, storageFault(err, name)
	}
	if declared := s.Types().DeclaredTopic(name); declared != nil {
		if err := fitsDeclaration(declared, settings); err != nil {
			return nil, err
		}
		settings = declared.Settings
	}
	if limit := s.limits.MaxTopics; limit > 0 && len(s.engine.Topics()) >= limit {
		return nil, tooMany("topics", limit)
	}
	topic, err := s.engine.CreateTopic(ctx, name, newTopicConfig(settings))
	if errors.Is(err, engine.ErrTopicExists) {
		return nil, topicExists(name)
	}
	if err != nil {
		return nil, storageFault(err, name)
	}
	return &tidingsv1.CreateTopicResponse{Topic: topicProto(topic, s.Types())}, nil
}

func topicExists(name string) error {
	return fault(tidingsv1.ErrorReason_ERROR_REASON_TOPIC_ALREADY_EXISTS, fmt.Sprintf("topic %q exists", name), "topic", name)
}

func tooMany(what string, limit int) error {
	return fault(tidingsv1.ErrorReason_ERROR_REASON_TOO_MANY,
		fmt.Sprintf("there are %d %s or more, as many as the server may have", limit, what), "limit", strconv.Itoa(limit))
}

// knowTypes returns an error where one of the types is unknown.
func (s *Service) knowTypes(names []string) error {
	for i, name := range names {
		if name == schema.AnyType {
			continue
		}
		if _, err := s.Types().Type(name); err != nil {
			return fieldFault(tidingsv1.ErrorReason_ERROR_REASON_EVENT_TYPE_UNKNOWN,
				fmt.Sprintf("topic.settings.event_types[%d]", i), s.Types().Lacks(name), "type", name)
		}
	}
	return nil
}

// GetTopic implements tidings.v1.TopicService.
func (s *Service) GetTopic(ctx context.Context, request *tidingsv1.GetTopicRequest) (*tidingsv1.GetTopicResponse, error) {
	topic, err := s.engine.Topic(ctx, request.GetName())
	if err != nil {
		return nil, storageFault(err, request.GetName())
	}
	state, err := s.engine.State(ctx, topic)
	if err != nil {
		return nil, storageFault(err, topic.Name)
	}
	result := topicProto(topic, s.Types())
	result.Statistics = &tidingsv1.TopicStatistics{StoredBytes: state.Bytes}
	if state.First < state.End {
		result.Statistics.EarliestSequence = state.First
	}
	if result.Statistics.LatestSequence, err = s.engine.Latest(ctx, topic); err != nil {
		return nil, storageFault(err, topic.Name)
	}
	events, exact, err := s.engine.Count(ctx, topic, 0)
	if err != nil {
		return nil, storageFault(err, topic.Name)
	}
	result.Statistics.EventCount, result.Statistics.EventCountEstimated = events, !exact
	if !state.LastTime.IsZero() {
		result.Statistics.LatestPublishTime = timestamppb.New(state.LastTime)
	}
	return &tidingsv1.GetTopicResponse{Topic: result}, nil
}

// ListTopics implements tidings.v1.TopicService. It lists what its caller may know of.
func (s *Service) ListTopics(ctx context.Context, request *tidingsv1.ListTopicsRequest) (*tidingsv1.ListTopicsResponse, error) {
	var list []*engine.Topic
	for _, topic := range s.engine.Topics() {
		if sees(ctx, auth.Permission{Topic: topic.Name}) {
			list = append(list, topic)
		}
	}
	page, next, err := paginate(list, func(t *engine.Topic) string { return t.Name },
		func(t *engine.Topic) (*tidingsv1.Topic, error) { return topicProto(t, s.Types()), nil },
		"topics", request.GetPageSize(), request.GetPageToken())
	return &tidingsv1.ListTopicsResponse{Topics: page, NextPageToken: next}, err
}

// UpdateTopic implements tidings.v1.TopicService.
func (s *Service) UpdateTopic(ctx context.Context, request *tidingsv1.UpdateTopicRequest) (*tidingsv1.UpdateTopicResponse, error) {
	wanted := request.GetTopic()
	for {
		response, err := s.updateTopic(ctx, wanted, request.GetUpdateMask())
		if !errors.Is(err, engine.ErrRevision) {
			return response, err
		}
		// Another change came first. Without an etag that is no reason to refuse
		// this one.
		if wanted.GetEtag() != "" {
			return nil, s.changeFault(ctx, err, wanted.GetName())
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

// updateTopic returns engine.ErrRevision where another change comes first.
func (s *Service) updateTopic(ctx context.Context, wanted *tidingsv1.Topic, mask *fieldmaskpb.FieldMask) (*tidingsv1.UpdateTopicResponse, error) {
	topic, err := s.topicAt(ctx, wanted.GetName(), wanted.GetEtag())
	if err != nil {
		return nil, err
	}
	changed := &tidingsv1.Topic{Name: topic.Name, Settings: settingsOf(topic.Config)}
	if err := update(changed, wanted, mask, "topic"); err != nil {
		return nil, err
	}
	config := proto.CloneOf(topic.Config)
	setSettings(config, changed.GetSettings())
	if proto.Equal(config, topic.Config) {
		return &tidingsv1.UpdateTopicResponse{Topic: topicProto(topic, s.Types())}, nil
	}
	if s.Types().DeclaredTopic(topic.Name) != nil {
		if err := keepDeclared(topic.Name, settingsOf(topic.Config), settingsOf(config)); err != nil {
			return nil, err
		}
	}
	// A type that is listed already may have been taken from the server since.
	if !slices.Equal(config.GetEventTypes(), topic.Config.GetEventTypes()) {
		if err := s.knowTypes(config.GetEventTypes()); err != nil {
			return nil, err
		}
	}
	config.UpdateTime = timestamppb.Now()
	updated, err := s.engine.UpdateTopic(ctx, topic, config)
	if errors.Is(err, engine.ErrRevision) {
		return nil, err
	}
	if err != nil {
		return nil, storageFault(err, topic.Name)
	}
	return &tidingsv1.UpdateTopicResponse{Topic: topicProto(updated, s.Types())}, nil
}

// DeleteTopic implements tidings.v1.TopicService.
func (s *Service) DeleteTopic(ctx context.Context, request *tidingsv1.DeleteTopicRequest) (*tidingsv1.DeleteTopicResponse, error) {
	topic, err := s.topicAt(ctx, request.GetName(), request.GetEtag())
	if err != nil {
		return nil, err
	}
	if err := s.engine.DeleteTopic(ctx, topic); err != nil {
		return nil, s.changeFault(ctx, err, topic.Name)
	}
	return &tidingsv1.DeleteTopicResponse{}, nil
}

// topicAt returns a topic whose etag, unless the given one is empty, is the
// given one.
func (s *Service) topicAt(ctx context.Context, name, etag string) (*engine.Topic, error) {
	topic, err := s.engine.Topic(ctx, name)
	if err != nil {
		return nil, storageFault(err, name)
	}
	if now := etagOf(topic.Revision); etag != "" && etag != now {
		return nil, etagMismatch(name, now)
	}
	return topic, nil
}

// changeFault is storageFault for a change that may have lost a race.
func (s *Service) changeFault(ctx context.Context, err error, name string) error {
	if !errors.Is(err, engine.ErrRevision) {
		return storageFault(err, name)
	}
	topic, err := s.engine.Topic(ctx, name)
	if err != nil {
		return storageFault(err, name)
	}
	return etagMismatch(name, etagOf(topic.Revision))
}

func etagMismatch(name, now string) error {
	return fault(tidingsv1.ErrorReason_ERROR_REASON_TOPIC_ETAG_MISMATCH,
		fmt.Sprintf("topic %q has been changed: its etag is now %s", name, now), "topic", name, "etag", now)
}
