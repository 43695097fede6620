// Package clitest has a server for the tests of the commands.
package clitest

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
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/gen/go/tidings/v1/tidingsv1connect"
	"example.com/tidings/gen/go/tidings/v1beta1/tidingsv1beta1connect"
	"example.com/tidings/server/internal/cli/command"
)

// Server is a server that fails in ways that a real one does at moments
// which a test can't choose. It knows one event type, test.Plain, which has no
// fields and declares no topic.
type Server struct {
	tidingsv1connect.UnimplementedPublisherServiceHandler
	tidingsv1connect.UnimplementedReaderServiceHandler
	tidingsv1connect.UnimplementedSchemaServiceHandler
	tidingsv1connect.UnimplementedServerServiceHandler
	tidingsv1connect.UnimplementedSubscriptionServiceHandler
	tidingsv1connect.UnimplementedConsumerServiceHandler
	tidingsv1connect.UnimplementedDeadLetterServiceHandler

	OnPublishStream func(*connect.BidiStream[tidingsv1.PublishStreamRequest, tidingsv1.PublishStreamResponse]) error
	OnRead          func(*tidingsv1.ReadRequest, *connect.ServerStream[tidingsv1.ReadResponse]) error
	OnConsume       func(*connect.BidiStream[tidingsv1.ConsumeRequest, tidingsv1.ConsumeResponse]) error
	OnSettle        func(*tidingsv1.SettleRequest) (*tidingsv1.SettleResponse, error)

	// What GetEventType fails with before it succeeds, and what it calls then.
	TypeErrors []error
	TypeAsked  func()

	// What the services of subscriptions and dead letters were asked, and what
	// they answer, the last answer again and again.
	Asked   []proto.Message
	Answers []proto.Message

	// Registry takes schemas. nil: the server doesn't know its service.
	Registry tidingsv1beta1connect.SchemaServiceHandler
}

func (*Server) GetServerInfo(context.Context, *tidingsv1.GetServerInfoRequest) (*tidingsv1.GetServerInfoResponse, error) {
	return &tidingsv1.GetServerInfoResponse{Limits: &tidingsv1.Limits{MaxRequestBytes: 1 << 20}}, nil
}

func (f *Server) GetEventType(_ context.Context, request *tidingsv1.GetEventTypeRequest) (*tidingsv1.GetEventTypeResponse, error) {
	if len(f.TypeErrors) > 0 {
		err := f.TypeErrors[0]
		f.TypeErrors = f.TypeErrors[1:]
		if f.TypeAsked != nil {
			f.TypeAsked()
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

func (f *Server) PublishStream(_ context.Context, stream *connect.BidiStream[tidingsv1.PublishStreamRequest, tidingsv1.PublishStreamResponse]) error {
	return f.OnPublishStream(stream)
}

func (f *Server) Read(_ context.Context, request *tidingsv1.ReadRequest, stream *connect.ServerStream[tidingsv1.ReadResponse]) error {
	return f.OnRead(request, stream)
}

// Run runs a command against the fake server.
func (f *Server) Run(t *testing.T, commands []command.Constructor, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	status = f.RunWith(t.Context(), commands, command.Program{Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errOut}, args...)
	return status, out.String(), errOut.String()
}

// RunWith runs a command that is interrupted when ctx ends.
func (f *Server) RunWith(ctx context.Context, commands []command.Constructor, surroundings command.Program, args ...string) (status int) {
	mux := http.NewServeMux()
	mux.Handle(tidingsv1connect.NewPublisherServiceHandler(f))
	mux.Handle(tidingsv1connect.NewReaderServiceHandler(f))
	mux.Handle(tidingsv1connect.NewSchemaServiceHandler(f))
	mux.Handle(tidingsv1connect.NewServerServiceHandler(f))
	mux.Handle(tidingsv1connect.NewSubscriptionServiceHandler(f))
	mux.Handle(tidingsv1connect.NewConsumerServiceHandler(f))
	mux.Handle(tidingsv1connect.NewDeadLetterServiceHandler(f))
	if f.Registry != nil {
		mux.Handle(tidingsv1beta1connect.NewSchemaServiceHandler(f.Registry))
	}
	server := httptest.NewUnstartedServer(mux)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	defer server.Close()
	return command.Main(ctx, append([]string{"--server", server.URL}, args...), surroundings, commands)
}

// Unavailable is an error as a server sends it that shuts down.
func Unavailable(t *testing.T) error {
	t.Helper()
	err := connect.NewError(connect.CodeUnavailable, errors.New("the server is shutting down"))
	detail, detailErr := connect.NewErrorDetail(&errdetails.ErrorInfo{Reason: "SERVER_DRAINING", Domain: "tidings"})
	if detailErr != nil {
		t.Fatal(detailErr)
	}
	err.AddDetail(detail)
	return err
}

func (f *Server) Consume(_ context.Context, stream *connect.BidiStream[tidingsv1.ConsumeRequest, tidingsv1.ConsumeResponse]) error {
	return f.OnConsume(stream)
}

func (f *Server) Settle(_ context.Context, request *tidingsv1.SettleRequest) (*tidingsv1.SettleResponse, error) {
	return f.OnSettle(request)
}

// reply notes a request and returns the next answer.
func reply[R proto.Message](f *Server, request proto.Message) (R, error) {
	f.Asked = append(f.Asked, request)
	response, ok := f.Answers[0].(R)
	if !ok {
		return response, connect.NewError(connect.CodeUnimplemented, fmt.Errorf("no answer to %T", request))
	}
	if len(f.Answers) > 1 {
		f.Answers = f.Answers[1:]
	}
	return response, nil
}

func (f *Server) CreateSubscription(_ context.Context, r *tidingsv1.CreateSubscriptionRequest) (*tidingsv1.CreateSubscriptionResponse, error) {
	return reply[*tidingsv1.CreateSubscriptionResponse](f, r)
}

func (f *Server) GetSubscription(_ context.Context, r *tidingsv1.GetSubscriptionRequest) (*tidingsv1.GetSubscriptionResponse, error) {
	return reply[*tidingsv1.GetSubscriptionResponse](f, r)
}

func (f *Server) ListSubscriptions(_ context.Context, r *tidingsv1.ListSubscriptionsRequest) (*tidingsv1.ListSubscriptionsResponse, error) {
	return reply[*tidingsv1.ListSubscriptionsResponse](f, r)
}

func (f *Server) UpdateSubscription(_ context.Context, r *tidingsv1.UpdateSubscriptionRequest) (*tidingsv1.UpdateSubscriptionResponse, error) {
	return reply[*tidingsv1.UpdateSubscriptionResponse](f, r)
}

func (f *Server) DeleteSubscription(_ context.Context, r *tidingsv1.DeleteSubscriptionRequest) (*tidingsv1.DeleteSubscriptionResponse, error) {
	return reply[*tidingsv1.DeleteSubscriptionResponse](f, r)
}

func (f *Server) SeekSubscription(_ context.Context, r *tidingsv1.SeekSubscriptionRequest) (*tidingsv1.SeekSubscriptionResponse, error) {
	return reply[*tidingsv1.SeekSubscriptionResponse](f, r)
}

func (f *Server) ListDeadLetters(_ context.Context, r *tidingsv1.ListDeadLettersRequest) (*tidingsv1.ListDeadLettersResponse, error) {
	return reply[*tidingsv1.ListDeadLettersResponse](f, r)
}

func (f *Server) RedriveDeadLetters(_ context.Context, r *tidingsv1.RedriveDeadLettersRequest) (*tidingsv1.RedriveDeadLettersResponse, error) {
	return reply[*tidingsv1.RedriveDeadLettersResponse](f, r)
}

func (f *Server) PurgeDeadLetters(_ context.Context, r *tidingsv1.PurgeDeadLettersRequest) (*tidingsv1.PurgeDeadLettersResponse, error) {
	return reply[*tidingsv1.PurgeDeadLettersResponse](f, r)
}

// Delivery is the first delivery of the event with this sequence.
func Delivery(sequence int64) *tidingsv1.Delivery {
	return &tidingsv1.Delivery{
		Recorded: &tidingsv1.RecordedEvent{
			Event:    &tidingsv1.Event{Id: fmt.Sprint("e-", sequence), Source: "/s", PartitionKey: new("k"), Data: &anypb.Any{TypeUrl: "t/test.Plain"}},
			Topic:    "plain",
			Sequence: sequence,
		},
		DeliveryToken: fmt.Sprint("token-", sequence),
		Attempt:       1,
		Deadline:      timestamppb.Now(),
	}
}

// Asks runs a command that makes one call, and compares what it asked for, which
// is a message of the same kind as want.
func Asks(t *testing.T, commands []command.Constructor, answer proto.Message, want string, args ...string) {
	t.Helper()
	server := &Server{Answers: []proto.Message{answer}}
	if status, _, stderr := server.Run(t, commands, "", args...); status != command.StatusOK {
		t.Errorf("%v: status %d, said %s", args, status, stderr)
		return
	}
	expected := server.Asked[0].ProtoReflect().New().Interface()
	if err := protojson.Unmarshal([]byte(want), expected); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(server.Asked[0], expected) {
		t.Errorf("%v asked for\n     %s\nwant %s", args, protojson.Format(server.Asked[0]), protojson.Format(expected))
	}
}
