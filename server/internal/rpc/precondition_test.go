package rpc_test

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

func TestPrecondition(t *testing.T) {
	// try publishes to a topic with a precondition.
	try := func(t *testing.T, c client, topic string, p *tidingsv1.Precondition, events ...*tidingsv1.Event) ([]*tidingsv1.Receipt, error) {
		t.Helper()
		response, err := c.Publish(testContext(t), &tidingsv1.PublishRequest{Topic: topic, Events: events, Preconditions: []*tidingsv1.Precondition{p}})
		return response.GetReceipts(), err
	}
	mismatch := func(expected, actual int64) refusal {
		return because(codes.Aborted, "SEQUENCE_MISMATCH", "expected", fmt.Sprint(expected), "actual", fmt.Sprint(actual))
	}
	for _, dedupe := range []optionsv1.Dedupe{optionsv1.Dedupe_DEDUPE_REQUEST, optionsv1.Dedupe_DEDUPE_EVENT} {
		t.Run("topic/"+dedupe.String(), some(func(t *testing.T, c client) {
			topic := newTopic(t, c, func(topic *tidingsv1.Topic) { topic.Settings.Dedupe = dedupe })
			first, err := try(t, c, topic, &tidingsv1.Precondition{Expectation: &tidingsv1.Precondition_Exists{}}, orders(t, "a", 3)...)
			if err != nil {
				t.Fatal(err)
			}
			last := first[2].GetSequence()
			_, err = try(t, c, topic, &tidingsv1.Precondition{Expectation: &tidingsv1.Precondition_Exists{}}, orders(t, "b", 2)...)
			wantRefusal(t, err, mismatch(0, last))
			// Neither an event that isn't the last of its request, nor one that
			// never was.
			for _, wrong := range []int64{first[1].GetSequence(), last + 1, last + 4096, 1<<63 - 1} {
				_, err = try(t, c, topic, &tidingsv1.Precondition{Expectation: &tidingsv1.Precondition_LastSequence{LastSequence: wrong}}, orders(t, "b", 2)...)
				wantRefusal(t, err, mismatch(wrong, last))
			}
			second, err := try(t, c, topic, &tidingsv1.Precondition{Expectation: &tidingsv1.Precondition_LastSequence{LastSequence: last}}, orders(t, "b", 2)...)
			if err != nil {
				t.Fatal(err)
			}
			// Retries are recognised, though the topic has moved on.
			again, err := try(t, c, topic, &tidingsv1.Precondition{Expectation: &tidingsv1.Precondition_LastSequence{LastSequence: last}}, orders(t, "b", 2)...)
			if err != nil {
				t.Fatal(err)
			}
			wantSame(t, second, again)
			again, err = try(t, c, topic, &tidingsv1.Precondition{Expectation: &tidingsv1.Precondition_Exists{}}, orders(t, "a", 3)...)
			if err != nil {
				t.Fatal(err)
			}
			wantSame(t, first, again)
			if got := latest(t, c, topic); got != second[1].GetSequence() {
				t.Errorf("stored up to %d", got)
			}
		}))
	}
	for _, dedupe := range []optionsv1.Dedupe{optionsv1.Dedupe_DEDUPE_REQUEST, optionsv1.Dedupe_DEDUPE_EVENT} {
		t.Run("key/"+dedupe.String(), each(func(t *testing.T, c client) {
			topic := newTopic(t, c, func(topic *tidingsv1.Topic) { topic.Settings.Dedupe = dedupe })
			key := func(last int64) *tidingsv1.Precondition {
				return &tidingsv1.Precondition{PartitionKey: proto.String("k"), Expectation: &tidingsv1.Precondition_LastSequence{LastSequence: last}}
			}
			mine := func(id string) *tidingsv1.Event { return event(t, id, placed("k")) }
			publish(t, c, topic, orders(t, "others", 2)...)
			first, err := try(t, c, topic, key(0), mine("1"), mine("2"))
			if err != nil {
				t.Fatal(err)
			}
			last := first[1].GetSequence()
			publish(t, c, topic, orders(t, "more", 2)...)
			_, err = try(t, c, topic, key(0), mine("3"))
			wantRefusal(t, err, mismatch(0, last).and("partition_key", "k"))
			_, err = try(t, c, topic, key(first[0].GetSequence()), mine("3"), mine("4"))
			wantRefusal(t, err, mismatch(first[0].GetSequence(), last).and("partition_key", "k"))
			third, err := try(t, c, topic, key(last), mine("3"))
			if err != nil {
				t.Fatal(err)
			}
			again, err := try(t, c, topic, key(last), mine("3"))
			if err != nil {
				t.Fatal(err)
			}
			wantSame(t, third, again)
			_, err = try(t, c, topic, &tidingsv1.Precondition{PartitionKey: proto.String("nobody"), Expectation: &tidingsv1.Precondition_LastSequence{LastSequence: 4096}}, event(t, "5", placed("nobody")))
			wantRefusal(t, err, mismatch(4096, 0).and("partition_key", "nobody"))
		}))
	}
	// What retention removed counts for a topic, and not for a key.
	t.Run("key without events", some(func(t *testing.T, c client) {
		topic := newTopic(t, c, byEvent, func(topic *tidingsv1.Topic) { topic.Settings.Retention = &optionsv1.Retention{MaxBytes: 64 << 10} })
		last := publish(t, c, topic, event(t, "1", placed("k")))[0].GetSequence()
		for i := range 10 {
			publish(t, c, topic, bulky(t, fmt.Sprint("bulk", i), 16<<10))
		}
		untilTopic(t, c, topic, func(statistics *tidingsv1.TopicStatistics) bool { return statistics.GetEarliestSequence() > last })
		_, err := try(t, c, topic, &tidingsv1.Precondition{PartitionKey: proto.String("k"), Expectation: &tidingsv1.Precondition_LastSequence{LastSequence: last}}, event(t, "2", placed("k")))
		wantRefusal(t, err, mismatch(last, 0).and("partition_key", "k"))
		if _, err := try(t, c, topic, &tidingsv1.Precondition{PartitionKey: proto.String("k"), Expectation: &tidingsv1.Precondition_Exists{}}, event(t, "2", placed("k"))); err != nil {
			t.Error(err)
		}
	}))
	t.Run("topic without events", some(func(t *testing.T, c client) {
		topic := newTopic(t, c, func(topic *tidingsv1.Topic) {
			topic.Settings.Retention = &optionsv1.Retention{MaxAge: durationpb.New(time.Second)}
		})
		last := publish(t, c, topic, event(t, "1", placed("k")))[0].GetSequence()
		untilTopic(t, c, topic, func(statistics *tidingsv1.TopicStatistics) bool { return statistics.GetEarliestSequence() == 0 })
		_, err := try(t, c, topic, &tidingsv1.Precondition{Expectation: &tidingsv1.Precondition_Exists{}}, event(t, "2", placed("k")))
		wantRefusal(t, err, mismatch(0, last))
		_, err = try(t, c, topic, &tidingsv1.Precondition{Expectation: &tidingsv1.Precondition_LastSequence{LastSequence: last + 1}}, event(t, "2", placed("k")))
		wantRefusal(t, err, mismatch(last+1, last))
		if _, err := try(t, c, topic, &tidingsv1.Precondition{Expectation: &tidingsv1.Precondition_LastSequence{LastSequence: last}}, event(t, "2", placed("k"))); err != nil {
			t.Error(err)
		}
	}))
	t.Run("key of other events", some(func(t *testing.T, c client) {
		_, err := try(t, c, newTopic(t, c, byEvent), &tidingsv1.Precondition{PartitionKey: proto.String("k"), Expectation: &tidingsv1.Precondition_Exists{}}, event(t, "1", placed("k")), event(t, "2", placed("other")))
		wantRefusal(t, err, because(codes.InvalidArgument, "REQUEST_INVALID").at("precondition.partition_key"))
	}))
	t.Run("one of many wins", some(func(t *testing.T, c client) {
		topic := newTopic(t, c)
		errs := make(chan error)
		for i := range 8 {
			go func() {
				_, err := c.Publish(testContext(t), &tidingsv1.PublishRequest{
					Topic: topic, Events: orders(t, fmt.Sprint("writer", i), 1), Preconditions: []*tidingsv1.Precondition{{Expectation: &tidingsv1.Precondition_Exists{}}},
				})
				errs <- err
			}()
		}
		won := 0
		for range 8 {
			if err := <-errs; err == nil {
				won++
			} else {
				wantRefusal(t, err, mismatch(0, 1))
			}
		}
		if won != 1 {
			t.Errorf("%d writers won", won)
		}
	}))
}

// untilTopic waits until what a topic holds is as it should be.
func untilTopic(t *testing.T, c client, topic string, is func(*tidingsv1.TopicStatistics) bool) {
	t.Helper()
	ctx := testContext(t)
	for {
		got, err := c.GetTopic(ctx, &tidingsv1.GetTopicRequest{Name: topic})
		if err != nil {
			t.Fatal(err)
		}
		if is(got.GetTopic().GetStatistics()) {
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("it stays at %v", got.GetTopic().GetStatistics())
		}
	}
}
