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

// Schemas returns its service of schemas, without a connection.
func (f *Server) Schemas() tidingsv1connect.SchemaServiceClient { return services{Server: f} }

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
	mux.Handle(tidingsv1connect.NewPublisherServiceHandler(services{Server: f}))
	mux.Handle(tidingsv1connect.NewReaderServiceHandler(services{Server: f}))
	mux.Handle(tidingsv1connect.NewSchemaServiceHandler(services{Server: f}))
	mux.Handle(tidingsv1connect.NewServerServiceHandler(services{Server: f}))
	mux.Handle(tidingsv1connect.NewSubscriptionServiceHandler(services{Server: f}))
	mux.Handle(tidingsv1connect.NewConsumerServiceHandler(services{Server: f}))
	mux.Handle(tidingsv1connect.NewDeadLetterServiceHandler(services{Server: f}))
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
