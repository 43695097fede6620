package service

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/governance"
	"example.com/tidings/server/internal/schema"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// admit returns a *governance.ConflictError where schemas declare of a topic what
// can't change on the one that exists, or an error of the engine.
func (s *Service) admit(ctx context.Context, types *schema.Set) error {
	for _, name := range types.Topics() {
		declared := types.DeclaredTopic(name)
		if declared == nil {
			continue
		}
		topic, err := s.engine.Topic(ctx, name)
		if errors.Is(err, engine.ErrTopicNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("topic %q: %w", name, err)
		}
		if err := cannotHave(topic, declared); err != nil {
			return err
		}
	}
	return nil
}

// cannotHave says what of a declaration the topic that exists can't have.
func cannotHave(topic *engine.Topic, declared *schema.Topic) error {
	wanted := withDefaults(declared.Settings).GetDedupe()
	if wanted == topic.Config.GetDedupe() {
		return nil
	}
	return &governance.ConflictError{Problem: fmt.Sprintf(
		"%s: option (tidings.options.v1.topic) for %q: settings.dedupe: it is %s, and the topic exists with %s, which can't change; "+
			"declare that, or delete the topic with its events first", declared.File, topic.Name, wanted, topic.Config.GetDedupe())}
}

// applyTopics creates the topics that the schemas in force name and that don't
// exist, and gives those that they declare the declared settings. It returns a
// *governance.ConflictError or an error of the engine.
func (s *Service) applyTopics(ctx context.Context) error {
	// One at a time, so that what was in force before isn't applied last.
	select {
	case s.applying <- struct{}{}:
		defer func() { <-s.applying }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		types := s.Types()
		for _, name := range types.Topics() {
			if err := s.applyTopic(ctx, name, types.DeclaredTopic(name)); err != nil {
				return err
			}
		}
		if s.Types() == types {
			return nil
		}
	}
}

// applyTopic does so for one topic, of which nothing may be declared.
func (s *Service) applyTopic(ctx context.Context, name string, declared *schema.Topic) error {
	for ctx.Err() == nil {
		topic, err := s.engine.Topic(ctx, name)
		switch {
		case errors.Is(err, engine.ErrTopicNotFound):
			_, err = s.engine.CreateTopic(ctx, name, newTopicConfig(settingsDeclared(declared)))
		case err == nil && declared != nil:
			err = s.applySettings(ctx, topic, declared)
		}
		switch {
		case err == nil:
			return nil
		case errors.Is(err, engine.ErrTopicExists), errors.Is(err, engine.ErrRevision), errors.Is(err, engine.ErrTopicNotFound):
			// Another server or client was faster.
		default:
			return fmt.Errorf("topic %q: %w", name, err)
		}
	}
	return ctx.Err()
}

// applySettings gives a topic the declared settings, where they differ.
func (s *Service) applySettings(ctx context.Context, topic *engine.Topic, declared *schema.Topic) error {
	if err := cannotHave(topic, declared); err != nil {
		return err
	}
	config := proto.CloneOf(topic.Config)
	setSettings(config, declared.Settings)
	if proto.Equal(config, topic.Config) {
		return nil
	}
	config.UpdateTime = timestamppb.Now()
	if _, err := s.engine.UpdateTopic(ctx, topic, config); err != nil {
		return err
	}
	s.log.InfoContext(ctx, "topic has the settings that its schema declares", "topic", topic.Name, "file", declared.File)
	return nil
}

// settingsDeclared are the settings of a declaration, or nil where there is none.
func settingsDeclared(declared *schema.Topic) *optionsv1.TopicSettings {
	if declared == nil {
		return nil
	}
	return declared.Settings
}

// withDefaults returns settings with the defaults of what is unset.
func withDefaults(settings *optionsv1.TopicSettings) *optionsv1.TopicSettings {
	config := new(storagev1.TopicConfig)
	setSettings(config, settings)
	return settingsOf(config)
}

// fitsDeclaration returns TOPIC_DECLARED where a declared topic that was deleted is
// to be created anew with other settings. None at all stand for the declared ones.
func fitsDeclaration(declared *schema.Topic, wanted *optionsv1.TopicSettings) error {
	if proto.Size(wanted) == 0 {
		return nil
	}
	return keepDeclared(declared.Name, withDefaults(declared.Settings), withDefaults(wanted))
}

// keepDeclared returns TOPIC_DECLARED where settings differ from those that a
// topic has to have, and names the first that does.
func keepDeclared(topic string, present, wanted *optionsv1.TopicSettings) error {
	place := different(present.ProtoReflect(), wanted.ProtoReflect(), "topic.settings")
	if place == "" {
		return nil
	}
	return fieldFault(tidingsv1.ErrorReason_ERROR_REASON_TOPIC_DECLARED, place,
		fmt.Sprintf("the schemas declare the settings of topic %q: change them there", topic), "topic", topic)
}
