package wire

import (
	"context"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// maxMessageBytes is how large a response may be. Servers have their limits in
// GetServerInfo; this one only keeps a broken server from filling the memory.
const maxMessageBytes = 64 << 20

// DialNative returns a server of gRPC without TLS, called with grpc-go.
func DialNative(address string) (Conn, error) {
	conn, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(codec{"proto"}), grpc.MaxCallRecvMsgSize(maxMessageBytes)))
	if err != nil {
		return nil, err
	}
	return nativeConn{conn}, nil
}

type nativeConn struct{ conn *grpc.ClientConn }

func (c nativeConn) Close() { _ = c.conn.Close() }

func (c nativeConn) Open(ctx context.Context, spec Spec) Call {
	cancel := context.CancelFunc(func() {})
	if spec.Timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, spec.Timeout)
	}
	stream, err := c.conn.NewStream(ctx, &grpc.StreamDesc{
		ClientStreams: spec.RPC.IsStreamingClient(),
		ServerStreams: spec.RPC.IsStreamingServer(),
	}, procedure(spec.RPC))
	return &nativeCall{stream: stream, err: failure(err), cancel: cancel}
}

type nativeCall struct {
	stream grpc.ClientStream
	err    error // Of the beginning: there is no stream.
	cancel context.CancelFunc
	ended  bool
}

func (c *nativeCall) Send(data []byte) error {
	if c.err != nil {
		return io.EOF
	}
	return c.stream.SendMsg(&message{data})
}

func (c *nativeCall) CloseSend() error {
	if c.err != nil {
		return io.EOF
	}
	return c.stream.CloseSend()
}

func (c *nativeCall) Receive() ([]byte, error) {
	if c.err != nil || c.ended {
		return nil, c.err
	}
	received := new(message)
	if err := c.stream.RecvMsg(received); err != nil {
		c.ended, c.err = true, failure(err)
		c.cancel()
		return nil, c.err
	}
	return received.data, nil
}
