package main

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// readEncoded reads what was written last and counts the events without
// decoding them.
func (t *tidings) readEncoded(ctx context.Context) (time.Duration, error) {
	request, err := proto.Marshal(t.readRequest())
	if err != nil {
		return 0, err
	}
	begun := time.Now()
	stream, err := t.raw.NewStream(ctx, bidirectional, tidingsv1.ReaderService_Read_FullMethodName)
	if err != nil {
		return 0, err
	}
	if err := stream.SendMsg(rawSend{request}); err != nil {
		return 0, err
	}
	if err := stream.CloseSend(); err != nil {
		return 0, err
	}
	var response rawReceive
	defer response.free()
	read := 0
	for {
		if err := stream.RecvMsg(&response); err != nil {
			return time.Since(begun), t.expectRead(endOfStream(err), read)
		}
		// ReadResponse.events.events
		n, err := countNested(response.bytes(), 1, 1)
		if err != nil {
			return 0, err
		}
		read += n
	}
}

// encodedPublisher is publisher with events that were encoded before, like those
// that the echo server is sent.
func (t *tidings) encodedPublisher(ctx context.Context) (call func(number int) error, end func() error, err error) {
	topic, err := t.newTopic(ctx, "")
	if err != nil {
		return nil, nil, err
	}
	head := protowire.AppendTag(topicField(topic), 2, protowire.BytesType) // PublishRequest.events
	call = func(number int) error {
		event := t.data.encoded[number]
		var response rawReceive
		defer response.free()
		request := rawSend{head, protowire.AppendVarint(nil, uint64(len(event))), event}
		if err := t.raw.Invoke(ctx, tidingsv1.PublisherService_Publish_FullMethodName, request, &response); err != nil {
			return err
		}
		receipts := 0
		err := eachField(response.bytes(), 2, func([]byte) error { receipts++; return nil })
		if err == nil && receipts != 1 {
			err = fmt.Errorf("event %d was not stored: %x", number, response.bytes())
		}
		return err
	}
	return call, func() error { return t.deleteTopic(ctx, topic) }, nil
}
