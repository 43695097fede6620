package rpc_test

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

const everythingForKeys = "- {principals: ['key:*'], roles: [publish, read, consume, manage], topics: ['*'], subscriptions: ['*']}\n"

// TestPublisher publishes as two principals, in every way there is, over every
// transport: each event names the one that stored it, wherever it comes from.
func TestPublisher(t *testing.T) {
	t.Parallel()
	s, credentials := newGuarded(t, everythingForKeys, "ada", "bob")
	for _, transport := range transports() {
		t.Run(transport.String(), func(t *testing.T) {
			t.Parallel()
			ada, bob := transport.dialWith(t, s, credentials["ada"]), transport.dialWith(t, s, credentials["bob"])
			for _, dedupe := range []optionsv1.Dedupe{optionsv1.Dedupe_DEDUPE_REQUEST, optionsv1.Dedupe_DEDUPE_EVENT} {
				topic := newTopic(t, ada, func(topic *tidingsv1.Topic) { topic.Settings.Dedupe = dedupe })
				first, second := publishN(t, ada, topic, 3), publishN(t, bob, topic, 2)
				publish(t, bob, topic, first...) // They are stored already, as Ada's.
				want := []string{"key:ada", "key:ada", "key:ada", "key:bob", "key:bob"}
				importing, err := bob.importStream(testContext(t))
				noError(t, err)
				noError(t, importing.Send(&tidingsv1.ImportRequest{Publish: &tidingsv1.PublishRequest{Topic: topic, Events: orders(t, "imported", 1)}}))
				_, err = importing.CloseAndRecv()
				noError(t, err)
				want = append(want, "key:bob")
				if fullDuplex.met(transport) {
					batch := &tidingsv1.PublishRequest{Topic: topic, Events: orders(t, "streamed", 1)}
					if answers := exchange(t, ada, &tidingsv1.PublishStreamRequest{Publish: batch}); answers[0].GetError() != nil {
						t.Fatal(answers[0])
					}
					want = append(want, "key:ada")
				}
				if dedupe == optionsv1.Dedupe_DEDUPE_EVENT { // What is new of a request alone.
					different := event(t, "paid", paid("1"))
					publish(t, ada, topic, slices.Concat(second, []*tidingsv1.Event{different})...)
					want = append(want, "key:ada")
				}
				wantRecorded(t, ada, topic, (*tidingsv1.RecordedEvent).GetPublisher, want)
			}
		})
	}
}

// Where nobody is asked who they are, there is no publisher.
func TestNoPublisher(t *testing.T) {
	t.Run("without an access file", some(func(t *testing.T, c client) {
		topic := newTopic(t, c)
		publishN(t, c, topic, 1)
		wantRecorded(t, c, topic, (*tidingsv1.RecordedEvent).GetPublisher, []string{""})
	}))
}

// No client can say who publishes: nothing of what it sends has such a field, and one
// that it adds is refused, or stays what an unknown field of its event is.
func TestPublisherIsNotTheClients(t *testing.T) {
	t.Parallel()
	for _, message := range []proto.Message{new(tidingsv1.Event), new(tidingsv1.PublishRequest), new(tidingsv1.PublishStreamRequest), new(tidingsv1.ImportRequest)} {
		if fields := message.ProtoReflect().Descriptor().Fields(); fields.ByName("publisher") != nil {
			t.Errorf("%T has a publisher", message)
		}
	}
	for what, request := range map[string]string{
		"publisher":                `{"publisher": "key:root", "events": [{"id": "1"}]}`,
		"events[0].publisher":      `{"events": [{"id": "1", "publisher": "key:root"}]}`,
		"events[0].schemaRevision": `{"events": [{"id": "1", "schemaRevision": "0123456789abcdef"}]}`,
	} {
		status, answer := post(t, publishPath, "application/json", strings.NewReader(request), int64(len(request)))
		if status != 400 || !strings.Contains(string(answer), what) {
			t.Errorf("%s: %d %s", what, status, answer)
		}
	}
	s, credentials := newGuarded(t, everythingForKeys, "ada")
	for _, transport := range sample() {
		if transport.json {
			continue // JSON has no unknown fields.
		}
		c := transport.dialWith(t, s, credentials["ada"])
		for _, unknown := range []protoreflect.RawFields{
			{0x3a, 8, 'k', 'e', 'y', ':', 'r', 'o', 'o', 't'}, // RecordedEvent.publisher.
			{0x2a, 8, 'k', 'e', 'y', ':', 'r', 'o', 'o', 't'}, // Record.publisher.
		} {
			topic := newTopic(t, c)
			request := &tidingsv1.PublishRequest{Topic: topic, Events: orders(t, "one", 1)}
			request.ProtoReflect().SetUnknown(unknown)
			if _, err := c.Publish(testContext(t), request); err != nil {
				continue // Refused is as good.
			}
			wantRecorded(t, c, topic, (*tidingsv1.RecordedEvent).GetPublisher, []string{"key:ada"})
		}
	}
}
