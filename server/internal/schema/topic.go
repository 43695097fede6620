package schema

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/durationpb"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
)

// AnyType stands for every event type in TopicSettings.event_types.
const AnyType = "*"

// reservedTopics begins the names of topics that only the server may have.
const reservedTopics = "tidings-"

var topicName = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)

// Topic is a topic whose settings a file declares.
type Topic struct {
	// Name is its name.
	Name string
	// Settings are what the declaration says: what is unset has its default. They
	// are not to be changed.
	Settings *optionsv1.TopicSettings
	// File is the path of the file.
	File string
}

// Topics returns the sorted names of the topics that event types name or files
// declare.
func (s *Set) Topics() []string { return s.topicNames }

// DeclaredTopic returns what a file declares of a topic, or nil.
func (s *Set) DeclaredTopic(name string) *Topic { return s.topics[name] }

// TypesOf returns the sorted names of the types whose events go to a topic where
// a publisher names none. The caller doesn't change the slice.
func (s *Set) TypesOf(topic string) []string { return s.ofTopic[topic] }

// Takes reports whether a topic with event types in its settings takes events of
// a type.
func (s *Set) Takes(topic string, eventTypes []string, t *Type) bool {
	if len(eventTypes) == 0 {
		return t.Topic == topic || len(s.ofTopic[topic]) == 0
	}
	return slices.Contains(eventTypes, t.Name) || slices.Contains(eventTypes, AnyType)
}

// declareTopics notes the topics that a file declares.
func (s *Set) declareTopics(file protoreflect.FileDescriptor) error {
	options, _ := file.Options().(*descriptorpb.FileOptions)
	for _, declared := range topicOptions(options) {
		if err := checkTopic(declared); err != nil {
			return fmt.Errorf("%s: option (tidings.options.v1.topic) for %q: %w", file.Path(), declared.GetName(), err)
		}
		s.topics[declared.GetName()] = &Topic{Name: declared.GetName(), Settings: declared.GetSettings(), File: file.Path()}
	}
	return nil
}

// joinTopics says what is wrong with the topics together with the types.
func (s *Set) joinTopics() error {
	for _, name := range s.declared {
		t := s.types[name]
		s.ofTopic[t.Topic] = append(s.ofTopic[t.Topic], name)
		s.topicNames = append(s.topicNames, t.Topic)
	}
	for name, topic := range s.topics {
		s.topicNames = append(s.topicNames, name)
		for i, eventType := range topic.Settings.GetEventTypes() {
			if _, err := s.Type(eventType); err != nil && eventType != AnyType {
				return fmt.Errorf("%s: option (tidings.options.v1.topic) for %q: settings.event_types[%d]: %s", topic.File, name, i, s.Lacks(eventType))
			}
		}
	}
	slices.Sort(s.topicNames)
	s.topicNames = slices.Compact(s.topicNames)
	return nil
}

// topicOptions returns the declarations of topics in the options of a file.
func topicOptions(options *descriptorpb.FileOptions) []*optionsv1.TopicOptions {
	if options == nil || !proto.HasExtension(options, optionsv1.E_Topic) {
		return nil
	}
	declared, _ := proto.GetExtension(options, optionsv1.E_Topic).([]*optionsv1.TopicOptions)
	return declared
}

// checkTopic says what is wrong with a declaration alone.
func checkTopic(declared *optionsv1.TopicOptions) error {
	// A setting of a later release would otherwise be lost without a word.
	if err := UnknownField(declared.ProtoReflect()); err != nil {
		return err
	}
	settings := declared.GetSettings()
	for path, duration := range map[string]*durationpb.Duration{
		"settings.dedupe_window": settings.GetDedupeWindow(), "settings.retention.max_age": settings.GetRetention().GetMaxAge(),
	} {
		if duration != nil && !duration.IsValid() {
			return fmt.Errorf("%s: is not a duration", path)
		}
	}
	err := protovalidate.Validate(declared)
	invalid, ok := errors.AsType[*protovalidate.ValidationError](err)
	if !ok {
		return err
	}
	var texts []string
	for _, violation := range invalid.ToProto().GetViolations() {
		texts = append(texts, protovalidate.FieldPathString(violation.GetField())+": "+violation.GetMessage())
	}
	return errors.New(strings.Join(texts, "; "))
}

// checkTopicName says what is wrong with the topic that an event type names.
func checkTopicName(name string) error {
	switch {
	case !topicName.MatchString(name):
		return fmt.Errorf("%q is not a topic name", name)
	case strings.HasPrefix(name, reservedTopics):
		return fmt.Errorf("%q: names that begin with %s are reserved", name, reservedTopics)
	default:
		return nil
	}
}
