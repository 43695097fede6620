package service

import (
	"fmt"
	"strconv"
	"sync"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"example.com/tidings/server/internal/delivery"
	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/eventlog"
	"example.com/tidings/server/internal/schema"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// Frame is an encoded ReadResponse, ConsumeResponse or ReceiveResponse. Events
// go from a stored record into it as they are, without being decoded.
type Frame struct {
	buffer []byte
	start  int // Where the encoding begins in the buffer.
	kind   frameKind
	batch  *delivery.Batch // Whose memory the buffer is, or nil.
}

// frameKind says of which message a frame is.
type frameKind int

const (
	readFrame frameKind = iota
	consumeFrame
	receiveFrame
)

// NewMessage returns an empty message of the frame's kind.
func (f *Frame) NewMessage() proto.Message {
	switch f.kind {
	case consumeFrame:
		return new(tidingsv1.ConsumeResponse)
	case receiveFrame:
		return new(tidingsv1.ReceiveResponse)
	default:
		return new(tidingsv1.ReadResponse)
	}
}

const (
	// frameTarget is the size that a frame of more than one event stays below.
	// A client in Go receives up to 32 KiB into a buffer of that size, and more
	// into one of 1 MiB.
	frameTarget = 32 << 10
	// frameRoom is what a new frame has room for.
	frameRoom = frameTarget
	// frameKept is the room above which a frame is used again for events alone that
	// need as much.
	frameKept = 256 << 10
	// frameHeader is the room for the tag and the length of the events.
	frameHeader = eventlog.FieldHeader
)

// frames are those that are used again: small ones, and those for one event that
// is larger.
var (
	frames      = sync.Pool{New: func() any { return &Frame{buffer: make([]byte, 0, frameRoom)} }}
	largeFrames sync.Pool
)

// newFrame returns a frame that has room for some bytes.
func newFrame(bytes int) *Frame {
	if room := frameHeader + bytes; room > frameKept {
		f, ok := largeFrames.Get().(*Frame)
		if !ok || cap(f.buffer) < room {
			f = &Frame{buffer: make([]byte, 0, room)}
		}
		f.buffer = f.buffer[:frameHeader]
		return f
	}
	f := frames.Get().(*Frame) //nolint:forcetypeassert // The pool holds nothing else.
	f.buffer = f.buffer[:frameHeader]
	return f
}

// encodeFrame makes a frame of a response that holds no events.
func encodeFrame(response *tidingsv1.ReadResponse) (*Frame, error) {
	encoded, err := proto.Marshal(response)
	return &Frame{buffer: encoded}, err
}

// Bytes is the encoded message.
func (f *Frame) Bytes() []byte { return f.buffer[f.start:] }

// Free gives the memory back. The frame isn't used after it.
func (f *Frame) Free() {
	if f.batch != nil {
		f.batch.Free()
		return
	}
	f.start, f.kind = 0, readFrame // Whatever it was, the next one is of a read.
	switch c := cap(f.buffer); {
	case c > frameKept:
		largeFrames.Put(f)
	case c >= frameRoom:
		frames.Put(f)
	}
}

// fits reports whether a RecordedEvent has room in the frame.
func (f *Frame) fits(raw, suffix []byte) bool {
	return len(f.buffer)+len(raw)+len(suffix)+eventlog.Overhead <= frameTarget
}

// appendEvent adds a RecordedEvent. The cursor is that of the position after.
func (f *Frame) appendEvent(topic *engine.Topic, raw []byte, sequence, after int64, suffix []byte) {
	const field = 1 // EventBatch.events
	f.buffer = eventlog.AppendRecorded(f.buffer, field, topic.Config.GetUid(), raw, sequence, after, suffix)
}

// seal completes a frame of events, which are ReadResponse.events.
func (f *Frame) seal() { f.start = eventlog.SealField(f.buffer) }

// recordedEvent decodes one event of a record.
func recordedEvent(topic *engine.Topic, record engine.Record, index int, events [][]byte) (*tidingsv1.RecordedEvent, error) {
	event := new(tidingsv1.Event)
	if err := proto.Unmarshal(events[index], event); err != nil {
		return nil, fmt.Errorf("event %d: %w", record.First+int64(index), err)
	}
	header := eventlog.HeaderOf(record.Data)
	sequence := record.First + int64(index)
	after := sequence
	if index == len(events)-1 {
		after = record.Last
	}
	return &tidingsv1.RecordedEvent{
		Event:          event,
		Topic:          topic.Name,
		Sequence:       sequence,
		Cursor:         eventlog.Cursor(topic.Config.GetUid(), after),
		PublishTime:    timestamppb.New(record.Time),
		SchemaRevision: schema.FormatRevision(header.Revisions.Of(index)),
		Publisher:      string(header.Publisher),
	}, nil
}

func eventNotFound(topic string, sequence int64) *Error {
	return fault(tidingsv1.ErrorReason_ERROR_REASON_EVENT_NOT_FOUND,
		fmt.Sprintf("topic %q has no event with sequence %d", topic, sequence),
		"topic", topic, "sequence", strconv.FormatInt(sequence, 10))
}
