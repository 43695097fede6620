package rpc_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// lastSequence expects that the last event of the topic has a sequence.
func lastSequence(sequence int64) *tidingsv1.Precondition {
	return &tidingsv1.Precondition{Expectation: &tidingsv1.Precondition_LastSequence{LastSequence: sequence}}
}

// exists expects that the topic holds an event, or none.
func exists(some bool) *tidingsv1.Precondition {
	return &tidingsv1.Precondition{Expectation: &tidingsv1.Precondition_Exists{Exists: some}}
}

// ofKey makes an expectation one about a key.
func ofKey(key string, p *tidingsv1.Precondition) *tidingsv1.Precondition {
	p.PartitionKey = &key
	return p
}

// tryPublish publishes to a topic with preconditions.
func tryPublish(t *testing.T, c client, topic string, events []*tidingsv1.Event, preconditions ...*tidingsv1.Precondition) ([]*tidingsv1.Receipt, error) {
	t.Helper()
	response, err := c.Publish(testContext(t), &tidingsv1.PublishRequest{Topic: topic, Events: events, Preconditions: preconditions})
	return response.GetReceipts(), err
}

// mismatch is the refusal for the precondition with an index.
func mismatch(index int, expected, actual any) refusal {
	return because(codes.Aborted, "SEQUENCE_MISMATCH", "expected", fmt.Sprint(expected), "actual", fmt.Sprint(actual)).at(fmt.Sprintf("preconditions[%d]", index))
}

// one is a batch of one event with a partition key.
func one(t *testing.T, id, key string) []*tidingsv1.Event {
	t.Helper()
	return []*tidingsv1.Event{event(t, id, placed(key))}
}

var dedupes = []optionsv1.Dedupe{optionsv1.Dedupe_DEDUPE_REQUEST, optionsv1.Dedupe_DEDUPE_EVENT}

func dedupeBy(dedupe optionsv1.Dedupe) func(*tidingsv1.Topic) {
	return func(topic *tidingsv1.Topic) { topic.Settings.Dedupe = dedupe }
}

func TestPreconditionOfTopic(t *testing.T) {
	for _, dedupe := range dedupes {
		t.Run(dedupe.String(), some(func(t *testing.T, c client) {
			topic := newTopic(t, c, dedupeBy(dedupe))
			_, err := tryPublish(t, c, topic, orders(t, "a", 3), exists(true))
			wantRefusal(t, err, mismatch(0, "some", "none"))
			_, err = tryPublish(t, c, topic, orders(t, "a", 3), lastSequence(1))
			wantRefusal(t, err, mismatch(0, 1, "none"))
			first, err := tryPublish(t, c, topic, orders(t, "a", 3), exists(false))
			if err != nil {
				t.Fatal(err)
			}
			last := first[2].GetSequence()
			_, err = tryPublish(t, c, topic, orders(t, "b", 2), exists(false))
			wantRefusal(t, err, mismatch(0, "none", last))
			// Neither an event that isn't the last of its request, nor one that
			// never was.
			for _, wrong := range []int64{first[1].GetSequence(), last + 1, last + 4096, 1<<63 - 1} {
				_, err = tryPublish(t, c, topic, orders(t, "b", 2), lastSequence(wrong))
				wantRefusal(t, err, mismatch(0, wrong, last))
			}
			second, err := tryPublish(t, c, topic, orders(t, "b", 2), lastSequence(last))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tryPublish(t, c, topic, orders(t, "c", 1), exists(true)); err != nil {
				t.Fatal(err)
			}
			// Retries are recognised, though the topic has moved on.
			again, err := tryPublish(t, c, topic, orders(t, "b", 2), lastSequence(last))
			if err != nil {
				t.Fatal(err)
			}
			wantSame(t, second, again)
			again, err = tryPublish(t, c, topic, orders(t, "a", 3), exists(false))
			if err != nil {
				t.Fatal(err)
			}
			wantSame(t, first, again)
			if got := latest(t, c, topic); got != second[1].GetSequence()+1 {
				t.Errorf("stored up to %d", got)
			}
		}))
	}
	t.Run("without events", some(func(t *testing.T, c client) {
		topic := newTopic(t, c, func(topic *tidingsv1.Topic) {
			topic.Settings.Retention = &optionsv1.Retention{MaxAge: durationpb.New(time.Second)}
		})
		last := publish(t, c, topic, event(t, "1", placed("k")))[0].GetSequence()
		untilTopic(t, c, topic, func(statistics *tidingsv1.TopicStatistics) bool { return statistics.GetEarliestSequence() == 0 })
		_, err := tryPublish(t, c, topic, one(t, "2", "k"), exists(true))
		wantRefusal(t, err, mismatch(0, "some", "none"))
		_, err = tryPublish(t, c, topic, one(t, "2", "k"), lastSequence(last+1))
		wantRefusal(t, err, mismatch(0, last+1, last))
		if _, err := tryPublish(t, c, topic, one(t, "2", "k"), lastSequence(last), ofKey("k", exists(false))); err != nil {
			t.Error(err)
		}
		untilTopic(t, c, topic, func(statistics *tidingsv1.TopicStatistics) bool { return statistics.GetEarliestSequence() == 0 })
		if _, err := tryPublish(t, c, topic, one(t, "3", "k"), exists(false)); err != nil {
			t.Error(err)
		}
	}))
	t.Run("one of many wins", some(func(t *testing.T, c client) {
		topic := newTopic(t, c)
		errs := make(chan error)
		for i := range 8 {
			events := orders(t, fmt.Sprint("writer", i), 1)
			go func() {
				_, err := c.Publish(testContext(t), &tidingsv1.PublishRequest{Topic: topic, Events: events, Preconditions: []*tidingsv1.Precondition{exists(false)}})
				errs <- err
			}()
		}
		won := 0
		for range 8 {
			if err := <-errs; err == nil {
				won++
			} else {
				wantRefusal(t, err, mismatch(0, "none", 1))
			}
		}
		if won != 1 {
			t.Errorf("%d writers won", won)
		}
	}))
}

func TestPreconditionOfKey(t *testing.T) {
	for _, dedupe := range dedupes {
		t.Run(dedupe.String(), each(func(t *testing.T, c client) {
			topic := newTopic(t, c, dedupeBy(dedupe))
			publish(t, c, topic, orders(t, "others", 2)...)
			_, err := tryPublish(t, c, topic, one(t, "1", "k"), ofKey("k", exists(true)))
			wantRefusal(t, err, mismatch(0, "some", "none").and("partition_key", "k"))
			first, err := tryPublish(t, c, topic, slices.Concat(one(t, "1", "k"), one(t, "2", "k")), ofKey("k", exists(false)))
			if err != nil {
				t.Fatal(err)
			}
			last := first[1].GetSequence()
			publish(t, c, topic, orders(t, "more", 2)...)
			_, err = tryPublish(t, c, topic, one(t, "3", "k"), ofKey("k", exists(false)))
			wantRefusal(t, err, mismatch(0, "none", last).and("partition_key", "k"))
			_, err = tryPublish(t, c, topic, slices.Concat(one(t, "3", "k"), one(t, "4", "k")), ofKey("k", lastSequence(first[0].GetSequence())))
			wantRefusal(t, err, mismatch(0, first[0].GetSequence(), last).and("partition_key", "k"))
			third, err := tryPublish(t, c, topic, one(t, "3", "k"), ofKey("k", lastSequence(last)))
			if err != nil {
				t.Fatal(err)
			}
			again, err := tryPublish(t, c, topic, one(t, "3", "k"), ofKey("k", lastSequence(last)))
			if err != nil {
				t.Fatal(err)
			}
			wantSame(t, third, again)
			_, err = tryPublish(t, c, topic, one(t, "5", "nobody"), ofKey("nobody", lastSequence(4096)))
			wantRefusal(t, err, mismatch(0, 4096, "none").and("partition_key", "nobody"))
			// Of whatever key, since the features have KEY_PRECONDITIONS.
			if _, err := tryPublish(t, c, topic, one(t, "6", "another"), ofKey("k", exists(true))); err != nil {
				t.Error(err)
			}
		}))
	}
	t.Run("without events", some(func(t *testing.T, c client) {
		topic := newTopic(t, c, byEvent, func(topic *tidingsv1.Topic) { topic.Settings.Retention = &optionsv1.Retention{MaxBytes: 64 << 10} })
		last := publish(t, c, topic, event(t, "1", placed("k")))[0].GetSequence()
		for i := range 10 {
			publish(t, c, topic, bulky(t, fmt.Sprint("bulk", i), 16<<10))
		}
		untilTopic(t, c, topic, func(statistics *tidingsv1.TopicStatistics) bool { return statistics.GetEarliestSequence() > last })
		_, err := tryPublish(t, c, topic, one(t, "2", "k"), ofKey("k", lastSequence(last)))
		wantRefusal(t, err, mismatch(0, last, "none").and("partition_key", "k"))
		_, err = tryPublish(t, c, topic, one(t, "2", "k"), ofKey("k", exists(true)))
		wantRefusal(t, err, mismatch(0, "some", "none").and("partition_key", "k"))
		if _, err := tryPublish(t, c, topic, one(t, "2", "k"), ofKey("k", exists(false))); err != nil {
			t.Error(err)
		}
	}))
}

func TestPreconditions(t *testing.T) {
	t.Run("all hold or nothing is stored", each(func(t *testing.T, c client) {
		topic := newTopic(t, c)
		last := publish(t, c, topic, one(t, "1", "a")[0], one(t, "2", "b")[0])[1].GetSequence()
		good := []*tidingsv1.Precondition{lastSequence(last), ofKey("a", lastSequence(last-1)), ofKey("b", exists(true)), ofKey("c", exists(false))}
		bad := []*tidingsv1.Precondition{exists(false), ofKey("a", lastSequence(last)), ofKey("b", exists(false)), ofKey("c", exists(true))}
		for i, want := range []refusal{
			mismatch(0, "none", last),
			mismatch(1, last, last-1).and("partition_key", "a"),
			mismatch(2, "none", last).and("partition_key", "b"),
			mismatch(3, "some", "none").and("partition_key", "c"),
		} {
			preconditions := slices.Clone(good)
			preconditions[i] = bad[i]
			_, err := tryPublish(t, c, topic, one(t, "3", "c"), preconditions...)
			wantRefusal(t, err, want)
		}
		if got := latest(t, c, topic); got != last {
			t.Fatalf("stored up to %d", got)
		}
		if _, err := tryPublish(t, c, topic, one(t, "3", "c"), good...); err != nil {
			t.Error(err)
		}
	}))
	t.Run("with none but invalid events", some(func(t *testing.T, c client) {
		topic := newTopic(t, c)
		skipping := func(preconditions ...*tidingsv1.Precondition) (*tidingsv1.PublishResponse, error) {
			return c.Publish(testContext(t), &tidingsv1.PublishRequest{
				Topic: topic, SkipInvalid: true, Events: []*tidingsv1.Event{invalid(t, "x")}, Preconditions: preconditions,
			})
		}
		last := publish(t, c, topic, one(t, "1", "a")...)[0].GetSequence()
		_, err := skipping(exists(true), ofKey("a", exists(false)))
		wantRefusal(t, err, mismatch(1, "none", last).and("partition_key", "a"))
		response, err := skipping(exists(true), ofKey("a", lastSequence(last)))
		if err != nil || len(response.GetReceipts()) != 0 || len(response.GetRefusedEvents()) != 1 || latest(t, c, topic) != last {
			t.Errorf("got %v, %v", response, err)
		}
		_, err = c.Publish(testContext(t), &tidingsv1.PublishRequest{
			SkipInvalid: true, Events: []*tidingsv1.Event{event(t, "x", &tidingsv1.Topic{})}, Preconditions: []*tidingsv1.Precondition{exists(true)},
		})
		wantRefusal(t, err, because(codes.InvalidArgument, "TOPIC_UNDETERMINED").at("topic"))
	}))
	invalid := because(codes.InvalidArgument, "REQUEST_INVALID")
	for name, test := range map[string]struct {
		preconditions []*tidingsv1.Precondition
		want          refusal
	}{
		"twice about the topic": {[]*tidingsv1.Precondition{exists(true), ofKey("k", exists(true)), lastSequence(1)}, invalid.at("preconditions[2]")},
		"twice about a key":     {[]*tidingsv1.Precondition{ofKey("k", exists(true)), ofKey("k", exists(true))}, invalid.at("preconditions[1]")},
		"nothing expected":      {[]*tidingsv1.Precondition{exists(true), {PartitionKey: new("k")}}, invalid.at("preconditions[1].expectation")},
		"the sequence 0":        {[]*tidingsv1.Precondition{lastSequence(0)}, invalid.at("preconditions[0].last_sequence")},
		"an empty key":          {[]*tidingsv1.Precondition{ofKey("", exists(true))}, invalid.at("preconditions[0].partition_key")},
		"a control character":   {[]*tidingsv1.Precondition{ofKey("\x01", exists(true))}, invalid.at("preconditions[0].partition_key")},
		"17 of them":            {slices.Repeat([]*tidingsv1.Precondition{exists(true)}, 17), invalid.at("preconditions")},
	} {
		t.Run(name, some(func(t *testing.T, c client) {
			topic := newTopic(t, c)
			_, err := tryPublish(t, c, topic, one(t, "1", "k"), test.preconditions...)
			wantRefusal(t, err, test.want)
			if got := latest(t, c, topic); got != 0 {
				t.Errorf("stored up to %d", got)
			}
		}))
	}
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
