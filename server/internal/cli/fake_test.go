package cli

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/types/descriptorpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/gen/go/tidings/v1/tidingsv1connect"
)

// fakeServer is a server that fails in ways that a real one does at moments
// which a test can't choose. It knows one event type, test.Plain, which has no
// fields and declares no topic.
type fakeServer struct {
	tidingsv1connect.UnimplementedPublisherServiceHandler
	tidingsv1connect.UnimplementedReaderServiceHandler
	tidingsv1connect.UnimplementedSchemaServiceHandler
	tidingsv1connect.UnimplementedServerServiceHandler

	publishStream func(*connect.BidiStream[tidingsv1.PublishStreamRequest, tidingsv1.PublishStreamResponse]) error
	read          func(*tidingsv1.ReadRequest, *connect.ServerStream[tidingsv1.ReadResponse]) error
}

func (*fakeServer) GetServerInfo(context.Context, *tidingsv1.GetServerInfoRequest) (*tidingsv1.GetServerInfoResponse, error) {
	return &tidingsv1.GetServerInfoResponse{Limits: &tidingsv1.Limits{MaxRequestBytes: 1 << 20}}, nil
}

func (*fakeServer) GetEventType(_ context.Context, request *tidingsv1.GetEventTypeRequest) (*tidingsv1.GetEventTypeResponse, error) {
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
	mux := http.NewServeMux()
	mux.Handle(tidingsv1connect.NewPublisherServiceHandler(f))
	mux.Handle(tidingsv1connect.NewReaderServiceHandler(f))
	mux.Handle(tidingsv1connect.NewSchemaServiceHandler(f))
	mux.Handle(tidingsv1connect.NewServerServiceHandler(f))
	server := httptest.NewUnstartedServer(mux)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	defer server.Close()
	var out, errOut bytes.Buffer
	status = Main(t.Context(), append([]string{"--server", server.URL}, args...), Program{
		Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errOut,
	})
	return status, out.String(), errOut.String()
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
