package rpc_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// Most behaviours are tested over a sample of the transports. That must not
// leave out what a transport carries, so what the clients of all tests received
// is recorded: in the end, every transport must have carried every answer of
// every RPC, a refusal of every RPC, and every kind of error detail.

// received is what has come over the wire.
type received struct {
	mu   sync.Mutex
	over map[string]map[transport]bool
}

var wire = &received{over: make(map[string]map[transport]bool)}

func (r *received) note(t transport, what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over[what] == nil {
		r.over[what] = make(map[transport]bool)
	}
	r.over[what][t] = true
}

// answer notes a message of the server. method is `/service/method`.
func (r *received) answer(t transport, method string, message any) {
	if m, ok := message.(proto.Message); ok {
		r.note(t, method+" "+answerKind(m.ProtoReflect()))
	}
}

// answerKind is the field that is set in the oneof that tells the answers of a
// stream apart.
func answerKind(m protoreflect.Message) string {
	if oneofs := m.Descriptor().Oneofs(); oneofs.Len() > 0 && !oneofs.Get(0).IsSynthetic() {
		if field := m.WhichOneof(oneofs.Get(0)); field != nil {
			return string(field.Name())
		}
	}
	return "answer"
}

// refusal notes the error that a call ended with, if it did.
func (r *received) refusal(t transport, method string, err error) {
	if err == nil || errors.Is(err, io.EOF) {
		return
	}
	var kinds []string
	if e := new(connect.Error); errors.As(err, &e) {
		for _, detail := range e.Details() {
			kinds = append(kinds, detail.Type())
		}
	} else {
		for _, detail := range status.Convert(err).Proto().GetDetails() {
			kinds = append(kinds, string(detail.MessageName()))
		}
	}
	if len(kinds) == 0 {
		return // Maybe the client's own: the server says its reason.
	}
	r.note(t, method+" refusal")
	for _, kind := range kinds {
		r.note(t, errorDetail+kind)
	}
}

const errorDetail = "error detail "

// wanted is what every transport has to carry, with those that can.
func (r *received) wanted() map[string][]transport {
	wanted := make(map[string][]transport)
	for _, pkg := range []protoreflect.FullName{"tidings.v1", "tidings.v1beta1"} {
		protoregistry.GlobalFiles.RangeFilesByPackage(pkg, func(file protoreflect.FileDescriptor) bool {
			for i := range file.Services().Len() {
				methods := file.Services().Get(i).Methods()
				for j := range methods.Len() {
					addWanted(wanted, methods.Get(j))
				}
			}
			return true
		})
	}
	for what := range r.over {
		if strings.HasPrefix(what, errorDetail) {
			wanted[what] = transports()
		}
	}
	return wanted
}

func addWanted(wanted map[string][]transport, method protoreflect.MethodDescriptor) {
	able := transports()
	if method.IsStreamingClient() && method.IsStreamingServer() {
		able = slices.DeleteFunc(able, func(t transport) bool { return !fullDuplex.met(t) })
	}
	name := fmt.Sprintf("/%s/%s ", method.Parent().FullName(), method.Name())
	for _, kind := range append(answerKinds(method.Output()), "refusal") {
		if !slices.Contains(uncarried, name+kind) {
			wanted[name+kind] = able
		}
	}
}

func answerKinds(message protoreflect.MessageDescriptor) []string {
	oneofs := message.Oneofs()
	if oneofs.Len() == 0 || oneofs.Get(0).IsSynthetic() {
		return []string{"answer"}
	}
	var kinds []string
	for i := range oneofs.Get(0).Fields().Len() {
		kinds = append(kinds, string(oneofs.Get(0).Fields().Get(i).Name()))
	}
	return kinds
}

// uncarried is what there is none of: nothing in a request for the server's own
// facts can be wrong.
var uncarried = []string{"/tidings.v1.ServerService/GetServerInfo refusal"}

// complete takes the status of a run of the tests and fails it where a transport
// has not carried what it has to. A run of some tests only, as with -short, isn't
// looked at.
func (r *received) complete(code int) int {
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.fuzz", "test.bench"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			return code
		}
	}
	if code != 0 || testing.Short() {
		return code
	}
	var missing []string
	for what, able := range r.wanted() {
		for _, t := range able {
			if !r.over[what][t] {
				missing = append(missing, fmt.Sprintf("%s: never over %s", what, t))
			}
		}
	}
	slices.Sort(missing)
	for _, line := range missing {
		fmt.Fprintln(os.Stderr, line)
	}
	if len(missing) > 0 {
		fmt.Fprintln(os.Stderr, "FAIL: a test of these must use each and not some")
		return 1
	}
	return 0
}

// unary and stream record what grpc-go receives.
func (r *received) unary(t transport) grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
		err := invoke(ctx, method, request, reply, conn, options...)
		if err == nil {
			r.answer(t, method, reply)
		}
		r.refusal(t, method, err)
		return err
	}
}

func (r *received) stream(t transport) grpc.StreamClientInterceptor {
	return func(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
		stream, err := open(ctx, desc, conn, method, options...)
		if err != nil {
			return nil, err
		}
		return &grpcWireStream{stream, t, method}, nil
	}
}

type grpcWireStream struct {
	grpc.ClientStream
	transport transport
	method    string
}

func (s *grpcWireStream) RecvMsg(message any) error {
	err := s.ClientStream.RecvMsg(message)
	if err == nil {
		wire.answer(s.transport, s.method, message)
	}
	wire.refusal(s.transport, s.method, err)
	return err
}

// connectWire records what connect-go receives.
type connectWire struct{ transport transport }

func (w connectWire) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
		response, err := next(ctx, request)
		if err == nil {
			wire.answer(w.transport, request.Spec().Procedure, response.Any())
		}
		wire.refusal(w.transport, request.Spec().Procedure, err)
		return response, err
	}
}

func (w connectWire) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return func(ctx context.Context, spec connect.Spec) connect.StreamingClientConn {
		return &connectWireStream{next(ctx, spec), w.transport}
	}
}

func (w connectWire) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}

type connectWireStream struct {
	connect.StreamingClientConn
	transport transport
}

func (s *connectWireStream) Receive(message any) error {
	err := s.StreamingClientConn.Receive(message)
	if err == nil {
		wire.answer(s.transport, s.Spec().Procedure, message)
	}
	wire.refusal(s.transport, s.Spec().Procedure, err)
	return err
}
