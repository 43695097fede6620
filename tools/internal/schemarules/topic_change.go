package schemarules

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"buf.build/go/bufplugin/check"
	"google.golang.org/protobuf/reflect/protoreflect"

	"example.com/tidings/tools/internal/contract"
)

func topicNoDelete() *check.RuleSpec {
	return breaking("TIDINGS_TOPIC_NO_DELETE",
		"Checks that a topic stays declared.",
		onTopics(func(c change, was, is declaration) error {
			if is.Topic != nil {
				return nil
			}
			options := []check.AddAnnotationOption{
				check.WithMessagef("The topic %q is declared no more. It would keep its settings, and nothing would say which.", was.Name),
				check.WithAgainstFileName(was.file.Path()),
			}
			for _, file := range c.is.files {
				if file.Path() == was.file.Path() {
					options = append(options, check.WithFileName(file.Path()))
				}
			}
			c.AddAnnotation(options...)
			return nil
		}))
}

func topicSameDedupe() *check.RuleSpec {
	return breaking("TIDINGS_TOPIC_SAME_DEDUPE",
		"Checks that a topic recognises what it recognised.",
		onTopics(func(c change, was, is declaration) error {
			if is.Topic != nil && is.Dedupe != was.Dedupe {
				c.annotate(was, is, fmt.Sprintf("has %s and had %s. A topic that exists can't change that.", is.Dedupe, was.Dedupe),
					"settings", "dedupe")
			}
			return nil
		}))
}

func topicNoShorten() *check.RuleSpec {
	return breaking("TIDINGS_TOPIC_NO_SHORTEN",
		"Checks that a topic keeps events and identities for as long as it did.",
		onTopics(func(c change, was, is declaration) error {
			if is.Topic == nil {
				return nil
			}
			if shorter(is.MaxAge, was.MaxAge) {
				c.annotate(was, is, fmt.Sprintf("removes events after %s and removed them %s.", is.MaxAge, after(was.MaxAge)),
					"settings", "retention", "max_age")
			}
			if shorter(is.MaxBytes, was.MaxBytes) {
				had := "had no bound"
				if was.MaxBytes > 0 {
					had = fmt.Sprintf("held %d", was.MaxBytes)
				}
				c.annotate(was, is, fmt.Sprintf("holds %d bytes and %s.", is.MaxBytes, had), "settings", "retention", "max_bytes")
			}
			if is.Window < was.Window {
				c.annotate(was, is, fmt.Sprintf("recognises a repeated publish for %s and did for %s.", is.Window, was.Window),
					"settings", "dedupe_window")
			}
			return nil
		}))
}

func topicTypesNoNarrow() *check.RuleSpec {
	return breaking("TIDINGS_TOPIC_TYPES_NO_NARROW",
		"Checks that a topic takes the events that it took.",
		onTopics(func(c change, was, is declaration) error {
			if is.Topic == nil {
				return nil
			}
			before, err := c.was.typesByTopic()
			if err != nil {
				return err
			}
			now, err := c.is.typesByTopic()
			if err != nil {
				return err
			}
			if refused := narrowed(was.Topic, is.Topic, before[was.Name], now[is.Name], c.is.types()); refused != "" {
				c.annotate(was, is, fmt.Sprintf("took events of %s, and doesn't any more.", refused), "settings", "event_types")
			}
			return nil
		}))
}

// narrowed names the types that a topic took and takes no more, or nothing. What
// isn't a type any more, or goes to another topic, is the matter of other rules.
func narrowed(was, is *contract.Topic, before, now []string, types map[string]bool) string {
	if is.TakesAny(now) {
		return ""
	}
	if was.TakesAny(before) {
		return "every type"
	}
	taken := slices.Clone(was.EventTypes)
	if len(taken) == 0 {
		taken = slices.DeleteFunc(slices.Clone(before), func(name string) bool { return !slices.Contains(now, name) })
	}
	refused := slices.DeleteFunc(taken, func(name string) bool { return !types[name] || is.Takes(name, now) })
	slices.Sort(refused)
	return strings.Join(refused, ", ")
}

// types are the full names of all messages.
func (s state) types() map[string]bool {
	names := make(map[string]bool)
	for message := range of[protoreflect.MessageDescriptor](s.all) {
		names[string(message.FullName())] = true
	}
	return names
}

// shorter compares two bounds, of which 0 is none.
func shorter[N int64 | time.Duration](is, was N) bool { return is != 0 && (was == 0 || is < was) }

func after(age time.Duration) string {
	if age == 0 {
		return "never"
	}
	return "after " + age.String()
}

// annotate adds a finding about a part of a declaration.
func (c change) annotate(was, is declaration, says string, part ...protoreflect.Name) {
	c.AddAnnotation(
		check.WithMessagef("The topic %q %s", is.Name, says),
		at(is.file, c.is.options.TopicPath(is.Topic, part...)),
		check.WithAgainstFileName(was.file.Path()))
}

// onTopics makes a handler of a function that looks at each topic that was
// declared, and at what is declared of it now, whose Topic is nil where nothing is.
func onTopics(handle func(c change, was, is declaration) error) check.RuleHandler {
	return onChange(func(c change) error {
		before, err := c.was.topicsOf(c.was.files)
		if err != nil {
			return err
		}
		now, err := c.is.topicsOf(c.is.all)
		if err != nil {
			return err
		}
		present := make(map[string]declaration)
		for _, topic := range now {
			present[topic.Name] = topic
		}
		for _, topic := range before {
			if err := handle(c, topic, present[topic.Name]); err != nil {
				return err
			}
		}
		return nil
	})
}
