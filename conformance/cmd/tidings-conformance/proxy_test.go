package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"example.com/tidings/conformance/internal/contract"
)

// fault is what is wrong with a server: it changes what a sound server answers.
type fault interface {
	// call returns the fault of one call of an RPC.
	call(rpc string) callFault
}

// callFault is a fault in one call. Its methods are for one goroutine at a time.
type callFault interface {
	// request sees a request.
	request(message proto.Message)
	// responses returns what is sent instead of a response.
	responses(message proto.Message) []proto.Message
	// end returns what is sent before the call ends, and how it ends.
	end(err error) ([]proto.Message, error)
}

// sound is a call without a fault, for the faults to begin with.
type sound struct{}

func (sound) request(proto.Message)                               {}
func (sound) responses(message proto.Message) []proto.Message     { return []proto.Message{message} }
func (sound) end(err error) (more []proto.Message, instead error) { return nil, err }

// proxyGRPC puts a fault in front of a server's native gRPC, and returns the
// address.
func proxyGRPC(t *testing.T, backend string, f fault) string {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+backend, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(encodings{})))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(grpc.ForceServerCodec(encodings{}), grpc.UnknownServiceHandler(func(_ any, front grpc.ServerStream) error {
		method, _ := grpc.MethodFromServerStream(front)
		rpc, err := contract.Find(method[1:])
		if err != nil {
			return err
		}
		return (&forwarding{front, rpc, f.call(contract.Name(rpc))}).run(conn)
	}))
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.Serve(listener)
	}()
	t.Cleanup(func() {
		s.Stop()
		<-served
		_ = conn.Close()
	})
	return listener.Addr().String()
}

// forwarding is a call that goes through the proxy.
type forwarding struct {
	front grpc.ServerStream
	rpc   protoreflect.MethodDescriptor
	fault callFault
}

func (f *forwarding) run(conn *grpc.ClientConn) error {
	ctx, cancel := context.WithCancel(f.front.Context())
	defer cancel()
	if incoming, ok := metadata.FromIncomingContext(ctx); ok {
		ctx = metadata.NewOutgoingContext(ctx, incoming)
	}
	back, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/"+contract.Name(f.rpc))
	if err != nil {
		return err
	}
	go func() { // Ends with the call: its context ends what it waits for.
		for {
			var request []byte
			if err := f.front.RecvMsg(&request); err != nil {
				if errors.Is(err, io.EOF) {
					_ = back.CloseSend()
				}
				return
			}
			// A malformed request is for the server to refuse.
			if decoded := newMessage(f.rpc.Input()); proto.Unmarshal(request, decoded) == nil {
				f.fault.request(decoded)
			}
			if back.SendMsg(&request) != nil {
				return
			}
		}
	}()
	for {
		var response []byte
		if err := back.RecvMsg(&response); err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			more, instead := f.fault.end(err)
			if err := f.send(more); err != nil {
				return err
			}
			return instead
		}
		decoded := newMessage(f.rpc.Output())
		if err := proto.Unmarshal(response, decoded); err != nil {
			return err
		}
		if err := f.send(f.fault.responses(decoded)); err != nil {
			return err
		}
	}
}

func (f *forwarding) send(responses []proto.Message) error {
	for _, response := range responses {
		encoded, err := proto.Marshal(response)
		if err != nil {
			return err
		}
		if err := f.front.SendMsg(&encoded); err != nil {
			return err
		}
	}
	return nil
}

// encodings is a codec that hands encodings through.
type encodings struct{}

func (encodings) Name() string { return "proto" }

func (encodings) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }

func (encodings) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = bytes.Clone(data)
	return nil
}

func newMessage(descriptor protoreflect.MessageDescriptor) proto.Message {
	found, err := protoregistry.GlobalTypes.FindMessageByName(descriptor.FullName())
	if err != nil {
		panic(err) // The contract is linked into this program.
	}
	return found.New().Interface()
}

// statusOf is how a call failed. Nil: it didn't.
func statusOf(err error) *status.Status {
	if err == nil {
		return nil
	}
	return status.Convert(err)
}

// proxyHTTP puts a change of requests in front of a server's HTTP, and returns
// the URL.
func proxyHTTP(t *testing.T, backend string, change func(*http.Request)) string {
	t.Helper()
	target, err := url.Parse(backend)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			change(r.Out)
		},
		FlushInterval: -1, // Streams are passed on as they come.
		Transport:     new(http.Transport),
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) {}, // A call that the client gave up.
	}
	front := httptest.NewServer(proxy)
	t.Cleanup(front.Close)
	return front.URL
}
