package client

import (
	"context"
	"io"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// echoCalls answer every batch with receipts, without a network: what is measured is the
// Publisher's own.
type echoCalls struct{ calls }

func (echoCalls) serverInfo(context.Context) (*tidingsv1.GetServerInfoResponse, error) {
	return &tidingsv1.GetServerInfoResponse{}, nil
}

func (echoCalls) publishStream(ctx context.Context) (publishStream, error) {
	return &echoStream{ctx: ctx, answers: make(chan *tidingsv1.PublishStreamResponse, 100)}, nil
}

type echoStream struct {
	ctx     context.Context //nolint:containedctx // A stream is a call.
	answers chan *tidingsv1.PublishStreamResponse
	batches int64
	encoded []byte
}

func (e *echoStream) Send(request *tidingsv1.PublishStreamRequest) error {
	var err error
	if e.encoded, err = (proto.MarshalOptions{}).MarshalAppend(e.encoded[:0], request); err != nil { // As a codec does.
		return err
	}
	published := &tidingsv1.PublishResponse{Topic: request.GetPublish().GetTopic()}
	for events := request.GetPublish().ProtoReflect().GetUnknown(); len(events) > 0; {
		_, _, n := protowire.ConsumeField(events)
		events = events[n:]
		published.Receipts = append(published.Receipts, &tidingsv1.Receipt{Index: int64(len(published.GetReceipts())), Sequence: 1})
	}
	e.answers <- &tidingsv1.PublishStreamResponse{Batch: e.batches, Result: &tidingsv1.PublishStreamResponse_Published{Published: published}}
	e.batches++
	return nil
}

func (e *echoStream) Recv() (*tidingsv1.PublishStreamResponse, error) {
	select {
	case answer, ok := <-e.answers:
		if !ok {
			return nil, io.EOF
		}
		return answer, nil
	case <-e.ctx.Done():
		return nil, e.ctx.Err()
	}
}

func (e *echoStream) CloseSend() error {
	close(e.answers)
	return nil
}

// TestPublishAllocates counts the allocations for an event, with those of its receipt.
func TestPublishAllocates(t *testing.T) {
	p := (&Client{calls: echoCalls{}}).Publisher(PublisherOptions{Topic: "texts"})
	event := textEvent(t, "text")
	allocations := testing.AllocsPerRun(5000, func() { p.PublishAsync(t.Context(), event) })
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if allocations > 5 { // 2, and those of the race detector's sync.Pool.
		t.Errorf("%v allocations", allocations)
	}
}

// BenchmarkPublishAsync publishes events one by one.
func BenchmarkPublishAsync(b *testing.B) {
	p := (&Client{calls: echoCalls{}}).Publisher(PublisherOptions{Topic: "texts"})
	event, err := NewEvent("/test", wrapperspb.String(strings.Repeat("text", 50)))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		p.PublishAsync(b.Context(), event)
	}
	if err := p.Close(b.Context()); err != nil {
		b.Error(err)
	}
}
