package scenario

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	conformancev1 "example.com/tidings/conformance/gen/go/tidings/conformance/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// Verify looks at what a run left on the server, and makes those of its outcomes
// failures that don't fit. The topic is that of the run.
func Verify(ctx context.Context, conn grpc.ClientConnInterface, topic string, values Values, outcomes Outcomes) {
	outcomes.fail(stepTopic, verifyTopic(ctx, conn, topic))
	events, err := readAll(ctx, conn, topic)
	if err != nil {
		outcomes.fail(stepPublish, err)
		outcomes.fail(stepTail, err)
	} else {
		verifyEvents(events, values, outcomes)
	}
	outcomes.fail(stepConsume, verifySubscription(ctx, conn, topic))
}

func verifyTopic(ctx context.Context, conn grpc.ClientConnInterface, topic string) error {
	response, err := tidingsv1.NewTopicServiceClient(conn).GetTopic(ctx, &tidingsv1.GetTopicRequest{Name: topic})
	if err != nil {
		return err
	}
	if got := response.GetTopic().GetSettings().GetDescription(); got != "interop" {
		return fmt.Errorf("the topic's description is %q, want %q", got, "interop")
	}
	return nil
}

// VerifyPublisher wants a topic to hold one event, of a publisher.
func VerifyPublisher(ctx context.Context, conn grpc.ClientConnInterface, topic, publisher string) error {
	events, err := readRecorded(ctx, conn, topic)
	if err != nil {
		return err
	}
	if len(events) != 1 || events[0].GetPublisher() != publisher {
		return fmt.Errorf("the topic holds %v, want one event of %s", events, publisher)
	}
	return nil
}

// readAll reads what a topic holds.
func readAll(ctx context.Context, conn grpc.ClientConnInterface, topic string) ([]*tidingsv1.Event, error) {
	recorded, err := readRecorded(ctx, conn, topic)
	events := make([]*tidingsv1.Event, len(recorded))
	for i := range recorded {
		events[i] = recorded[i].GetEvent()
	}
	return events, err
}

func readRecorded(ctx context.Context, conn grpc.ClientConnInterface, topic string) ([]*tidingsv1.RecordedEvent, error) {
	stream, err := tidingsv1.NewReaderServiceClient(conn).Read(ctx, &tidingsv1.ReadRequest{
		Topic: topic,
		Stop:  &tidingsv1.StopPosition{Position: &tidingsv1.StopPosition_CaughtUp{CaughtUp: true}},
	})
	if err != nil {
		return nil, err
	}
	var events []*tidingsv1.RecordedEvent
	for {
		frame, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return events, nil
		}
		if err != nil {
			return nil, err
		}
		events = append(events, frame.GetEvents().GetEvents()...)
	}
}

// verifyEvents compares the events of a topic with what was to be published.
func verifyEvents(events []*tidingsv1.Event, values Values, outcomes Outcomes) {
	type publication struct{ step, id, value string }
	var want []publication
	for _, name := range valueNames {
		want = append(want, publication{stepPublish, name, name})
	}
	if outcomes.ok(stepTail) {
		want = append(want, publication{stepTail, "tailed", "full"})
	}
	for i, publication := range want {
		if i >= len(events) {
			outcomes.fail(publication.step, fmt.Errorf("the topic doesn't hold the event %s", publication.id))
			continue
		}
		outcomes.fail(publication.step, verifyEvent(events[i], publication.id, values[publication.value]))
	}
	for _, event := range events[min(len(want), len(events)):] {
		step := stepPublish
		if event.GetId() == "refused" {
			step = stepRefused
		}
		outcomes.fail(step, fmt.Errorf("the topic holds one event more, %q", event.GetId()))
	}
}

func verifyEvent(event *tidingsv1.Event, id string, want *conformancev1.EveryKind) error {
	if event.GetId() != id || event.GetSource() != "/interop" {
		return fmt.Errorf("the topic holds the event %q of %q, want %q of %q", event.GetId(), event.GetSource(), id, "/interop")
	}
	got := new(conformancev1.EveryKind)
	if err := event.GetData().UnmarshalTo(got); err != nil {
		return fmt.Errorf("the event %s: %w", id, err)
	}
	if !proto.Equal(got, want) {
		return fmt.Errorf("the event %s holds %v, want %v", id, got, want)
	}
	return nil
}

// verifySubscription wants every event to be settled, and none to be a dead letter.
func verifySubscription(ctx context.Context, conn grpc.ClientConnInterface, name string) error {
	response, err := tidingsv1.NewSubscriptionServiceClient(conn).GetSubscription(ctx, &tidingsv1.GetSubscriptionRequest{Name: name})
	if err != nil {
		return err
	}
	if topic := response.GetSubscription().GetTopic(); topic != name {
		return fmt.Errorf("the subscription is of the topic %q, want %q", topic, name)
	}
	statistics := response.GetSubscription().GetStatistics()
	if statistics.GetBacklogEvents() != 0 || statistics.GetInFlightEvents() != 0 ||
		statistics.GetRetryingEvents() != 0 || statistics.GetDeadLetteredEvents() != 0 {
		return fmt.Errorf("the subscription has events left: %v", statistics)
	}
	return nil
}
