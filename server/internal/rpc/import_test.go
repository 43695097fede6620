package rpc_test

import (
	"fmt"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

func TestImport(t *testing.T) {
	// run imports messages.
	run := func(t *testing.T, c client, messages ...*tidingsv1.ImportRequest) (*tidingsv1.ImportResponse, error) {
		t.Helper()
		stream, err := c.importStream(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		for _, message := range messages {
			if err := stream.Send(message); err != nil {
				break // CloseAndRecv says why.
			}
		}
		return stream.CloseAndRecv()
	}
	t.Run("summary", each(func(t *testing.T, c client) {
		topic := newTopic(t, c)
		messages := []*tidingsv1.ImportRequest{{Publish: &tidingsv1.PublishRequest{Topic: topic, Events: orders(t, "a", 10)}}, {Publish: &tidingsv1.PublishRequest{Events: orders(t, "b", 20)}}, {Publish: &tidingsv1.PublishRequest{Topic: topic, Events: orders(t, "c", 5)}}}
		summary, err := run(t, c, messages...)
		if err != nil {
			t.Fatal(err)
		}
		if summary.GetTopic() != topic || summary.GetReceivedCount() != 35 || summary.GetStoredCount() != 35 || summary.GetDuplicateCount() != 0 ||
			summary.GetRefusedCount() != 0 || summary.GetFirstSequence() != 1 || summary.GetLastSequence() != 35 {
			t.Errorf("summary %v", summary)
		}
		again, err := run(t, c, messages...)
		if err != nil {
			t.Fatal(err)
		}
		if again.GetStoredCount() != 0 || again.GetDuplicateCount() != 35 || again.GetFirstSequence() != 1 || again.GetLastSequence() != 35 {
			t.Errorf("again %v", again)
		}
	}))
	t.Run("cut otherwise where events are recognised", some(func(t *testing.T, c client) {
		topic, events := newTopic(t, c, byEvent), orders(t, "a", 12)
		if _, err := run(t, c, &tidingsv1.ImportRequest{Publish: &tidingsv1.PublishRequest{Topic: topic, Events: events[:8]}}); err != nil {
			t.Fatal(err)
		}
		summary, err := run(t, c, &tidingsv1.ImportRequest{Publish: &tidingsv1.PublishRequest{Topic: topic, Events: events[:5]}}, &tidingsv1.ImportRequest{Publish: &tidingsv1.PublishRequest{Events: events[5:11]}}, &tidingsv1.ImportRequest{Publish: &tidingsv1.PublishRequest{Events: events[11:]}})
		if err != nil {
			t.Fatal(err)
		}
		if summary.GetStoredCount() != 4 || summary.GetDuplicateCount() != 8 || latest(t, c, topic) != 12 {
			t.Errorf("summary %v", summary)
		}
	}))
	t.Run("topic of the type", some(func(t *testing.T, c client) {
		id := newName()
		summary, err := run(t, c, &tidingsv1.ImportRequest{Publish: &tidingsv1.PublishRequest{Events: orders(t, id, 1)}}, &tidingsv1.ImportRequest{Publish: &tidingsv1.PublishRequest{Events: []*tidingsv1.Event{event(t, id, paid(id))}}})
		if err != nil || summary.GetTopic() != "orders" || summary.GetStoredCount() != 2 {
			t.Errorf("summary %v, %v", summary, err)
		}
	}))
	t.Run("skips invalid", some(func(t *testing.T, c client) {
		topic := newTopic(t, c)
		var bad []*tidingsv1.Event
		for i := range 150 {
			bad = append(bad, invalid(t, fmt.Sprint("bad", i)))
		}
		summary, err := run(t, c,
			&tidingsv1.ImportRequest{Publish: &tidingsv1.PublishRequest{Topic: topic, SkipInvalid: true, Events: orders(t, "a", 3)}},
			&tidingsv1.ImportRequest{Publish: &tidingsv1.PublishRequest{Events: append(bad, orders(t, "b", 1)...)}},
			&tidingsv1.ImportRequest{Publish: &tidingsv1.PublishRequest{Events: orders(t, "c", 1)}})
		if err != nil {
			t.Fatal(err)
		}
		if summary.GetReceivedCount() != 155 || summary.GetStoredCount() != 5 || summary.GetRefusedCount() != 150 || len(summary.GetRefusedEvents()) != 100 {
			t.Fatalf("summary %v", summary)
		}
		first := summary.GetRefusedEvents()[0]
		if first.GetIndex() != 3 || first.GetId() != "bad0" {
			t.Errorf("the first refused is %v", first)
		}
		wantError(t, first.GetError(), because(codes.InvalidArgument, "EVENT_INVALID").at("events[3].data.email"))
	}))
	t.Run("stops at the first refused", each(func(t *testing.T, c client) {
		topic := newTopic(t, c)
		_, err := run(t, c,
			&tidingsv1.ImportRequest{Publish: &tidingsv1.PublishRequest{Topic: topic, Events: orders(t, "a", 10)}},
			&tidingsv1.ImportRequest{Publish: &tidingsv1.PublishRequest{Events: orders(t, "b", 7)}},
			&tidingsv1.ImportRequest{Publish: &tidingsv1.PublishRequest{Events: append(orders(t, "c", 2), invalid(t, "bad"))}},
			&tidingsv1.ImportRequest{Publish: &tidingsv1.PublishRequest{Events: orders(t, "d", 1)}})
		wantRefusal(t, err, because(codes.InvalidArgument, "EVENT_INVALID", "stored", "17").at("events[19].data.email"))
		if got := latest(t, c, topic); got != 17 {
			t.Errorf("stored up to %d", got)
		}
	}))
	t.Run("another topic later", some(func(t *testing.T, c client) {
		topic := newTopic(t, c)
		_, err := run(t, c, &tidingsv1.ImportRequest{Publish: &tidingsv1.PublishRequest{Topic: topic, Events: orders(t, "a", 2)}}, &tidingsv1.ImportRequest{Publish: &tidingsv1.PublishRequest{Topic: "orders", Events: orders(t, "b", 1)}})
		wantRefusal(t, err, because(codes.InvalidArgument, "REQUEST_INVALID", "stored", "2").at("topic"))
	}))
	t.Run("no topic", some(func(t *testing.T, c client) {
		name := newName()
		_, err := run(t, c, &tidingsv1.ImportRequest{Publish: &tidingsv1.PublishRequest{Topic: name, Events: orders(t, "a", 2)}})
		wantRefusal(t, err, because(codes.NotFound, "TOPIC_NOT_FOUND", "topic", name, "stored", "0"))
	}))
	t.Run("an empty message", each(func(t *testing.T, c client) {
		_, err := run(t, c, &tidingsv1.ImportRequest{Publish: &tidingsv1.PublishRequest{Topic: newTopic(t, c), Events: orders(t, "a", 2)}}, &tidingsv1.ImportRequest{})
		wantRefusal(t, err, because(codes.InvalidArgument, "REQUEST_INVALID", "stored", "2").at("publish"))
	}))
	for field, later := range map[string]*tidingsv1.PublishRequest{
		"request_id":    {RequestId: "r"},
		"preconditions": {Preconditions: []*tidingsv1.Precondition{exists(true)}},
		"skip_invalid":  {SkipInvalid: true},
		"events":        {Events: slices.Repeat([]*tidingsv1.Event{{}}, 4097)},
	} {
		t.Run("refuses "+field, some(func(t *testing.T, c client) {
			topic := newTopic(t, c)
			later := proto.CloneOf(later)
			if later.Events == nil {
				later.Events = orders(t, "b", 1)
			}
			_, err := run(t, c, &tidingsv1.ImportRequest{Publish: &tidingsv1.PublishRequest{Topic: topic, Events: orders(t, "a", 2)}}, &tidingsv1.ImportRequest{Publish: later})
			want := because(codes.InvalidArgument, "REQUEST_INVALID", "stored", "2").at(field)
			if field == "events" {
				want = want.and("limit", "4096")
			}
			wantRefusal(t, err, want)
		}))
	}
	t.Run("says again what the first message said", some(func(t *testing.T, c client) {
		topic := newTopic(t, c)
		summary, err := run(t, c,
			&tidingsv1.ImportRequest{Publish: &tidingsv1.PublishRequest{Topic: topic, SkipInvalid: true, Events: orders(t, "a", 1)}},
			&tidingsv1.ImportRequest{Publish: &tidingsv1.PublishRequest{Topic: topic, SkipInvalid: true, Events: []*tidingsv1.Event{invalid(t, "x")}}})
		if err != nil || summary.GetStoredCount() != 1 || summary.GetRefusedCount() != 1 {
			t.Errorf("summary %v, %v", summary, err)
		}
	}))
	t.Run("nothing sent", each(func(t *testing.T, c client) {
		summary, err := run(t, c)
		if err != nil || summary.GetReceivedCount() != 0 || summary.GetTopic() != "" {
			t.Errorf("summary %v, %v", summary, err)
		}
	}))
}
