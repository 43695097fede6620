package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/gen/go/tidings/v1/tidingsv1connect"
	"example.com/tidings/gen/go/tidings/v1beta1/tidingsv1beta1connect"
)

// fakeServer is a server that fails in ways that a real one does at moments
// which a test can't choose. It knows one event type, test.Plain, which has no
// fields and declares no topic.
type fakeServer struct {
	tidingsv1connect.UnimplementedPublisherServiceHandler
	tidingsv1connect.UnimplementedReaderServiceHandler
	tidingsv1connect.UnimplementedSchemaServiceHandler
	tidingsv1connect.UnimplementedServerServiceHandler
	tidingsv1connect.UnimplementedSubscriptionServiceHandler
	tidingsv1connect.UnimplementedConsumerServiceHandler
	tidingsv1connect.UnimplementedDeadLetterServiceHandler

	publishStream func(*connect.BidiStream[tidingsv1.PublishStreamRequest, tidingsv1.PublishStreamResponse]) error
	read          func(*tidingsv1.ReadRequest, *connect.ServerStream[tidingsv1.ReadResponse]) error
	consume       func(*consumeStream) error
	settle        func(*tidingsv1.SettleRequest) (*tidingsv1.SettleResponse, error)

	// What GetEventType fails with before it succeeds, and what it calls then.
	typeErrors []error
	typeAsked  func()

	// What the services of subscriptions and dead letters were asked, and what
	// they answer, the last answer again and again.
	asked   []proto.Message
	answers []proto.Message

	// registry takes schemas. nil: the server doesn't know its service.
	registry tidingsv1beta1connect.SchemaServiceHandler
}

func (*fakeServer) GetServerInfo(context.Context, *tidingsv1.GetServerInfoRequest) (*tidingsv1.GetServerInfoResponse, error) {
	return &tidingsv1.GetServerInfoResponse{Limits: &tidingsv1.Limits{MaxRequestBytes: 1 << 20}}, nil
}

func (f *fakeServer) GetEventType(_ context.Context, request *tidingsv1.GetEventTypeRequest) (*tidingsv1.GetEventTypeResponse, error) {
	if len(f.typeErrors) > 0 {
		err := f.typeErrors[0]
		f.typeErrors = f.typeErrors[1:]
		if f.typeAsked != nil {
			f.typeAsked()
		}
		return nil, err
	}
	if request.GetName() != "test.Plain" {
		return nil, connect.NewWireError(connect.CodeNotFound, errors.New("no such type"))
	}
	return &tidingsv1.GetEventTypeResponse{
		EventType: &tidingsv1.EventType{Name: "test.Plain"},
		FileDescriptorSet: &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{{
			Name:        new("test/plain.proto"),
			Package:     new("test"),
			Syntax:      new("proto3"),
			MessageType: []*descriptorpb.DescriptorProto{{Name: new("Plain")}},
		}}},
	}, nil
}

func (f *fakeServer) PublishStream(_ context.Context, stream *connect.BidiStream[tidingsv1.PublishStreamRequest, tidingsv1.PublishStreamResponse]) error {
	return f.publishStream(stream)
}

func (f *fakeServer) Read(_ context.Context, request *tidingsv1.ReadRequest, stream *connect.ServerStream[tidingsv1.ReadResponse]) error {
	return f.read(request, stream)
}

// run runs a command against the fake server.
func (f *fakeServer) run(t *testing.T, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	status = f.runWith(t.Context(), Program{Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errOut}, args...)
	return status, out.String(), errOut.String()
}

// runWith runs a command that is interrupted when ctx ends.
func (f *fakeServer) runWith(ctx context.Context, program Program, args ...string) (status int) {
	mux := http.NewServeMux()
	mux.Handle(tidingsv1connect.NewPublisherServiceHandler(f))
	mux.Handle(tidingsv1connect.NewReaderServiceHandler(f))
	mux.Handle(tidingsv1connect.NewSchemaServiceHandler(f))
	mux.Handle(tidingsv1connect.NewServerServiceHandler(f))
	mux.Handle(tidingsv1connect.NewSubscriptionServiceHandler(f))
	mux.Handle(tidingsv1connect.NewConsumerServiceHandler(f))
	mux.Handle(tidingsv1connect.NewDeadLetterServiceHandler(f))
	if f.registry != nil {
		mux.Handle(tidingsv1beta1connect.NewSchemaServiceHandler(f.registry))
	}
	server := httptest.NewUnstartedServer(mux)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	defer server.Close()
	return Main(ctx, append([]string{"--server", server.URL}, args...), program)
}

// unavailable is an error as a server sends it that shuts down.
func unavailable(t *testing.T) error {
	t.Helper()
	err := connect.NewError(connect.CodeUnavailable, errors.New("the server is shutting down"))
	detail, detailErr := connect.NewErrorDetail(&errdetails.ErrorInfo{Reason: "SERVER_DRAINING", Domain: "tidings"})
	if detailErr != nil {
		t.Fatal(detailErr)
	}
	err.AddDetail(detail)
	return err
}

func (f *fakeServer) Consume(_ context.Context, stream *consumeStream) error {
	return f.consume(stream)
}

func (f *fakeServer) Settle(_ context.Context, request *tidingsv1.SettleRequest) (*tidingsv1.SettleResponse, error) {
	return f.settle(request)
}

// reply notes a request and returns the next answer.
func reply[R proto.Message](f *fakeServer, request proto.Message) (R, error) {
	f.asked = append(f.asked, request)
	response, ok := f.answers[0].(R)
	if !ok {
		return response, connect.NewError(connect.CodeUnimplemented, fmt.Errorf("no answer to %T", request))
	}
	if len(f.answers) > 1 {
		f.answers = f.answers[1:]
	}
	return response, nil
}

func (f *fakeServer) CreateSubscription(_ context.Context, r *tidingsv1.CreateSubscriptionRequest) (*tidingsv1.CreateSubscriptionResponse, error) {
	return reply[*tidingsv1.CreateSubscriptionResponse](f, r)
}

func (f *fakeServer) GetSubscription(_ context.Context, r *tidingsv1.GetSubscriptionRequest) (*tidingsv1.GetSubscriptionResponse, error) {
	return reply[*tidingsv1.GetSubscriptionResponse](f, r)
}

func (f *fakeServer) ListSubscriptions(_ context.Context, r *tidingsv1.ListSubscriptionsRequest) (*tidingsv1.ListSubscriptionsResponse, error) {
	return reply[*tidingsv1.ListSubscriptionsResponse](f, r)
}

func (f *fakeServer) UpdateSubscription(_ context.Context, r *tidingsv1.UpdateSubscriptionRequest) (*tidingsv1.UpdateSubscriptionResponse, error) {
	return reply[*tidingsv1.UpdateSubscriptionResponse](f, r)
}

func (f *fakeServer) DeleteSubscription(_ context.Context, r *tidingsv1.DeleteSubscriptionRequest) (*tidingsv1.DeleteSubscriptionResponse, error) {
	return reply[*tidingsv1.DeleteSubscriptionResponse](f, r)
}

func (f *fakeServer) SeekSubscription(_ context.Context, r *tidingsv1.SeekSubscriptionRequest) (*tidingsv1.SeekSubscriptionResponse, error) {
	return reply[*tidingsv1.SeekSubscriptionResponse](f, r)
}

func (f *fakeServer) ListDeadLetters(_ context.Context, r *tidingsv1.ListDeadLettersRequest) (*tidingsv1.ListDeadLettersResponse, error) {
	return reply[*tidingsv1.ListDeadLettersResponse](f, r)
}

func (f *fakeServer) RedriveDeadLetters(_ context.Context, r *tidingsv1.RedriveDeadLettersRequest) (*tidingsv1.RedriveDeadLettersResponse, error) {
	return reply[*tidingsv1.RedriveDeadLettersResponse](f, r)
}

func (f *fakeServer) PurgeDeadLetters(_ context.Context, r *tidingsv1.PurgeDeadLettersRequest) (*tidingsv1.PurgeDeadLettersResponse, error) {
	return reply[*tidingsv1.PurgeDeadLettersResponse](f, r)
}
