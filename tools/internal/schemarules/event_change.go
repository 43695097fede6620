package schemarules

import (
	"buf.build/go/bufplugin/check"
	"google.golang.org/protobuf/reflect/protoreflect"

	"example.com/tidings/tools/internal/contract"
)

func eventOptionNoDelete() *check.RuleSpec {
	return breaking("TIDINGS_EVENT_OPTION_NO_DELETE",
		"Checks that an event stays declared as one.",
		onEvents(func(c change, message pair[protoreflect.MessageDescriptor], _, is *contract.Event) {
			if is == nil {
				c.AddAnnotation(
					check.WithMessagef("%s has lost the option tidings.options.v1.event. "+
						"Publishers that name no topic would be refused.", describe(message.is)),
					check.WithDescriptor(message.is), check.WithAgainstDescriptor(message.was),
				)
			}
		}))
}

func eventSameTopic() *check.RuleSpec {
	return breaking("TIDINGS_EVENT_SAME_TOPIC",
		"Checks that events go to the topic that they went to.",
		onEvents(func(c change, message pair[protoreflect.MessageDescriptor], was, is *contract.Event) {
			if is != nil && is.Topic != was.Topic {
				c.AddAnnotation(
					check.WithMessagef("%s goes to the topic %q and went to %q. "+
						"Readers of that topic would miss its events.", describe(message.is), is.Topic, was.Topic),
					at(message.is, c.is.options.Path("topic")), check.WithAgainstDescriptor(message.was),
				)
			}
		}))
}

func eventSameKey() *check.RuleSpec {
	return breaking("TIDINGS_EVENT_SAME_KEY",
		"Checks that events are ordered by the key that they were ordered by.",
		onEvents(func(c change, message pair[protoreflect.MessageDescriptor], was, is *contract.Event) {
			if is != nil && is.Key != was.Key {
				c.AddAnnotation(
					check.WithMessagef("%s has the key %q and had %q. "+
						"The order of events of one key would be split.", describe(message.is), is.Key, was.Key),
					at(message.is, c.is.options.Path("key")), check.WithAgainstDescriptor(message.was),
				)
			}
		}))
}

// onEvents makes a handler of a function that looks at each message that was an
// event. It is called with nil for a message that is none any more.
func onEvents(handle func(c change, message pair[protoreflect.MessageDescriptor], was, is *contract.Event)) check.RuleHandler {
	return onChange(func(c change) error {
		for message := range pairs[protoreflect.MessageDescriptor](c.was.files, c.is.files) {
			was, err := c.was.options.Event(message.was)
			if err != nil {
				return err
			}
			if was == nil {
				continue
			}
			is, err := c.is.options.Event(message.is)
			if err != nil {
				return err
			}
			handle(c, message, was, is)
		}
		return nil
	})
}
