package main

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"example.com/tidings/client"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// readFrames reads what was written last with client.Reader, as frames, whose events are
// decoded and their contents not.
func (t *tidings) readFrames(ctx context.Context) (time.Duration, error) {
	begun, read := time.Now(), 0
	for frame, err := range t.reader(t.topic).Frames(ctx) {
		if err != nil {
			return 0, err
		}
		read += len(frame.GetEvents().GetEvents())
	}
	return time.Since(begun), t.expectRead(nil, read)
}

// readEvents reads orders as a loop over events does, their contents decoded.
func (t *tidings) readEvents(ctx context.Context) (time.Duration, error) {
	topic, err := t.keyedTopic(ctx) // What was written last may be something else.
	if err != nil {
		return 0, err
	}
	begun, read := time.Now(), 0
	for event, err := range t.reader(topic).Events(ctx) {
		if err != nil {
			return 0, err
		}
		if event.Message != nil {
			read++
		}
	}
	return time.Since(begun), t.expectRead(nil, read)
}

func (t *tidings) reader(topic string) *client.Reader {
	request := t.readRequest()
	return client.New(t.conn).Reader(topic, client.ReaderOptions{Start: request.GetStart(), Stop: request.GetStop()})
}

// readDecoded reads what publishPacked wrote and decodes the events, as an application
// does that has packed them.
func (r *rawNATS) readDecoded(ctx context.Context) (time.Duration, error) {
	return r.read(ctx, r.packed, func(packed []byte) (int, error) {
		return eachPacked(packed, func(*tidingsv1.Event) error { return nil })
	})
}

// readContents decodes their contents too.
func (r *rawNATS) readContents(ctx context.Context) (time.Duration, error) {
	return r.read(ctx, r.packed, func(packed []byte) (int, error) {
		return eachPacked(packed, func(event *tidingsv1.Event) error {
			_, err := event.GetData().UnmarshalNew()
			return err
		})
	})
}

// eachPacked decodes the events of a packed message.
func eachPacked(packed []byte, visit func(event *tidingsv1.Event) error) (count int, err error) {
	for len(packed) > 0 {
		encoded, n := protowire.ConsumeBytes(packed)
		if n < 0 {
			return 0, fmt.Errorf("a packed message: %w", protowire.ParseError(n))
		}
		event := new(tidingsv1.Event)
		if err := proto.Unmarshal(encoded, event); err != nil {
			return 0, err
		}
		if err := visit(event); err != nil {
			return 0, err
		}
		packed = packed[n:]
		count++
	}
	return count, nil
}
