package rpc

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"example.com/tidings/server/internal/guard"
	"example.com/tidings/server/internal/schema"
	"example.com/tidings/server/internal/service"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// codec has what the codecs of both transports share.
type codec struct {
	gate            *gate
	maxRequestBytes int
	types           func() *schema.Set
}

// errNotMessage is returned for what no handler ever sends or receives.
var errNotMessage = errors.New("not a message of the contract")

// encoded is a message that a gate has encoded, so that it can say why where
// that fails.
type encoded struct {
	data    []byte
	buffers mem.BufferSlice // In the place of data, for grpc-go.
}

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
		if request, ok := message.(*tidingsv1.ConsumeRequest); ok && decodeAcks(data, request) {
			return nil
		}
		var malformed error
		err := guard.Do(func() error {
			malformed = proto.Unmarshal(data, message)
			return nil
		})
		if malformed != nil {
			err = service.Undecodable(malformed)
		}
		if err != nil {
			return c.reject(message, err)
		}
		return nil
	default:
		return errNotMessage
	}
}

// reject empties a message and leaves in it the reason why it couldn't be
// decoded, since the transports take no reason of the catalogue from a codec.
func (c *codec) reject(message any, reason error) error {
	if raw, ok := message.(*rawRequest); ok {
		raw.err = reason
		return nil
	}
	m, ok := message.(proto.Message)
	if !ok {
		return errNotMessage
	}
	encoded, err := proto.Marshal(c.gate.asError(context.Background(), reason).Proto())
	if err != nil {
		return err
	}
	proto.Reset(m)
	m.ProtoReflect().SetUnknown(append(protoreflect.RawFields{rejectedTag}, encoded...))
	return nil
}

// rejectedTag begins the unknown fields of a rejected message. No message that
// was decoded has it: there is no field 0.
const rejectedTag = 0

// rejected returns the reason why a message couldn't be decoded, or nil.
func rejected(message proto.Message) error {
	unknown := message.ProtoReflect().GetUnknown()
	if len(unknown) == 0 || unknown[0] != rejectedTag {
		return nil
	}
	reason := new(tidingsv1.ErrorDetail)
	if err := proto.Unmarshal(unknown[1:], reason); err != nil {
		return err
	}
	return service.ErrorOf(reason)
}

// fault makes an error of a codec one that the transports may show to clients. It
// is logged.
func (c *codec) fault(err error) error {
	if err == nil || errors.Is(err, errNotMessage) {
		return err
	}
	return c.gate.asError(context.Background(), fmt.Errorf("encoding a response: %w", err))
}

// grpcCodec is the codec of grpc-go.
type grpcCodec struct{ codec }

func (c *grpcCodec) Name() string { return "proto" }

func (c *grpcCodec) Marshal(v any) (data mem.BufferSlice, err error) {
	defer func() { err = c.fault(err) }()
	defer guard.Recover(&err)
	switch v := v.(type) {
	case *encoded:
		return v.buffers, nil
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

// encode encodes the response of a call that has one.
func (c *grpcCodec) encode(response any) (*encoded, error) {
	buffers, err := c.Marshal(response)
	return &encoded{buffers: buffers}, err
}

// framePool gives a frame back when grpc-go has written its bytes.
type framePool struct{ frame *service.Frame }

func (framePool) Get(size int) *[]byte { b := make([]byte, size); return &b }
func (p framePool) Put(*[]byte)        { p.frame.Free() }

// binaryCodec is connect-go's codec for protobuf.
type binaryCodec struct{ codec }

func (c *binaryCodec) Name() string { return "proto" }

func (c *binaryCodec) Marshal(v any) ([]byte, error) { return c.MarshalAppend(nil, v) }

func (c *binaryCodec) MarshalAppend(dst []byte, v any) (data []byte, err error) {
	defer func() { err = c.fault(err) }()
	defer guard.Recover(&err)
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
