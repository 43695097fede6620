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
	"google.golang.org/protobuf/types/known/timestamppb"

	"example.com/tidings/server/internal/engine"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// defaultDedupeWindow is Topic.dedupe_window where none is set.
const defaultDedupeWindow = 2 * time.Minute

// createDeclaredTopics creates the topics that event types declare and that
// don't exist.
func (s *Service) createDeclaredTopics(ctx context.Context) error {
	for _, name := range s.Types().Topics() {
		_, err := s.engine.Topic(ctx, name)
		if errors.Is(err, engine.ErrTopicNotFound) {
			_, err = s.engine.CreateTopic(ctx, name, newTopicConfig(&tidingsv1.Topic{}))
		}
		if err != nil && !errors.Is(err, engine.ErrTopicExists) { // Another server was faster.
			return fmt.Errorf("declared topic %q: %w", name, err)
		}
	}
	return nil
}

func newTopicConfig(topic *tidingsv1.Topic) *storagev1.TopicConfig {
	var uid [8]byte
	rand.Read(uid[:])
	config := &storagev1.TopicConfig{
		Uid:          binary.BigEndian.Uint64(uid[:]),
		Description:  topic.GetDescription(),
		EventTypes:   topic.GetEventTypes(),
		Dedupe:       topic.GetDedupe(),
		DedupeWindow: topic.GetDedupeWindow(),
		Retention:    topic.GetRetention(),
		CreateTime:   timestamppb.Now(),
		UpdateTime:   timestamppb.Now(),
	}
	if config.GetDedupe() == tidingsv1.Dedupe_DEDUPE_UNSPECIFIED {
		config.Dedupe = tidingsv1.Dedupe_DEDUPE_REQUEST
	}
	settleWindow(config)
	return config
}

// settleWindow fills the window. It is kept as it was asked for, so that a
// retention which is longer again brings it back.
func settleWindow(config *storagev1.TopicConfig) {
	if config.GetDedupeWindow() == nil {
		config.DedupeWindow = durationpb.New(defaultDedupeWindow)
	}
}

func topicProto(topic *engine.Topic) *tidingsv1.Topic {
	config := topic.Config
	var retention *tidingsv1.Retention
	if r := config.GetRetention(); r != nil {
		retention = &tidingsv1.Retention{MaxAge: valid(r.GetMaxAge()), MaxBytes: r.GetMaxBytes()}
	}
	return &tidingsv1.Topic{
		Name:         topic.Name,
		Description:  config.GetDescription(),
		EventTypes:   config.GetEventTypes(),
		Dedupe:       config.GetDedupe(),
		DedupeWindow: durationpb.New(engine.Window(config)),
		Retention:    retention,
		Etag:         etagOf(topic.Revision),
		CreateTime:   config.GetCreateTime(),
		UpdateTime:   config.GetUpdateTime(),
	}
}

// CreateTopic implements tidings.v1.TopicService.
func (s *Service) CreateTopic(ctx context.Context, request *tidingsv1.CreateTopicRequest) (*tidingsv1.CreateTopicResponse, error) {
	name := request.GetTopic().GetName()
	if err := s.knowTypes(request.GetTopic().GetEventTypes()); err != nil {
		return nil, err
	}
	if limit := s.limits.MaxTopics; limit > 0 && len(s.engine.Topics()) >= limit {
		if _, err := s.engine.Topic(ctx, name); errors.Is(err, engine.ErrTopicNotFound) {
			return nil, tooMany("topics", limit)
		}
	}
	topic, err := s.engine.CreateTopic(ctx, name, newTopicConfig(request.GetTopic()))
	if errors.Is(err, engine.ErrTopicExists) {
		return nil, fault(tidingsv1.ErrorReason_ERROR_REASON_TOPIC_ALREADY_EXISTS, fmt.Sprintf("topic %q exists", name), "topic", name)
	}
	if err != nil {
		return nil, storageFault(err, name)
	}
	return &tidingsv1.CreateTopicResponse{Topic: topicProto(topic)}, nil
}

func tooMany(what string, limit int) error {
	return fault(tidingsv1.ErrorReason_ERROR_REASON_TOO_MANY,
		fmt.Sprintf("there are %d %s or more, as many as the server may have", limit, what), "limit", strconv.Itoa(limit))
}

// knowTypes returns an error where one of the types is unknown.
func (s *Service) knowTypes(names []string) error {
	for i, name := range names {
		if _, err := s.Types().Type(name); err != nil {
			return fieldFault(tidingsv1.ErrorReason_ERROR_REASON_EVENT_TYPE_UNKNOWN,
				fmt.Sprintf("topic.event_types[%d]", i), fmt.Sprintf("the server has not been given the type %q", name), "type", name)
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
	result := topicProto(topic)
	result.Statistics = &tidingsv1.TopicStatistics{StoredBytes: state.Bytes}
	if state.First < state.End {
		result.Statistics.EarliestSequence = state.First
	}
	if result.Statistics.LatestSequence, err = s.engine.Latest(ctx, topic); err != nil {
		return nil, storageFault(err, topic.Name)
	}
	if !state.LastTime.IsZero() {
		result.Statistics.LatestPublishTime = timestamppb.New(state.LastTime)
	}
	return &tidingsv1.GetTopicResponse{Topic: result}, nil
}

// ListTopics implements tidings.v1.TopicService.
func (s *Service) ListTopics(_ context.Context, request *tidingsv1.ListTopicsRequest) (*tidingsv1.ListTopicsResponse, error) {
	page, next, err := paginate(s.engine.Topics(), func(t *engine.Topic) string { return t.Name },
		func(t *engine.Topic) (*tidingsv1.Topic, error) { return topicProto(t), nil },
		"topics", request.GetPageSize(), request.GetPageToken())
	return &tidingsv1.ListTopicsResponse{Topics: page, NextPageToken: next}, err
}

// UpdateTopic implements tidings.v1.TopicService.
func (s *Service) UpdateTopic(ctx context.Context, request *tidingsv1.UpdateTopicRequest) (*tidingsv1.UpdateTopicResponse, error) {
	wanted := request.GetTopic()
	for {
		response, err := s.updateTopic(ctx, wanted, request.GetUpdateMask().GetPaths())
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
func (s *Service) updateTopic(ctx context.Context, wanted *tidingsv1.Topic, mask []string) (*tidingsv1.UpdateTopicResponse, error) {
	topic, err := s.topicAt(ctx, wanted.GetName(), wanted.GetEtag())
	if err != nil {
		return nil, err
	}
	config := proto.CloneOf(topic.Config)
	if err := applyMask(config, wanted, mask); err != nil {
		return nil, err
	}
	// A type that is listed already may have been taken from the server since.
	if !slices.Equal(config.GetEventTypes(), topic.Config.GetEventTypes()) {
		if err := s.knowTypes(config.GetEventTypes()); err != nil {
			return nil, err
		}
	}
	settleWindow(config)
	config.UpdateTime = timestamppb.Now()
	updated, err := s.engine.UpdateTopic(ctx, topic, config)
	if errors.Is(err, engine.ErrRevision) {
		return nil, err
	}
	if err != nil {
		return nil, storageFault(err, topic.Name)
	}
	return &tidingsv1.UpdateTopicResponse{Topic: topicProto(updated)}, nil
}

// applyMask sets the fields that an update mask names. Without a mask it sets
// those that have a value.
func applyMask(config *storagev1.TopicConfig, wanted *tidingsv1.Topic, mask []string) error {
	if len(mask) == 0 {
		for path, set := range map[string]bool{
			"description":   wanted.GetDescription() != "",
			"event_types":   len(wanted.GetEventTypes()) > 0,
			"dedupe_window": wanted.GetDedupeWindow() != nil,
			"retention":     wanted.GetRetention() != nil,
		} {
			if set {
				mask = append(mask, path)
			}
		}
	}
	for i, path := range mask {
		switch path {
		case "description":
			config.Description = wanted.GetDescription()
		case "event_types":
			config.EventTypes = wanted.GetEventTypes()
		case "dedupe_window":
			config.DedupeWindow = wanted.GetDedupeWindow()
		case "retention":
			config.Retention = proto.CloneOf(wanted.GetRetention())
		case "retention.max_age", "retention.max_bytes":
			if config.GetRetention() == nil {
				config.Retention = new(tidingsv1.Retention)
			}
			if path == "retention.max_age" {
				config.Retention.MaxAge = wanted.GetRetention().GetMaxAge()
			} else {
				config.Retention.MaxBytes = wanted.GetRetention().GetMaxBytes()
			}
		default:
			return fieldFault(tidingsv1.ErrorReason_ERROR_REASON_UPDATE_MASK_INVALID,
				fmt.Sprintf("update_mask.paths[%d]", i), fmt.Sprintf("%q is not a field that can be changed", path))
		}
	}
	return nil
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
