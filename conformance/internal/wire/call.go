package wire

import (
	"bytes"
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Conn is a server, over one transport.
type Conn interface {
	// Open begins a call. The end of the context ends it.
	Open(ctx context.Context, spec Spec) Call
	Close()
}

// Spec says which call to begin.
type Spec struct {
	RPC protoreflect.MethodDescriptor
	// Get: with HTTP GET, where the protocol can.
	Get bool
	// Timeout is the deadline that the server is told. 0: none. The client doesn't
	// end the call at it, but for the native one, which can't do otherwise.
	Timeout time.Duration
}

// Call is a call under way. Send and CloseSend are for one goroutine, and so is
// Receive.
type Call interface {
	// Send sends a message. An error says only that the call has ended: why is
	// what Receive returns.
	Send(data []byte) error
	CloseSend() error
	// Receive returns the next message, io.EOF after the last one, or a *CallError.
	Receive() ([]byte, error)
}

// procedure is the path of an RPC.
func procedure(rpc protoreflect.MethodDescriptor) string {
	return "/" + string(rpc.Parent().FullName()) + "/" + string(rpc.Name())
}

// message is what both libraries are given for a message: its encoding.
type message struct{ data []byte }

// codec hands encodings through.
type codec struct{ name string }

// errNotMessage is returned for what is neither handed through nor protobuf.
var errNotMessage = errors.New("not a message")

func (c codec) Name() string { return c.name }

func (c codec) Marshal(v any) ([]byte, error) {
	switch v := v.(type) {
	case *message:
		return v.data, nil
	case proto.Message: // What the protocols have themselves, such as a status.
		return proto.Marshal(v)
	default:
		return nil, errNotMessage
	}
}

// MarshalStable makes GET possible: what is handed in is encoded in a stable way.
func (c codec) MarshalStable(v any) ([]byte, error) { return c.Marshal(v) }

func (c codec) IsBinary() bool { return c.name == "proto" }

func (c codec) Unmarshal(data []byte, v any) error {
	switch v := v.(type) {
	case *message:
		v.data = bytes.Clone(data)
		return nil
	case proto.Message:
		return proto.Unmarshal(data, v)
	default:
		return errNotMessage
	}
}
