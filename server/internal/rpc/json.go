package rpc

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/anypb"

	"example.com/tidings/server/internal/eventjson"
	"example.com/tidings/server/internal/eventwire"
	"example.com/tidings/server/internal/guard"
	"example.com/tidings/server/internal/jsonwire"
	"example.com/tidings/server/internal/schema"
	"example.com/tidings/server/internal/service"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// jsonCodec is connect-go's codec for JSON. Payloads in Any are readable: their
// types are those that the server knows. A field that doesn't exist is an error.
//
// Most messages go between JSON and protobuf without being decoded. What jsonwire
// isn't sure of is decoded, which gives the same or says what is wrong.
type jsonCodec struct {
	codec

	name    string
	current atomic.Pointer[transcoder]
}

// transcoder is what jsonwire knows of the types of a set.
type transcoder struct {
	set   *schema.Set
	types *jsonwire.Types
}

// transcoder returns that of the set in force.
func (c *jsonCodec) transcoder() *transcoder {
	set := c.types()
	t := c.current.Load()
	if t == nil || t.set != set {
		t = &transcoder{set, jsonwire.NewTypes(resolver{set}.descriptor, resolver{set}.show)}
		c.current.Store(t)
	}
	return t
}

func (c *jsonCodec) Name() string { return c.name }

func (c *jsonCodec) Marshal(v any) ([]byte, error) { return c.MarshalAppend(nil, v) }

func (c *jsonCodec) MarshalAppend(dst []byte, v any) (data []byte, err error) {
	defer func() { err = c.fault(err) }()
	defer guard.Recover(&err)
	switch v := v.(type) {
	case *encoded:
		return append(dst, v.data...), nil
	case *service.Frame:
		response := v.NewMessage()
		t := c.transcoder()
		if data, ok := t.types.AppendJSON(dst, v.Bytes(), response.ProtoReflect().Descriptor()); ok {
			return data, nil
		}
		if err := proto.Unmarshal(v.Bytes(), response); err != nil {
			return nil, err
		}
		return eventjson.Append(dst, response, resolver{t.set})
	case proto.Message:
		t := c.transcoder()
		if binary, err := proto.Marshal(v); err == nil {
			if data, ok := t.types.AppendJSON(slices.Grow(dst, 2*len(binary)), binary, v.ProtoReflect().Descriptor()); ok {
				return data, nil
			}
		}
		return eventjson.Append(dst, v, resolver{t.set})
	default:
		return nil, errNotMessage
	}
}

// encode encodes the response of a call that has one.
func (c *jsonCodec) encode(response any) (*encoded, error) {
	data, err := c.MarshalAppend(nil, response)
	return &encoded{data: data}, err
}

func (c *jsonCodec) Unmarshal(data []byte, v any) error {
	if len(data) > c.maxRequestBytes {
		return c.reject(v, service.TooLarge(len(data), c.maxRequestBytes))
	}
	message, ok := v.(proto.Message)
	raw, isRaw := v.(*rawRequest)
	if isRaw {
		if raw.decoded == nil {
			raw.decoded = new(tidingsv1.PublishRequest)
		}
		message, ok = raw.decoded, true
	}
	if !ok {
		return errNotMessage
	}
	if len(data) == 0 {
		return c.reject(v, service.Malformed("", "the body is empty; the smallest request in JSON is {}"))
	}
	t := c.transcoder()
	if isRaw {
		raw.err = nil
		if raw.data, ok = t.types.AppendWire(slices.Grow(raw.data[:0], len(data)*3/4), data, message.ProtoReflect().Descriptor()); ok {
			return nil
		}
	} else if binary, ok := t.types.AppendWire(nil, data, message.ProtoReflect().Descriptor()); ok && proto.Unmarshal(binary, message) == nil {
		return nil
	}
	if err := eventjson.Parse(data, message, resolver{t.set}); err != nil {
		return c.reject(v, c.malformedJSON(message, err))
	}
	if !isRaw {
		return nil
	}
	var err error
	raw.data, err = proto.MarshalOptions{Deterministic: true}.MarshalAppend(raw.data[:0], message)
	return err
}

// payloadPath matches the path of what is in the payload of an event.
var payloadPath = regexp.MustCompile(`^events\[\d+\]\.data`)

// malformedJSON is the error for the text of a message that eventjson refuses. The
// paths of a batch begin at its PublishRequest.
func (c *jsonCodec) malformedJSON(message proto.Message, err error) error {
	e, ok := errors.AsType[*eventjson.Error](err)
	if !ok {
		return err
	}
	path := e.Path
	switch message.(type) {
	case *tidingsv1.PublishStreamRequest, *tidingsv1.ImportRequest:
		path = strings.TrimPrefix(path, "publish.")
	}
	switch {
	case e.TooDeep:
		if payload := payloadPath.FindString(path); payload != "" {
			return service.TooDeep(payload)
		}
	case e.UnknownType != "":
		return service.UnknownType(c.types(), path, e.UnknownType)
	case path == "" && e.Line > 0:
		return service.Malformed("", fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Text))
	}
	return service.Malformed(path, e.Text)
}

// resolver finds the types of payloads: those of the set, and protobuf's own.
type resolver struct{ *schema.Set }

func (r resolver) FindMessageByName(name protoreflect.FullName) (protoreflect.MessageType, error) {
	t, err := r.Set.FindMessageByName(name)
	if errors.Is(err, protoregistry.NotFound) {
		return protoregistry.GlobalTypes.FindMessageByName(name)
	}
	return t, err
}

func (r resolver) FindMessageByURL(url string) (protoreflect.MessageType, error) {
	return r.FindMessageByName(protoreflect.FullName(eventwire.TypeName(url)))
}

// descriptor describes the message of a name. It is nil where there is none.
func (r resolver) descriptor(name protoreflect.FullName) protoreflect.MessageDescriptor {
	t, err := r.FindMessageByName(name)
	if err != nil {
		return nil
	}
	return t.Descriptor()
}

// show appends an encoded Any that holds a payload in JSON.
func (r resolver) show(dst, encoded []byte) ([]byte, bool) {
	data := new(anypb.Any)
	if proto.Unmarshal(encoded, data) != nil {
		return dst, false
	}
	dst, err := eventjson.AppendPayload(dst, data, r)
	return dst, err == nil
}
