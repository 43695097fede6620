package schemarules

import (
	"fmt"
	"path"
	"regexp"
	"strings"

	"buf.build/go/bufplugin/check"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// topicName is what the server takes as the name of a topic.
var topicName = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)

func eventTopic() *check.RuleSpec {
	return lint("TIDINGS_EVENT_TOPIC",
		"Checks that every event says the topic that it goes to.",
		onState(func(s subject) error {
			parts, packages := s.parts(), s.packagesWithOptions()
			for message := range of[protoreflect.MessageDescriptor](s.files) {
				event, err := s.options.Event(message)
				switch {
				case err != nil:
					return err
				case event != nil:
					if wrong := checkTopicName(event.Topic); wrong != "" {
						s.AddAnnotation(
							check.WithMessagef("%s goes to the topic %q, which %s.", describe(message), event.Topic, wrong),
							at(message, s.options.Path("topic")))
					}
				case packages[message.ParentFile().Package()] && looksLikeEvent(message) && !parts[message.FullName()]:
					s.AddAnnotation(
						check.WithMessagef("%s is an event by its name or its file, and says no topic: "+
							"it lacks the option tidings.options.v1.event.", describe(message)),
						check.WithDescriptor(message))
				}
			}
			return nil
		}))
}

// eventFile is the name of a file that holds events.
var eventFile = regexp.MustCompile(`^([a-z0-9_]+_)?events?\.proto$`)

// looksLikeEvent reports whether a message is an event by its name or its place. The
// messages of Tidings itself speak about events, and are none.
func looksLikeEvent(message protoreflect.MessageDescriptor) bool {
	file := message.ParentFile()
	if _, nested := message.Parent().(protoreflect.MessageDescriptor); nested || isTidings(file.Package()) {
		return false
	}
	return strings.HasSuffix(string(message.Name()), "Event") || eventFile.MatchString(path.Base(file.Path()))
}

// ofTidings matches the packages of Tidings itself, and none that a company has
// below them.
var ofTidings = regexp.MustCompile(`^tidings\.((options|storage|replica|conformance)\.)?v[0-9]+((alpha|beta)[0-9]+)?$`)

// isTidings reports whether a package is one of Tidings itself.
func isTidings(name protoreflect.FullName) bool { return ofTidings.MatchString(string(name)) }

// optionsFile declares the option of events.
const optionsFile = "tidings/options/v1/options.proto"

// packagesWithOptions returns the packages of which a file imports the option of
// events. The others have nothing to do with Tidings, whatever they call an event.
func (s state) packagesWithOptions() map[protoreflect.FullName]bool {
	packages := make(map[protoreflect.FullName]bool)
	for _, file := range s.all {
		for i := range file.Imports().Len() {
			if file.Imports().Get(i).Path() == optionsFile {
				packages[file.Package()] = true
			}
		}
	}
	return packages
}

// parts returns the messages that are a part of another one, or what an RPC takes
// or gives: they aren't published by themselves.
func (s state) parts() map[protoreflect.FullName]bool {
	parts := make(map[protoreflect.FullName]bool)
	for _, file := range s.all {
		for field := range of[protoreflect.FieldDescriptor]([]protoreflect.FileDescriptor{file}) {
			held := field
			if field.IsMap() {
				held = field.MapValue()
			}
			// A message that holds others of its own type isn't a part for that.
			if held.Message() != nil && held.Message().FullName() != field.ContainingMessage().FullName() {
				parts[held.Message().FullName()] = true
			}
		}
		for method := range of[protoreflect.MethodDescriptor]([]protoreflect.FileDescriptor{file}) {
			parts[method.Input().FullName()], parts[method.Output().FullName()] = true, true
		}
	}
	return parts
}

func eventKey() *check.RuleSpec {
	return lint("TIDINGS_EVENT_KEY",
		"Checks that the key of every event is the path of a field that can be one.",
		onState(func(s subject) error {
			for message := range of[protoreflect.MessageDescriptor](s.files) {
				event, err := s.options.Event(message)
				if err != nil {
					return err
				}
				if event == nil || event.Key == "" {
					continue
				}
				if err := checkKey(message, event.Key); err != nil {
					s.AddAnnotation(
						check.WithMessagef("%s has the key %q, which no event can have: %v.", describe(message), event.Key, err),
						at(message, s.options.Path("key")))
				}
			}
			return nil
		}))
}

// checkKey follows a path of field names joined by dots. The server refuses to
// start with a key for which this fails.
func checkKey(message protoreflect.MessageDescriptor, key string) error {
	var field protoreflect.FieldDescriptor
	for name := range strings.SplitSeq(key, ".") {
		if message == nil {
			return fmt.Errorf("%s is not a message", field.FullName())
		}
		field = message.Fields().ByName(protoreflect.Name(name))
		switch {
		case field == nil:
			return fmt.Errorf("%s has no field %q", message.FullName(), name)
		case field.IsList() || field.IsMap():
			return fmt.Errorf("%s is repeated", field.FullName())
		}
		message = field.Message()
	}
	switch field.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind, protoreflect.BytesKind,
		protoreflect.FloatKind, protoreflect.DoubleKind:
		return fmt.Errorf("%s is a %s, not a string, an integer, a bool or an enum", field.FullName(), field.Kind())
	default:
		return nil
	}
}
