package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"google.golang.org/grpc"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// topic is where the events of github.webhooks.v1 go. The server takes it from
// their declaration, so publishing needs no topic; reading does.
const topic = "github-webhooks"

// batchSize is how many events go in one message: few enough that the largest
// payloads together stay far below any server's limit.
const batchSize = 20

// publish stores the events on one stream and notes what became of each. Only a
// stream that breaks is an error.
func publish(ctx context.Context, conn grpc.ClientConnInterface, all []*delivery) error {
	var events []*delivery
	for _, d := range all {
		if d.event != nil {
			events = append(events, d)
		}
	}
	batches := slices.Collect(slices.Chunk(events, batchSize))

	// Cancelled on return, the sender can't outlive this function.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := tidingsv1.NewPublisherServiceClient(conn).PublishStream(ctx)
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	sent := make(chan error, 1)
	go func() { sent <- send(stream, batches) }()

	answered := 0
	for {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		if n := response.GetBatch(); n < 0 || n >= int64(len(batches)) {
			return fmt.Errorf("publish: answer to batch %d of %d", n, len(batches))
		}
		if err := settle(batches[response.GetBatch()], response); err != nil {
			return fmt.Errorf("publish: batch %d: %w", response.GetBatch(), err)
		}
		answered++
	}
	if err := <-sent; err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	if answered != len(batches) {
		return fmt.Errorf("publish: %d of %d batches answered", answered, len(batches))
	}
	return nil
}

// send puts the batches on the stream without waiting for answers.
func send(stream grpc.BidiStreamingClient[tidingsv1.PublishStreamRequest, tidingsv1.PublishStreamResponse], batches [][]*delivery) error {
	for _, batch := range batches {
		request := &tidingsv1.PublishStreamRequest{Publish: &tidingsv1.PublishRequest{SkipInvalid: true}}
		for _, d := range batch {
			request.Publish.Events = append(request.Publish.Events, d.event)
		}
		if err := stream.Send(request); err != nil {
			if errors.Is(err, io.EOF) {
				return nil // Recv has the reason.
			}
			return err
		}
	}
	return stream.CloseSend()
}

// settle notes the answer to a batch on its deliveries.
func settle(batch []*delivery, response *tidingsv1.PublishStreamResponse) error {
	if failed := response.GetError(); failed != nil {
		for _, d := range batch {
			d.refused = refusal(failed)
		}
		return nil
	}
	for _, receipt := range response.GetPublished().GetReceipts() {
		i := int(receipt.GetIndex())
		if i < 0 || i >= len(batch) || batch[i].sequence != 0 {
			return fmt.Errorf("unexpected receipt for event %d", i)
		}
		if receipt.GetSequence() == 0 || receipt.GetDuplicate() {
			return fmt.Errorf("receipt for %s: sequence %d, duplicate %t, of an event that is new",
				batch[i].name(), receipt.GetSequence(), receipt.GetDuplicate())
		}
		batch[i].sequence = receipt.GetSequence()
	}
	for _, refused := range response.GetPublished().GetRefusedEvents() {
		i := refused.GetIndex()
		if i < 0 || i >= int64(len(batch)) || batch[i].sequence != 0 {
			return fmt.Errorf("unexpected refusal of event %d", i)
		}
		batch[i].refused = refusal(refused.GetError())
	}
	for _, d := range batch {
		if d.sequence == 0 && d.refused == nil {
			return fmt.Errorf("neither receipt nor refusal for %s", d.name())
		}
	}
	return nil
}

// refusal is the server's reason and the fields that it names.
func refusal(e *tidingsv1.ErrorDetail) error {
	reason := strings.TrimPrefix(e.GetReason().String(), "ERROR_REASON_")
	if len(e.GetFieldViolations()) == 0 {
		return fmt.Errorf("%s: %s", reason, e.GetMessage())
	}
	var fields []error
	for _, v := range e.GetFieldViolations() {
		fields = append(fields, fmt.Errorf("%s: %s: %s", reason, v.GetField(), v.GetDescription()))
	}
	return errors.Join(fields...)
}
