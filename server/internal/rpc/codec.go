package rpc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"example.com/tidings/server/internal/schema"
	"example.com/tidings/server/internal/service"
)

// rawRequest receives a request as it is encoded in protobuf. What couldn't be
// decoded is in err, and the stream goes on.
type rawRequest struct {
	data []byte
	err  error
	// decoded is the message whose JSON it is.
	decoded proto.Message
}

// codec has what the codecs of both transports share.
type codec struct {
	gate            *gate
	maxRequestBytes int
	types           func() *schema.Set
}

// errNotMessage is returned for what no handler ever sends or receives.
var errNotMessage = errors.New("not a message of the contract")

// decode reads protobuf into what a handler receives. It fails only by
// rejecting.
func (c *codec) decode(data []byte, message any) error {
	if len(data) > c.maxRequestBytes {
		return c.reject(message, service.TooLarge(len(data), c.maxRequestBytes))
	}
	switch message := message.(type) {
	case *rawRequest:
		message.data, message.err = append(message.data[:0], data...), nil
		return nil
	case proto.Message:
		if err := proto.Unmarshal(data, message); err != nil {
			return c.reject(message, service.Malformed("", plain(err)))
		}
		return nil
	default:
		return errNotMessage
	}
}

func (c *codec) reject(message any, reason error) error {
	if raw, ok := message.(*rawRequest); ok {
		raw.err = reason
		return nil
	}
	if m, ok := message.(proto.Message); ok {
		proto.Reset(m)
	}
	c.gate.rejected.put(message, reason)
	return nil
}

// plain removes what protobuf puts into its messages to keep them unstable.
func plain(err error) string { return strings.ReplaceAll(err.Error(), "\u00a0", " ") }

// grpcCodec is the codec of grpc-go.
type grpcCodec struct{ codec }

func (c *grpcCodec) Name() string { return "proto" }

func (c *grpcCodec) Marshal(v any) (mem.BufferSlice, error) {
	switch v := v.(type) {
	case *service.Frame:
		encoded := v.Bytes()
		return mem.BufferSlice{mem.NewBuffer(&encoded, framePool{v})}, nil
	case proto.Message:
		return encoding.GetCodecV2("proto").Marshal(v)
	default:
		return nil, errNotMessage
	}
}

func (c *grpcCodec) Unmarshal(data mem.BufferSlice, v any) error {
	if raw, ok := v.(*rawRequest); ok && data.Len() <= c.maxRequestBytes {
		// Copied once, into memory that the stream uses again.
		if cap(raw.data) < data.Len() {
			raw.data = make([]byte, data.Len()+data.Len()/4)
		}
		raw.data, raw.err = raw.data[:data.Len()], nil
		data.CopyTo(raw.data)
		return nil
	}
	buffer := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer buffer.Free()
	return c.decode(buffer.ReadOnlyData(), v)
}

// framePool gives a frame back when grpc-go has written its bytes.
type framePool struct{ frame *service.Frame }

func (framePool) Get(size int) *[]byte { b := make([]byte, size); return &b }
func (p framePool) Put(*[]byte)        { p.frame.Free() }

// binaryCodec is connect-go's codec for protobuf.
type binaryCodec struct{ codec }

func (c *binaryCodec) Name() string { return "proto" }

func (c *binaryCodec) Marshal(v any) ([]byte, error) { return c.MarshalAppend(nil, v) }

func (c *binaryCodec) MarshalAppend(dst []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case *service.Frame:
		return append(dst, v.Bytes()...), nil
	case proto.Message:
		return proto.MarshalOptions{}.MarshalAppend(dst, v)
	default:
		return nil, errNotMessage
	}
}

func (c *binaryCodec) Unmarshal(data []byte, v any) error { return c.decode(data, v) }

// jsonCodec is connect-go's codec for JSON. Payloads in Any are readable: their
// types are those that the server has been given. A field that doesn't exist is
// an error.
type jsonCodec struct {
	codec
	name string
}

func (c *jsonCodec) Name() string { return c.name }

func (c *jsonCodec) Marshal(v any) ([]byte, error) { return c.MarshalAppend(nil, v) }

func (c *jsonCodec) MarshalAppend(dst []byte, v any) ([]byte, error) {
	message, ok := v.(proto.Message)
	if frame, isFrame := v.(*service.Frame); isFrame {
		response := frame.NewMessage()
		if err := proto.Unmarshal(frame.Bytes(), response); err != nil {
			return nil, err
		}
		message, ok = response, true
	}
	if !ok {
		return nil, errNotMessage
	}
	types := resolver{c.types()}
	encoded, err := protojson.MarshalOptions{Resolver: types}.Marshal(message)
	if err != nil {
		message, opaque := types.withOpaque(message)
		encoded, err = protojson.MarshalOptions{Resolver: opaque}.Marshal(message)
	}
	if err != nil {
		return nil, fmt.Errorf("encoding %s in JSON: %s", message.ProtoReflect().Descriptor().FullName(), plain(err))
	}
	// protojson varies its white space; people compare.
	out := bytes.NewBuffer(dst)
	err = json.Compact(out, encoded)
	return out.Bytes(), err
}

func (c *jsonCodec) Unmarshal(data []byte, v any) error {
	if len(data) > c.maxRequestBytes {
		return c.reject(v, service.TooLarge(len(data), c.maxRequestBytes))
	}
	message, ok := v.(proto.Message)
	raw, isRaw := v.(*rawRequest)
	if isRaw {
		message, ok = raw.decoded, true
	}
	if !ok {
		return errNotMessage
	}
	if len(data) == 0 {
		return c.reject(v, service.Malformed("", "the body is empty; the smallest request in JSON is {}"))
	}
	if err := (protojson.UnmarshalOptions{Resolver: resolver{c.types()}}).Unmarshal(data, message); err != nil {
		return c.reject(v, jsonError(data, err))
	}
	if !isRaw {
		return nil
	}
	raw.err = nil
	var err error
	raw.data, err = proto.MarshalOptions{Deterministic: true}.MarshalAppend(raw.data[:0], message)
	return err
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
	return r.FindMessageByName(protoreflect.FullName(url[strings.LastIndexByte(url, '/')+1:]))
}
