package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"example.com/tidings/examples/github-webhooks/convert"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// readBack reads the topic from its beginning to its end and compares every
// event with the delivery that it came from.
func readBack(ctx context.Context, conn grpc.ClientConnInterface, all []*delivery) error {
	stored := make(map[int64]*delivery)
	for _, d := range all {
		if d.sequence == 0 {
			continue
		}
		if other := stored[d.sequence]; other != nil {
			return fmt.Errorf("%s and %s have the same sequence %d", d.name(), other.name(), d.sequence)
		}
		stored[d.sequence] = d
	}

	stream, err := tidingsv1.NewReaderServiceClient(conn).Read(ctx, &tidingsv1.ReadRequest{
		Topic: topic,
		Stop:  &tidingsv1.StopPosition{Position: &tidingsv1.StopPosition_CaughtUp{CaughtUp: true}},
	})
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	last := int64(0)
	for {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		for _, recorded := range response.GetEvents().GetEvents() {
			if recorded.GetSequence() <= last {
				return fmt.Errorf("read: sequence %d after %d", recorded.GetSequence(), last)
			}
			last = recorded.GetSequence()
			d := stored[last]
			if d == nil {
				return fmt.Errorf("read: event %q at sequence %d was not published", recorded.GetEvent().GetId(), last)
			}
			d.check(recorded)
		}
	}
}

// check compares the delivery with what was read back: the event with the event
// that was published, and the payload made from it with the original.
func (d *delivery) check(recorded *tidingsv1.RecordedEvent) {
	d.seen++
	if recorded.GetTopic() != topic {
		d.altered = append(d.altered, fmt.Sprintf("came from topic %q", recorded.GetTopic()))
	}
	want, ok := proto.Clone(d.event).(*tidingsv1.Event)
	if !ok {
		panic("a clone has the type of its original")
	}
	if key := repository(d); key != "" {
		want.PartitionKey = new(key)
	}
	got := recorded.GetEvent()
	if !proto.Equal(want, got) {
		d.altered = append(d.altered, "the event is not the one that was published")
	}
	message, err := got.GetData().UnmarshalNew()
	if err != nil {
		d.altered = append(d.altered, err.Error())
		return
	}
	if !proto.Equal(d.message, message) {
		d.altered = append(d.altered, "the content is not the one that was published")
	}
	made, err := convert.Encode(message)
	if err != nil {
		d.altered = append(d.altered, err.Error())
		return
	}
	differences, err := convert.Compare(d.payload, made)
	if err != nil {
		d.altered = append(d.altered, err.Error())
	}
	d.altered = append(d.altered, differences...)
}
