package rpc_test

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// exists expects that the topic holds an event, or none.
func exists(some bool) *tidingsv1.Precondition {
	return &tidingsv1.Precondition{Expectation: &tidingsv1.Precondition_Exists{Exists: some}}
}

// mismatch is the refusal for the precondition with an index.
func mismatch(index int, expected, actual any) refusal {
	return because(codes.Aborted, "SEQUENCE_MISMATCH", "expected", fmt.Sprint(expected), "actual", fmt.Sprint(actual)).at(fmt.Sprintf("preconditions[%d]", index))
}

// Of many who expect the same, one stores its events.
func TestPreconditionOfMany(t *testing.T) {
	t.Run("one wins", some(func(t *testing.T, c client) {
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
