package contract

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
)

const topicName = "tidings.options.v1.topic"

// What a declared topic has where its settings say nothing.
const (
	defaultDedupe = "DEDUPE_REQUEST"
	defaultWindow = 2 * time.Minute
)

// AnyType stands for every type in Topic.EventTypes.
const AnyType = "*"

// A Topic is what a file declares of one.
type Topic struct {
	Name string
	// Dedupe is the name of its value.
	Dedupe string
	// Window is for how long an identity is remembered.
	Window time.Duration
	// MaxAge and MaxBytes are when events are removed. 0: never.
	MaxAge   time.Duration
	MaxBytes int64
	// EventTypes are what it says that it takes.
	EventTypes []string
	// Declaration is what was read.
	Declaration protoreflect.Message
	// Index is its place among the declarations of its file.
	Index int
}

// TopicPath leads, in the options of a file, to a part of a declaration: by the
// names of fields, `settings`, `retention`. It is empty if the schemas don't know the
// option.
func (o Options) TopicPath(topic *Topic, names ...protoreflect.Name) protoreflect.SourcePath {
	if o.topic == nil {
		return nil
	}
	extension := o.topic.TypeDescriptor()
	path := protoreflect.SourcePath{int32(extension.Number()), int32(topic.Index)}
	message := extension.Message()
	for _, name := range names {
		if message == nil {
			break
		}
		field := message.Fields().ByName(name)
		if field == nil {
			break
		}
		path, message = append(path, int32(field.Number())), field.Message()
		if field.IsList() {
			path = append(path, 0) // Files know places of elements, not of lists.
		}
	}
	return path
}

// Topics returns what a file declares of topics.
func (o Options) Topics(file protoreflect.FileDescriptor) ([]*Topic, error) {
	if o.topic == nil {
		return nil, nil
	}
	field := o.topic.TypeDescriptor()
	if field.Message() == nil || !field.IsList() {
		return nil, fmt.Errorf("the option %s is not a list of messages", topicName)
	}
	options, err := decode(file, o.topic)
	if err != nil {
		return nil, err
	}
	var topics []*Topic
	list := options.Get(field).List()
	for i := range list.Len() {
		topic, err := topicOf(list.Get(i).Message())
		if err != nil {
			return nil, fmt.Errorf("%s: option %s: %w", file.Path(), topicName, err)
		}
		topic.Index = i
		topics = append(topics, topic)
	}
	return topics, nil
}

// topicOf reads a declaration by way of its JSON, which has names for all that is
// in it.
func topicOf(declaration protoreflect.Message) (*Topic, error) {
	text, err := protojson.Marshal(declaration.Interface())
	if err != nil {
		return nil, err
	}
	var said struct {
		Name     string `json:"name"`
		Settings struct {
			EventTypes   []string `json:"eventTypes"`
			Dedupe       any      `json:"dedupe"` // A number where the enum has no name for it.
			DedupeWindow string   `json:"dedupeWindow"`
			Retention    struct {
				MaxAge   string `json:"maxAge"`
				MaxBytes int64  `json:"maxBytes,string"`
			} `json:"retention"`
		} `json:"settings"`
	}
	if err := json.Unmarshal(text, &said); err != nil {
		return nil, err
	}
	topic := &Topic{
		Name: said.Name, Dedupe: defaultDedupe, Window: defaultWindow, MaxAge: duration(said.Settings.Retention.MaxAge),
		MaxBytes: said.Settings.Retention.MaxBytes, EventTypes: said.Settings.EventTypes, Declaration: declaration,
	}
	if said.Settings.Dedupe != nil {
		topic.Dedupe = fmt.Sprint(said.Settings.Dedupe)
	}
	if said.Settings.DedupeWindow != "" {
		topic.Window = duration(said.Settings.DedupeWindow)
	}
	return topic, nil
}

// duration reads one from JSON. None is 0, and one too long for Go the longest.
func duration(text string) time.Duration {
	if text == "" {
		return 0
	}
	parsed, err := time.ParseDuration(text)
	if err != nil {
		return math.MaxInt64
	}
	return parsed
}

// Takes reports whether a topic takes events of a type, given the sorted names of the
// types that declare it.
func (t *Topic) Takes(eventType string, declaring []string) bool {
	if len(t.EventTypes) > 0 {
		return slices.Contains(t.EventTypes, eventType) || slices.Contains(t.EventTypes, AnyType)
	}
	return len(declaring) == 0 || slices.Contains(declaring, eventType)
}

// TakesAny reports whether it takes events of every type.
func (t *Topic) TakesAny(declaring []string) bool {
	return slices.Contains(t.EventTypes, AnyType) || len(t.EventTypes) == 0 && len(declaring) == 0
}
