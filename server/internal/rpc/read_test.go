package rpc_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// threeRecords makes a topic with the events 0 to 2 in its first record, 3 and 4
// in its second and 5 to 8 in its third, and returns its name and the events as
// they are read back.
func threeRecords(t *testing.T, c client) (topic string, events []*tidingsv1.RecordedEvent) {
	t.Helper()
	topic = newTopic(t, c)
	for i, count := range []int{3, 2, 4} {
		publish(t, c, topic, orders(t, fmt.Sprint(i), count)...)
	}
	events = openRead(t, c, &tidingsv1.ReadRequest{Topic: topic, Stop: stopCaughtUp}).untilEnd().events
	if len(events) != 9 {
		t.Fatalf("%d events were read back", len(events))
	}
	return topic, events
}

// places returns the sequences of some events.
func places(events []*tidingsv1.RecordedEvent) []int64 { return (&seen{events: events}).sequences() }

func TestReadPositions(t *testing.T) {
	sequence := func(record, index int64) int64 { return []int64{0, 1, 4, 6}[record] + index }
	startTime := func(at time.Time) *tidingsv1.StartPosition {
		return &tidingsv1.StartPosition{Position: &tidingsv1.StartPosition_Time{Time: timestamppb.New(at)}}
	}
	stopTime := func(at time.Time) *tidingsv1.StopPosition {
		return &tidingsv1.StopPosition{Position: &tidingsv1.StopPosition_Time{Time: timestamppb.New(at)}}
	}
	for name, test := range map[string]struct {
		// request completes one that has a topic.
		request     func(*tidingsv1.ReadRequest, []*tidingsv1.RecordedEvent)
		first, last int // Of the events that are wanted; last before first: none.
	}{
		"start unset":           {func(*tidingsv1.ReadRequest, []*tidingsv1.RecordedEvent) {}, 0, 8},
		"start earliest":        {func(r *tidingsv1.ReadRequest, _ []*tidingsv1.RecordedEvent) { r.Start = fromEarliest }, 0, 8},
		"start latest":          {func(r *tidingsv1.ReadRequest, _ []*tidingsv1.RecordedEvent) { r.Start = fromLatest }, 8, 8},
		"start new":             {func(r *tidingsv1.ReadRequest, _ []*tidingsv1.RecordedEvent) { r.Start = fromNew }, 1, 0},
		"start 1":               {func(r *tidingsv1.ReadRequest, _ []*tidingsv1.RecordedEvent) { r.Start = fromSequence(1) }, 0, 8},
		"start at a record":     {func(r *tidingsv1.ReadRequest, _ []*tidingsv1.RecordedEvent) { r.Start = fromSequence(sequence(2, 0)) }, 3, 8},
		"start inside a record": {func(r *tidingsv1.ReadRequest, _ []*tidingsv1.RecordedEvent) { r.Start = fromSequence(sequence(1, 1)) }, 1, 8},
		"start after the last":  {func(r *tidingsv1.ReadRequest, _ []*tidingsv1.RecordedEvent) { r.Start = fromSequence(sequence(3, 4)) }, 1, 0},
		"start far after":       {func(r *tidingsv1.ReadRequest, _ []*tidingsv1.RecordedEvent) { r.Start = fromSequence(1<<63 - 1) }, 1, 0},
		"start after an event":  {func(r *tidingsv1.ReadRequest, e []*tidingsv1.RecordedEvent) { r.Start = fromCursor(e[0].GetCursor()) }, 1, 8},
		"start after a record":  {func(r *tidingsv1.ReadRequest, e []*tidingsv1.RecordedEvent) { r.Start = fromCursor(e[2].GetCursor()) }, 3, 8},
		"start after the end":   {func(r *tidingsv1.ReadRequest, e []*tidingsv1.RecordedEvent) { r.Start = fromCursor(e[8].GetCursor()) }, 1, 0},
		"start at a time": {func(r *tidingsv1.ReadRequest, e []*tidingsv1.RecordedEvent) {
			r.Start = startTime(e[4].GetPublishTime().AsTime())
		}, 3, 8},
		"start just after a time": {func(r *tidingsv1.ReadRequest, e []*tidingsv1.RecordedEvent) {
			r.Start = startTime(e[4].GetPublishTime().AsTime().Add(1))
		}, 5, 8},
		"start long ago": {func(r *tidingsv1.ReadRequest, _ []*tidingsv1.RecordedEvent) { r.Start = startTime(time.Unix(0, 0)) }, 0, 8},
		"start in year 1": {func(r *tidingsv1.ReadRequest, _ []*tidingsv1.RecordedEvent) {
			r.Start = startTime(time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC))
		}, 0, 8},
		"start in 1600": {func(r *tidingsv1.ReadRequest, _ []*tidingsv1.RecordedEvent) {
			r.Start = startTime(time.Date(1600, 1, 1, 0, 0, 0, 0, time.UTC))
		}, 0, 8},
		"start tomorrow": {func(r *tidingsv1.ReadRequest, _ []*tidingsv1.RecordedEvent) {
			r.Start = startTime(time.Now().Add(24 * time.Hour))
		}, 1, 0},
		"start in 9999": {func(r *tidingsv1.ReadRequest, _ []*tidingsv1.RecordedEvent) {
			r.Start = startTime(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))
		}, 1, 0},

		"stop inside a record": {func(r *tidingsv1.ReadRequest, _ []*tidingsv1.RecordedEvent) { r.Stop = stopAtSequence(sequence(2, 0)) }, 0, 3},
		"stop at a record":     {func(r *tidingsv1.ReadRequest, _ []*tidingsv1.RecordedEvent) { r.Stop = stopAtSequence(sequence(2, 1)) }, 0, 4},
		"stop before the start": {func(r *tidingsv1.ReadRequest, e []*tidingsv1.RecordedEvent) {
			r.Start, r.Stop = fromCursor(e[5].GetCursor()), stopAtSequence(sequence(1, 2))
		}, 1, 0},
		"stop before a start by time": {func(r *tidingsv1.ReadRequest, e []*tidingsv1.RecordedEvent) {
			r.Start, r.Stop = startTime(e[5].GetPublishTime().AsTime()), stopAtSequence(sequence(1, 2))
		}, 1, 0},
		"stop at a time": {func(r *tidingsv1.ReadRequest, e []*tidingsv1.RecordedEvent) {
			r.Stop = stopTime(e[5].GetPublishTime().AsTime())
		}, 0, 4},
		"stop long ago": {func(r *tidingsv1.ReadRequest, _ []*tidingsv1.RecordedEvent) { r.Stop = stopTime(time.Unix(0, 0)) }, 1, 0},
		"stop in year 1": {func(r *tidingsv1.ReadRequest, _ []*tidingsv1.RecordedEvent) {
			r.Stop = stopTime(time.Time{})
		}, 1, 0},
		"stop in 1600": {func(r *tidingsv1.ReadRequest, _ []*tidingsv1.RecordedEvent) {
			r.Stop = stopTime(time.Date(1600, 1, 1, 0, 0, 0, 0, time.UTC))
		}, 1, 0},
		"stop in 9999": {func(r *tidingsv1.ReadRequest, _ []*tidingsv1.RecordedEvent) {
			r.Stop, r.MaxEvents = stopTime(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)), 9
		}, 0, 8},
		"stop now": {func(r *tidingsv1.ReadRequest, _ []*tidingsv1.RecordedEvent) { r.Stop = stopTime(time.Now()) }, 0, 8},
		"stop soon": {func(r *tidingsv1.ReadRequest, _ []*tidingsv1.RecordedEvent) {
			r.Stop = stopTime(time.Now().Add(200 * time.Millisecond))
		}, 0, 8},
		"between times": {func(r *tidingsv1.ReadRequest, e []*tidingsv1.RecordedEvent) {
			r.Start, r.Stop = startTime(e[3].GetPublishTime().AsTime()), stopTime(e[5].GetPublishTime().AsTime())
		}, 3, 4},
		"between sequences": {func(r *tidingsv1.ReadRequest, _ []*tidingsv1.RecordedEvent) {
			r.Start, r.Stop = fromSequence(sequence(1, 2)), stopAtSequence(sequence(3, 1))
		}, 2, 6},

		"one event":                  {func(r *tidingsv1.ReadRequest, _ []*tidingsv1.RecordedEvent) { r.MaxEvents = 1 }, 0, 0},
		"events up to a record":      {func(r *tidingsv1.ReadRequest, _ []*tidingsv1.RecordedEvent) { r.MaxEvents, r.Stop = 5, nil }, 0, 4},
		"events into a record":       {func(r *tidingsv1.ReadRequest, _ []*tidingsv1.RecordedEvent) { r.MaxEvents, r.Stop = 6, nil }, 0, 5},
		"more events than there are": {func(r *tidingsv1.ReadRequest, _ []*tidingsv1.RecordedEvent) { r.MaxEvents = 100 }, 0, 8},
	} {
		t.Run(name, some(func(t *testing.T, c client) {
			topic, events := threeRecords(t, c)
			request := &tidingsv1.ReadRequest{Topic: topic, Stop: stopCaughtUp}
			test.request(request, events)
			got := openRead(t, c, request).untilEnd()
			var want []*tidingsv1.RecordedEvent
			if test.first <= test.last {
				want = events[test.first : test.last+1]
			}
			if diff := cmp.Diff(want, got.events, protocmp.Transform()); diff != "" {
				t.Errorf("want %d, got %d:\n%s", places(want), got.sequences(), diff)
			}
			if len(got.gaps) > 0 || len(got.caughtUp) > 1 {
				t.Errorf("frames %v", got.frames)
			}
		}))
	}
}

func TestRead(t *testing.T) {
	t.Run("what was published", each(func(t *testing.T, c client) {
		topic := newTopic(t, c)
		full := withAttributes(t, "full")
		full.Subject, full.Time, full.PartitionKey = "☕", timestamppb.New(time.Unix(-1, 999_999_999)), new("a key")
		large := bulky(t, "large", testEventBytes-8192)
		sent := append(orders(t, "many", 200), full, large, event(t, "paid", paid("o")))
		before := time.Now()
		receipts := publish(t, c, topic, sent...)
		got := openRead(t, c, &tidingsv1.ReadRequest{Topic: topic, Stop: stopCaughtUp}).untilEnd().events
		if len(got) != len(sent) {
			t.Fatalf("%d events, want %d", len(got), len(sent))
		}
		keys := map[string]string{"full": "a key", "large": "order-large", "paid": "o"}
		for i, recorded := range got {
			key, ok := keys[sent[i].GetId()]
			if !ok {
				key = "order-" + sent[i].GetId()
			}
			if diff := cmp.Diff(keyed(sent[i], key), recorded.GetEvent(), protocmp.Transform()); diff != "" {
				t.Errorf("event %d is read otherwise (-want +got):\n%s", i, diff)
			}
			if recorded.GetTopic() != topic || recorded.GetSequence() != receipts[i].GetSequence() {
				t.Errorf("event %d is of %s at %d, want %d", i, recorded.GetTopic(), recorded.GetSequence(), receipts[i].GetSequence())
			}
			if at := recorded.GetPublishTime().AsTime(); at.Before(before.Add(-time.Second)) || at.After(time.Now().Add(time.Second)) {
				t.Errorf("event %d was published at %s", i, at)
			}
		}
	}))
	t.Run("on from every cursor", some(func(t *testing.T, c client) {
		topic, events := threeRecords(t, c)
		for i, e := range events[:8] {
			got := openRead(t, c, &tidingsv1.ReadRequest{Topic: topic, Start: fromCursor(e.GetCursor()), MaxEvents: 1}).untilEnd()
			if diff := cmp.Diff(events[i+1:i+2], got.events, protocmp.Transform()); diff != "" {
				t.Errorf("after event %d (-want +got):\n%s", i, diff)
			}
		}
	}))
	t.Run("empty topic", each(func(t *testing.T, c client) {
		topic := newTopic(t, c)
		for _, start := range []*tidingsv1.StartPosition{nil, fromEarliest, fromLatest, fromNew, fromSequence(1), fromSequence(1 << 40)} {
			got := openRead(t, c, &tidingsv1.ReadRequest{Topic: topic, Start: start, Stop: stopCaughtUp}).untilEnd()
			if len(got.frames) != 1 || len(got.caughtUp) != 1 {
				t.Errorf("from %v: %v", start, got.frames)
			}
		}
		stream := openRead(t, c, &tidingsv1.ReadRequest{Topic: topic})
		cursor := stream.untilFrame(isCaughtUp).caughtUp[0]
		publish(t, c, topic, orders(t, "a", 2)...)
		want := stream.untilEvents(2).events
		got := openRead(t, c, &tidingsv1.ReadRequest{Topic: topic, Start: fromCursor(cursor), Stop: stopCaughtUp}).untilEnd().events
		if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
			t.Errorf("from the cursor of the empty topic (-want +got):\n%s", diff)
		}
	}))
	t.Run("follows", each(func(t *testing.T, c client) {
		topic, events := threeRecords(t, c)
		stream := openRead(t, c, &tidingsv1.ReadRequest{Topic: topic, Start: fromLatest})
		replayed := stream.untilFrame(isCaughtUp)
		if diff := cmp.Diff(events[8:], replayed.events, protocmp.Transform()); diff != "" {
			t.Errorf("before it caught up (-want +got):\n%s", diff)
		}
		var want []int64
		var got seen
		for i := range 20 {
			want = append(want, sequences(publish(t, c, topic, orders(t, fmt.Sprint("tail", i), 2)...))...)
			for _, frame := range stream.untilEvents(2).frames {
				got.add(frame)
			}
		}
		if !slices.Equal(want, got.sequences()) || len(got.caughtUp) != 0 {
			t.Errorf("followed %d, want %d; frames %v", got.sequences(), want, got.frames)
		}
	}))
	t.Run("new events only", some(func(t *testing.T, c client) {
		topic, _ := threeRecords(t, c)
		stream := openRead(t, c, &tidingsv1.ReadRequest{Topic: topic, Start: fromNew})
		if got := stream.untilFrame(isCaughtUp); len(got.frames) != 1 {
			t.Errorf("frames %v", got.frames)
		}
		want := sequences(publish(t, c, topic, orders(t, "tail", 3)...))
		if got := stream.untilEvents(3).sequences(); !slices.Equal(got, want) {
			t.Errorf("got %d, want %d", got, want)
		}
	}))
	t.Run("heartbeats", each(func(t *testing.T, c client) {
		topic, events := threeRecords(t, c)
		stream := openRead(t, c, &tidingsv1.ReadRequest{Topic: topic, Start: fromLatest, HeartbeatInterval: durationpb.New(time.Second)})
		got := stream.untilFrame(isHeartbeat)
		if got.heartbeats[0] != events[8].GetCursor() || got.caughtUp[0] != events[8].GetCursor() {
			t.Errorf("heartbeat %q, caught up %q, the last event has %q", got.heartbeats, got.caughtUp, events[8].GetCursor())
		}
	}))
	invalid := because(codes.InvalidArgument, "REQUEST_INVALID")
	for name, test := range map[string]struct {
		change func(*tidingsv1.ReadRequest)
		want   refusal
		needs  []need
	}{
		"topic name":        {func(r *tidingsv1.ReadRequest) { r.Topic = "a\x00" }, invalid.at("topic"), nil},
		"no start position": {func(r *tidingsv1.ReadRequest) { r.Start = &tidingsv1.StartPosition{} }, invalid.at("start.position"), nil},
		"no stop position":  {func(r *tidingsv1.ReadRequest) { r.Stop = &tidingsv1.StopPosition{} }, invalid.at("stop.position"), nil},
		"no boundary":       {func(r *tidingsv1.ReadRequest) { r.Start = startAt(0) }, invalid.at("start.boundary"), nil},
		"unknown boundary":  {func(r *tidingsv1.ReadRequest) { r.Start = startAt(17) }, invalid.at("start.boundary"), nil},
		"sequence 0":        {func(r *tidingsv1.ReadRequest) { r.Start = fromSequence(0) }, invalid.at("start.sequence"), nil},
		"negative sequence": {func(r *tidingsv1.ReadRequest) { r.Start = fromSequence(-1 << 63) }, invalid.at("start.sequence"), nil},
		"negative stop":     {func(r *tidingsv1.ReadRequest) { r.Stop = stopAtSequence(-1) }, invalid.at("stop.sequence"), nil},
		"negative count":    {func(r *tidingsv1.ReadRequest) { r.MaxEvents = -1 }, invalid.at("max_events"), nil},
		"quick heartbeat":   {func(r *tidingsv1.ReadRequest) { r.HeartbeatInterval = durationpb.New(1) }, invalid.at("heartbeat_interval"), nil},
		"time out of range": {func(r *tidingsv1.ReadRequest) {
			r.Start = &tidingsv1.StartPosition{Position: &tidingsv1.StartPosition_Time{Time: &timestamppb.Timestamp{Nanos: -1}}}
		}, invalid.at("start.time"), []need{validTimes}},
		"stop time out of range": {func(r *tidingsv1.ReadRequest) {
			r.Stop = &tidingsv1.StopPosition{Position: &tidingsv1.StopPosition_Time{Time: &timestamppb.Timestamp{Seconds: 1 << 40}}}
		}, invalid.at("stop.time"), []need{validTimes}},
		"type name": {func(r *tidingsv1.ReadRequest) { r.Filter = &tidingsv1.EventFilter{EventTypes: []string{"*"}} },
			invalid.at("filter.event_types[0]"), nil},
		"unknown type": {func(r *tidingsv1.ReadRequest) {
			r.Filter = &tidingsv1.EventFilter{EventTypes: []string{orderPaid, "a.B"}}
		},
			because(codes.InvalidArgument, "EVENT_TYPE_UNKNOWN", "type", "a.B").at("filter.event_types[1]"), nil},
	} {
		t.Run("refused/"+name, some(func(t *testing.T, c client) {
			request := &tidingsv1.ReadRequest{Topic: "orders", Stop: stopCaughtUp, Start: fromNew}
			test.change(request)
			wantRefusal(t, openRead(t, c, request).refused(), test.want)
		}, test.needs...))
	}
	t.Run("no topic", each(func(t *testing.T, c client) {
		name := newName()
		err := openRead(t, c, &tidingsv1.ReadRequest{Topic: name}).refused()
		wantRefusal(t, err, because(codes.NotFound, "TOPIC_NOT_FOUND", "topic", name))
	}))
	t.Run("topic deleted while it is read", each(func(t *testing.T, c client) {
		topic, _ := threeRecords(t, c)
		stream := openRead(t, c, &tidingsv1.ReadRequest{Topic: topic})
		stream.untilFrame(isCaughtUp)
		if _, err := c.DeleteTopic(testContext(t), &tidingsv1.DeleteTopicRequest{Name: topic}); err != nil {
			t.Fatal(err)
		}
		wantRefusal(t, stream.refused(), because(codes.NotFound, "TOPIC_NOT_FOUND", "topic", topic))
	}))
}
