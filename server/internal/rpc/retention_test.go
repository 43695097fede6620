package rpc_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

func TestReadAfterRetention(t *testing.T) {
	// removed makes a topic whose first records retention has removed. It
	// returns the events that were there and those that are left.
	removed := func(t *testing.T, c client) (topic string, old, left []*tidingsv1.RecordedEvent) {
		t.Helper()
		topic = newTopic(t, c, func(topic *tidingsv1.Topic) { topic.Settings.Retention = &optionsv1.Retention{MaxBytes: 64 << 10} })
		publish(t, c, topic, event(t, "first", placed("o")), event(t, "second", placed("o")))
		old = openRead(t, c, &tidingsv1.ReadRequest{Topic: topic, Stop: stopCaughtUp}).untilEnd().events
		for i := range 10 {
			publish(t, c, topic, bulky(t, fmt.Sprint(i), 16<<10))
		}
		untilTopic(t, c, topic, func(statistics *tidingsv1.TopicStatistics) bool { return statistics.GetStoredBytes() <= 64<<10 })
		left = openRead(t, c, &tidingsv1.ReadRequest{Topic: topic, Stop: stopCaughtUp}).untilEnd().events
		if len(old) != 2 || len(left) == 0 || left[0].GetSequence() <= 2 {
			t.Fatalf("left are %d", places(left))
		}
		return topic, old, left
	}
	t.Run("expired cursor", each(func(t *testing.T, c client) {
		topic, old, left := removed(t, c)
		for i, e := range old {
			err := openRead(t, c, &tidingsv1.ReadRequest{Topic: topic, Start: fromCursor(e.GetCursor())}).refused()
			wantRefusal(t, err, because(codes.OutOfRange, "CURSOR_EXPIRED", "topic", topic,
				"earliest_cursor", anything, "earliest_sequence", fmt.Sprint(left[0].GetSequence())))
			if i > 0 {
				continue
			}
			_, details, _ := partsOf(t, err)
			earliest := metadataOf(t, details)["earliest_cursor"]
			got := openRead(t, c, &tidingsv1.ReadRequest{Topic: topic, Start: fromCursor(earliest), Stop: stopCaughtUp}).untilEnd()
			if diff := cmp.Diff(left, got.events, protocmp.Transform()); diff != "" || len(got.gaps) != 0 {
				t.Errorf("from the earliest cursor (-want +got), with gaps %v:\n%s", got.gaps, diff)
			}
		}
	}))
	t.Run("gap", each(func(t *testing.T, c client) {
		topic, old, left := removed(t, c)
		for start, want := range map[*tidingsv1.StartPosition]*tidingsv1.Gap{
			fromSequence(old[1].GetSequence()):                                       {FirstSequence: old[1].GetSequence(), NextSequence: left[0].GetSequence()},
			{Position: &tidingsv1.StartPosition_Time{Time: old[0].GetPublishTime()}}: {NextSequence: left[0].GetSequence()},
		} {
			got := openRead(t, c, &tidingsv1.ReadRequest{Topic: topic, Start: start, Stop: stopCaughtUp}).untilEnd()
			if diff := cmp.Diff([]*tidingsv1.Gap{want}, got.gaps, protocmp.Transform()); diff != "" || got.frames[0].GetGap() == nil {
				t.Errorf("from %v: other gaps (-want +got):\n%s", start, diff)
			}
			if !slices.Equal(got.sequences(), places(left)) {
				t.Errorf("from %v: got %d, want %d", start, got.sequences(), places(left))
			}
		}
	}))
	t.Run("no gap", some(func(t *testing.T, c client) {
		topic, _, left := removed(t, c)
		for _, start := range []*tidingsv1.StartPosition{
			fromEarliest, fromSequence(left[0].GetSequence()), {Position: &tidingsv1.StartPosition_Time{Time: left[0].GetPublishTime()}},
		} {
			got := openRead(t, c, &tidingsv1.ReadRequest{Topic: topic, Start: start, Stop: stopCaughtUp}).untilEnd()
			if len(got.gaps) != 0 || !slices.Equal(got.sequences(), places(left)) {
				t.Errorf("from %v: frames %v", start, got.frames)
			}
		}
	}))
	t.Run("event not found", each(func(t *testing.T, c client) {
		topic, old, _ := removed(t, c)
		_, err := c.GetEvent(testContext(t), &tidingsv1.GetEventRequest{Topic: topic, Sequence: old[0].GetSequence()})
		wantRefusal(t, err, because(codes.NotFound, "EVENT_NOT_FOUND", "topic", topic, "sequence", fmt.Sprint(old[0].GetSequence())))
	}))
	t.Run("all aged away while it is read", some(func(t *testing.T, c client) {
		topic := newTopic(t, c, func(topic *tidingsv1.Topic) {
			topic.Settings.Retention = &optionsv1.Retention{MaxAge: durationpb.New(2 * time.Second)}
		})
		// It reads before they are there, since a busy machine may take as long to open a stream as they are kept.
		stream := openRead(t, c, &tidingsv1.ReadRequest{Topic: topic, HeartbeatInterval: durationpb.New(time.Second)})
		stream.untilFrame(isCaughtUp)
		publish(t, c, topic, orders(t, "a", 3)...)
		last := stream.untilEvents(3).events[2]
		for { // What was read isn't missed.
			if got := stream.untilFrame(isHeartbeat); len(got.gaps) != 0 {
				t.Fatalf("frames %v", got.frames)
			}
			if _, err := c.GetEvent(testContext(t), &tidingsv1.GetEventRequest{Topic: topic, Sequence: last.GetSequence()}); err != nil {
				break
			}
		}
		shown, err := c.GetTopic(testContext(t), &tidingsv1.GetTopicRequest{Name: topic})
		if err != nil || shown.GetTopic().GetStatistics().GetEarliestSequence() != 0 {
			t.Errorf("statistics %v, %v", shown.GetTopic().GetStatistics(), err)
		}
		got := openRead(t, c, &tidingsv1.ReadRequest{Topic: topic, Start: fromCursor(last.GetCursor()), Stop: stopCaughtUp}).untilEnd()
		if len(got.events) != 0 || len(got.gaps) != 0 {
			t.Errorf("from the last cursor: %v", got.frames)
		}
		got = openRead(t, c, &tidingsv1.ReadRequest{Topic: topic, Start: fromSequence(1), Stop: stopCaughtUp}).untilEnd()
		want := []*tidingsv1.Gap{{FirstSequence: 1, NextSequence: 4}}
		if diff := cmp.Diff(want, got.gaps, protocmp.Transform()); diff != "" {
			t.Errorf("other gaps (-want +got):\n%s", diff)
		}
	}))
}

func TestReadForeignCursor(t *testing.T) {
	for name, change := range map[string]func(cursor, other string) string{
		"of another topic": func(_, other string) string { return other },
		"garbage":          func(string, string) string { return "garbage" },
		"not base64":       func(string, string) string { return "☕" },
		"truncated":        func(cursor, _ string) string { return cursor[:len(cursor)-1] },
		"longer":           func(cursor, _ string) string { return cursor + "A" },
		"mistyped": func(cursor, _ string) string {
			b := []byte(cursor)
			b[9] ^= 1 // 'A' and '@' aside, another character of base64.
			return string(b)
		},
	} {
		t.Run(name, some(func(t *testing.T, c client) {
			topic, events := threeRecords(t, c)
			_, others := threeRecords(t, c)
			cursor := change(events[4].GetCursor(), others[4].GetCursor())
			err := openRead(t, c, &tidingsv1.ReadRequest{Topic: topic, Start: fromCursor(cursor)}).refused()
			wantRefusal(t, err, because(codes.InvalidArgument, "CURSOR_INVALID", "topic", topic).at("start.cursor"))
		}))
	}
	t.Run("empty or long", some(func(t *testing.T, c client) {
		for _, cursor := range []string{"", string(make([]byte, 1025))} {
			err := openRead(t, c, &tidingsv1.ReadRequest{Topic: "orders", Start: fromCursor(cursor)}).refused()
			wantRefusal(t, err, because(codes.InvalidArgument, "REQUEST_INVALID").at("start.cursor"))
		}
	}))
	t.Run("of a deleted topic of the same name", some(func(t *testing.T, c client) {
		topic, events := threeRecords(t, c)
		if _, err := c.DeleteTopic(testContext(t), &tidingsv1.DeleteTopicRequest{Name: topic}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.CreateTopic(testContext(t), &tidingsv1.CreateTopicRequest{Topic: &tidingsv1.Topic{Name: topic}}); err != nil {
			t.Fatal(err)
		}
		publish(t, c, topic, orders(t, "a", 5)...)
		err := openRead(t, c, &tidingsv1.ReadRequest{Topic: topic, Start: fromCursor(events[0].GetCursor())}).refused()
		wantRefusal(t, err, because(codes.InvalidArgument, "CURSOR_INVALID", "topic", topic).at("start.cursor"))
	}))
}

func TestReadFilter(t *testing.T) {
	onlyPaid := &tidingsv1.EventFilter{EventTypes: []string{orderPaid}}
	t.Run("by type", some(func(t *testing.T, c client) {
		topic := newTopic(t, c)
		publish(t, c, topic, event(t, "0", placed("o")), event(t, "1", paid("o")), event(t, "2", placed("o")))
		publish(t, c, topic, event(t, "3", placed("o")))
		publish(t, c, topic, event(t, "4", paid("o")), event(t, "5", placed("o")))
		stream := openRead(t, c, &tidingsv1.ReadRequest{Topic: topic, Filter: onlyPaid, HeartbeatInterval: durationpb.New(time.Second)})
		got := stream.untilFrame(isCaughtUp)
		if want := []int64{2, 5}; !slices.Equal(got.sequences(), want) {
			t.Errorf("got %d, want %d", got.sequences(), want)
		}
		// The cursor is past what was left out.
		rest := openRead(t, c, &tidingsv1.ReadRequest{Topic: topic, Start: fromCursor(got.caughtUp[0]), Stop: stopCaughtUp}).untilEnd()
		if len(rest.events) != 0 {
			t.Errorf("after the cursor came %d", rest.sequences())
		}
		publish(t, c, topic, event(t, "6", placed("o")))
		// A heartbeat comes that is past what was left out.
		for stream.untilFrame(isHeartbeat).heartbeats[0] == got.caughtUp[0] {
			continue
		}
		all := openRead(t, c, &tidingsv1.ReadRequest{Topic: topic, Filter: &tidingsv1.EventFilter{EventTypes: []string{orderPaid, orderPlaced}}, MaxEvents: 6}).untilEnd()
		if len(all.events) != 6 {
			t.Errorf("both types give %d", all.sequences())
		}
	}))
	t.Run("heartbeats while events are left out", some(func(t *testing.T, c client) {
		topic := newTopic(t, c)
		stream := openRead(t, c, &tidingsv1.ReadRequest{Topic: topic, Filter: onlyPaid, HeartbeatInterval: durationpb.New(time.Second)})
		stream.untilFrame(isCaughtUp)
		ctx, cancel := context.WithCancel(testContext(t))
		var publishing sync.WaitGroup
		publishing.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-time.After(20 * time.Millisecond):
				case <-ctx.Done():
					return
				}
				_, _ = c.Publish(ctx, &tidingsv1.PublishRequest{Topic: topic, Events: []*tidingsv1.Event{event(t, fmt.Sprint(i), placed("o"))}})
				if i == 300 {
					t.Error("no heartbeat came while 300 events were left out")
					return
				}
			}
		})
		stream.untilFrame(isHeartbeat)
		cancel()
		publishing.Wait()
	}))
	t.Run("checkpoints", func(t *testing.T) {
		native := transports()[0].dial(t, shared)
		topic := newTopic(t, native)
		for i := range 3 {
			publish(t, native, topic, orders(t, fmt.Sprint(i), 4000)...)
		}
		publish(t, native, topic, event(t, "paid", paid("o")))
		each(func(t *testing.T, c client) {
			got := openRead(t, c, &tidingsv1.ReadRequest{Topic: topic, Filter: onlyPaid, Stop: stopCaughtUp}).untilEnd()
			if len(got.checkpoint) != 1 || len(got.events) != 1 || got.frames[0].GetCheckpoint() == nil {
				t.Fatalf("frames %v", got.frames)
			}
			rest := openRead(t, c, &tidingsv1.ReadRequest{Topic: topic, Start: fromCursor(got.checkpoint[0]), Stop: stopCaughtUp}).untilEnd()
			if !slices.Equal(rest.sequences(), []int64{12_001}) {
				t.Errorf("after the checkpoint came %d events", len(rest.events))
			}
		})(t)
	})
}
