package main

import (
	"context"
	"time"

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
