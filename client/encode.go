package client

import (
	"crypto/rand"
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// encodeEvents appends events as PublishRequest has them. Those without an id get one, and
// those that the trace has one for a trace context.
func encodeEvents(data []byte, events []*tidingsv1.Event, trace PublishTrace) ([]byte, error) {
	for i, event := range events {
		id := ""
		if event.GetId() == "" {
			id = rand.Text()
		}
		traced := traceAttributes(trace.TraceContext(i))
		more := stringSize(id) + len(traced)
		if size, ok := eventSize(event); ok {
			data = append(data, tag2)
			data = protowire.AppendVarint(data, uint64(size+more))
			data = appendEvent(data, event)
		} else {
			data = append(data, tag2)
			data = protowire.AppendVarint(data, uint64(proto.Size(event)+more))
			var err error
			if data, err = (proto.MarshalOptions{UseCachedSize: true}).MarshalAppend(data, event); err != nil {
				return nil, fmt.Errorf("encode events[%d]: %w", i, err)
			}
		}
		data = appendString(data, tag1, id)
		data = append(data, traced...)
	}
	return data, nil
}

// eventSize returns the size of an event as appendEvent encodes it. It isn't ok where that
// doesn't: the generated code encodes what a later contract may have, and says what is
// wrong with text that isn't UTF-8. It takes three times as long.
func eventSize(e *tidingsv1.Event) (size int, ok bool) {
	switch {
	case e == nil || len(e.ProtoReflect().GetUnknown()) > 0,
		e.GetTime() != nil && len(e.GetTime().ProtoReflect().GetUnknown()) > 0,
		e.GetData() != nil && len(e.GetData().ProtoReflect().GetUnknown()) > 0:
		return 0, false
	}
	for _, text := range [...]string{e.GetId(), e.GetSource(), e.GetSubject(), e.GetPartitionKey(), e.GetData().GetTypeUrl()} {
		if !utf8.ValidString(text) {
			return 0, false
		}
	}
	size = stringSize(e.GetId()) + stringSize(e.GetSource()) + stringSize(e.GetSubject())
	if e.GetTime() != nil {
		size += 1 + protowire.SizeBytes(timeSize(e.GetTime()))
	}
	if e.PartitionKey != nil {
		size += 1 + protowire.SizeBytes(len(e.GetPartitionKey()))
	}
	for key, value := range e.GetAttributes() {
		if !utf8.ValidString(key) || !utf8.ValidString(value) {
			return 0, false
		}
		size += 1 + protowire.SizeBytes(attributeSize(key, value))
	}
	if e.GetData() != nil {
		size += 1 + protowire.SizeBytes(stringSize(e.GetData().GetTypeUrl())+bytesSize(e.GetData().GetValue()))
	}
	return size, true
}

// appendEvent encodes an event as the generated code does.
func appendEvent(data []byte, e *tidingsv1.Event) []byte {
	data = appendString(data, tag1, e.GetId())
	data = appendString(data, tag2, e.GetSource())
	data = appendString(data, tag3, e.GetSubject())
	if time := e.GetTime(); time != nil {
		data = protowire.AppendVarint(append(data, tag4), uint64(timeSize(time)))
		data = appendInt(data, int1, time.GetSeconds())
		data = appendInt(data, int2, int64(time.GetNanos()))
	}
	if e.PartitionKey != nil {
		data = protowire.AppendString(append(data, tag5), e.GetPartitionKey())
	}
	for key, value := range e.GetAttributes() {
		data = appendAttribute(data, key, value)
	}
	if content := e.GetData(); content != nil {
		data = protowire.AppendVarint(append(data, tag7), uint64(stringSize(content.GetTypeUrl())+bytesSize(content.GetValue())))
		data = appendString(data, tag1, content.GetTypeUrl())
		if len(content.GetValue()) > 0 {
			data = protowire.AppendBytes(append(data, tag2), content.GetValue())
		}
	}
	return data
}

func timeSize(time *timestamppb.Timestamp) int {
	return intSize(time.GetSeconds()) + intSize(int64(time.GetNanos()))
}

// The sizes of fields with their tags, of a byte; nothing where they are empty.
func stringSize(text string) int {
	if text == "" {
		return 0
	}
	return 1 + protowire.SizeBytes(len(text))
}

func bytesSize(value []byte) int {
	if len(value) == 0 {
		return 0
	}
	return 1 + protowire.SizeBytes(len(value))
}

func intSize(value int64) int {
	if value == 0 {
		return 0
	}
	return 1 + protowire.SizeVarint(uint64(value))
}

func appendString(data []byte, tag byte, text string) []byte {
	if text == "" {
		return data
	}
	return protowire.AppendString(append(data, tag), text)
}

func appendInt(data []byte, tag byte, value int64) []byte {
	if value == 0 {
		return data
	}
	return protowire.AppendVarint(append(data, tag), uint64(value))
}
