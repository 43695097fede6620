package rpc_test

import (
	"testing"

	"google.golang.org/grpc/codes"

	"example.com/tidings/server/internal/schema/schematest"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// taking makes a topic take these types.
func taking(names ...string) func(*tidingsv1.Topic) {
	return func(topic *tidingsv1.Topic) { topic.Settings = &optionsv1.TopicSettings{EventTypes: names} }
}

// A topic takes the types that its settings name or, where they name none, those
// that declare it or, where none does, every type.
func TestTypesOfTopics(t *testing.T) {
	tried := func(t *testing.T, c client, topic string, e *tidingsv1.Event) error {
		t.Helper()
		validated, err := c.ValidateEvents(testContext(t), &tidingsv1.ValidateEventsRequest{Topic: topic, Events: []*tidingsv1.Event{e}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Publish(testContext(t), &tidingsv1.PublishRequest{Topic: topic, Events: []*tidingsv1.Event{e}})
		if (err == nil) != validated.GetResults()[0].GetValid() {
			t.Errorf("publishing: %v, validating: %v", err, validated)
		}
		return err
	}
	t.Run("by settings and by declarations", some(func(t *testing.T, c client) {
		first, declared := newPackage()
		second, _ := newPackage()
		register(t, c, schematest.Event(first, declared, "text string"), schematest.Event(second, "", "text string"))
		for name, test := range map[string]struct {
			topic     string
			of, other bool // Whether it takes events of the first type and of the second.
		}{
			"declared by a type": {declared, true, false},
			"created":            {newTopic(t, c), true, true},
			"any":                {newTopic(t, c, taking("*")), true, true},
			"named":              {newTopic(t, c, taking(second+".Noted")), false, true},
		} {
			for pkg, taken := range map[string]bool{first: test.of, second: test.other} {
				err := tried(t, c, test.topic, noted(pkg, newName(), "x"))
				switch {
				case taken && err != nil:
					t.Errorf("%s: %s is refused: %v", name, pkg, err)
				case !taken:
					wantRefusal(t, err, because(codes.FailedPrecondition, "EVENT_TYPE_NOT_ALLOWED", "type", pkg+".Noted", "topic", test.topic).
						at("events[0].data.type_url"))
				}
			}
		}
		// What settings say counts more.
		if _, err := c.UpdateTopic(testContext(t), &tidingsv1.UpdateTopicRequest{
			Topic: &tidingsv1.Topic{Name: declared, Settings: &optionsv1.TopicSettings{EventTypes: []string{"*"}}},
		}); err != nil {
			t.Fatal(err)
		}
		if err := tried(t, c, declared, noted(second, newName(), "x")); err != nil {
			t.Error(err)
		}
	}, opaquePayloads))
	t.Run("a declared topic", some(func(t *testing.T, c client) {
		pkg, name := newPackage()
		other, _ := newPackage()
		file := schematest.Declaring(schematest.Event(pkg, "", "text string"), &optionsv1.TopicOptions{
			Name: name, Settings: &optionsv1.TopicSettings{Owner: "us", EventTypes: []string{pkg + ".Noted"}},
		})
		register(t, c, file, schematest.Event(other, "", "text string"))
		if err := tried(t, c, name, noted(pkg, newName(), "x")); err != nil {
			t.Error(err)
		}
		wantRefusal(t, tried(t, c, name, noted(other, newName(), "x")), because(codes.FailedPrecondition, "EVENT_TYPE_NOT_ALLOWED", "type", other+".Noted", "topic", name).
			at("events[0].data.type_url"))
		shown, err := c.GetTopic(testContext(t), &tidingsv1.GetTopicRequest{Name: name})
		if err != nil || !shown.GetTopic().GetDeclared() || shown.GetTopic().GetSettings().GetOwner() != "us" {
			t.Errorf("shown is %v, %v", shown, err)
		}
		_, err = c.UpdateTopic(testContext(t), &tidingsv1.UpdateTopicRequest{
			Topic: &tidingsv1.Topic{Name: name, Settings: &optionsv1.TopicSettings{EventTypes: []string{"*"}}},
		})
		wantRefusal(t, err, because(codes.FailedPrecondition, "TOPIC_DECLARED", "topic", name).at("topic.settings.event_types"))
	}, opaquePayloads))
}
