package schemarules

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"buf.build/go/bufplugin/check"
	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/reflect/protoreflect"

	"example.com/tidings/tools/internal/contract"
)

// A declaration is a topic and the file that declares it.
type declaration struct {
	*contract.Topic

	file protoreflect.FileDescriptor
}

// topicsOf returns what files declare of topics, by the paths of the files and in
// their order.
func (s state) topicsOf(files []protoreflect.FileDescriptor) ([]declaration, error) {
	files = slices.SortedFunc(slices.Values(files), func(a, b protoreflect.FileDescriptor) int { return strings.Compare(a.Path(), b.Path()) })
	var found []declaration
	for _, file := range files {
		topics, err := s.options.Topics(file)
		if err != nil {
			return nil, err
		}
		for _, topic := range topics {
			found = append(found, declaration{topic, file})
		}
	}
	return found, nil
}

// typesByTopic returns the sorted names of the event types that name each topic.
func (s state) typesByTopic() (map[string][]string, error) {
	types := make(map[string][]string)
	for message := range of[protoreflect.MessageDescriptor](s.all) {
		event, err := s.options.Event(message)
		if err != nil {
			return nil, err
		}
		if event != nil {
			types[event.Topic] = append(types[event.Topic], string(message.FullName()))
		}
	}
	for _, names := range types {
		slices.Sort(names)
	}
	return types, nil
}

func topicDeclaredOnce() *check.RuleSpec {
	return lint("TIDINGS_TOPIC_DECLARED_ONCE",
		"Checks that a topic is declared once.",
		onState(func(s subject) error {
			everywhere, err := s.topicsOf(s.all)
			if err != nil {
				return err
			}
			first := make(map[string]declaration)
			own := make(map[string]bool)
			for _, file := range s.files {
				own[file.Path()] = true
			}
			for _, topic := range everywhere {
				before, again := first[topic.Name]
				if !again {
					first[topic.Name] = topic
					continue
				}
				// What is imported from elsewhere can't be changed here.
				if !own[topic.file.Path()] {
					topic, before = before, topic
				}
				if own[topic.file.Path()] {
					s.AddAnnotation(
						check.WithMessagef("The topic %q is declared in %s too.", topic.Name, before.file.Path()),
						at(topic.file, s.options.TopicPath(topic.Topic)))
				}
			}
			return nil
		}))
}

func topicSettings() *check.RuleSpec {
	return lint("TIDINGS_TOPIC_SETTINGS",
		"Checks that topics are declared with names and settings that they can have.",
		onState(func(s subject) error {
			topics, err := s.topicsOf(s.files)
			if err != nil {
				return err
			}
			types, err := s.typesByTopic()
			if err != nil {
				return err
			}
			for _, topic := range topics {
				if err := s.checkDeclaration(topic); err != nil {
					return err
				}
				for _, name := range types[topic.Name] {
					if !topic.Takes(name, types[topic.Name]) {
						s.AddAnnotation(
							check.WithMessagef("The topic %q doesn't take the events of %s, which go to it.", topic.Name, name),
							at(topic.file, s.options.TopicPath(topic.Topic, "settings", "event_types")))
					}
				}
			}
			return nil
		}))
}

// checkDeclaration applies the rules that the option has in the schema of the
// options.
func (s subject) checkDeclaration(topic declaration) error {
	err := protovalidate.Validate(topic.Declaration.Interface())
	invalid, ok := errors.AsType[*protovalidate.ValidationError](err)
	if !ok {
		return err
	}
	for _, violation := range invalid.ToProto().GetViolations() {
		var names []protoreflect.Name
		for _, element := range violation.GetField().GetElements() {
			names = append(names, protoreflect.Name(element.GetFieldName()))
		}
		s.AddAnnotation(
			check.WithMessagef("The declaration of the topic %q: %s: %s.", topic.Name, protovalidate.FieldPathString(violation.GetField()),
				strings.TrimSuffix(violation.GetMessage(), ".")),
			at(topic.file, s.options.TopicPath(topic.Topic, names...)))
	}
	return nil
}

// reservedTopics begins the names of topics that only the server may have.
const reservedTopics = "tidings-"

// checkTopicName says what is wrong with the name of a topic, or nothing.
func checkTopicName(name string) string {
	switch {
	case !topicName.MatchString(name):
		return "is not the name of a topic"
	case strings.HasPrefix(name, reservedTopics):
		return fmt.Sprintf("is reserved: it begins with %s", reservedTopics)
	default:
		return ""
	}
}
