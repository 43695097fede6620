package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// endError is an error with which a test's server ends a call.
type endError struct {
	code    codes.Code
	details []proto.Message
}

func (e *endError) Error() string { return fmt.Sprintf("the call ends with %v", e.code) }

func grpcError(err error) error {
	e, ok := errors.AsType[*endError](err)
	if !ok {
		return err
	}
	details := make([]protoadapt.MessageV1, len(e.details))
	for i, detail := range e.details {
		details[i] = protoadapt.MessageV1Of(detail)
	}
	s, err := status.New(e.code, e.Error()).WithDetails(details...)
	if err != nil {
		return err
	}
	return s.Err()
}

func connectError(err error) error {
	e, ok := errors.AsType[*endError](err)
	if !ok {
		return err
	}
	result := connect.NewError(connect.Code(e.code), e)
	for _, message := range e.details {
		detail, err := connect.NewErrorDetail(message)
		if err != nil {
			return err
		}
		result.AddDetail(detail)
	}
	return result
}

// ending makes an error of the catalogue that ends a call.
func ending(code codes.Code, reason string, more ...proto.Message) error {
	return &endError{code, append([]proto.Message{&errdetails.ErrorInfo{Domain: domain, Reason: reason}}, more...)}
}

// scriptedServer ends its calls as the test says.
type scriptedServer struct {
	stream func(receive func() (*tidingsv1.PublishStreamRequest, error), send func(*tidingsv1.PublishStreamResponse) error) error
	unary  error
}

func (s *scriptedServer) info(context.Context) (*tidingsv1.GetServerInfoResponse, error) {
	return &tidingsv1.GetServerInfoResponse{Version: "1.2.3"}, s.unary
}

func (s *scriptedServer) publishStream(_ context.Context, receive func() (*tidingsv1.PublishStreamRequest, error), send func(*tidingsv1.PublishStreamResponse) error) error {
	return s.stream(receive, send)
}

// TestErrorsOfCalls holds what is read of errors to those that the libraries make.
func TestErrorsOfCalls(t *testing.T) {
	violation := &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{
		{Field: "events[0].id", Description: "must be set", Reason: "string.min_len"},
	}}
	cases := []struct {
		name       string
		err        error
		reason     string
		retryable  bool
		delay      time.Duration
		violations []Violation
	}{
		{
			"never", ending(codes.InvalidArgument, "EVENT_INVALID", violation),
			"EVENT_INVALID", false, 0, []Violation{{"events[0].id", "must be set", "string.min_len"}},
		},
		{
			"after a delay", ending(codes.Unavailable, "SERVER_DRAINING", &errdetails.RetryInfo{RetryDelay: durationpb.New(time.Second)}),
			"SERVER_DRAINING", true, time.Second, nil,
		},
		{"with back-off, against the code", ending(codes.Internal, "INTERNAL"), "INTERNAL", true, 0, nil},
		{"a reason of v1beta1", ending(codes.FailedPrecondition, "SCHEMA_INCOMPATIBLE"), "SCHEMA_INCOMPATIBLE", false, 0, nil},
		{"a reason that is not known", ending(codes.Unavailable, "TOMORROW"), "TOMORROW", true, 0, nil},
		{"no reason", &endError{code: codes.Internal}, "", false, 0, nil},
		{
			"another domain's reason", &endError{codes.NotFound, []proto.Message{&errdetails.ErrorInfo{Domain: "proxy.example", Reason: "INTERNAL"}}},
			"", false, 0, nil,
		},
	}
	for name, dial := range protocols {
		for _, test := range cases {
			t.Run(name+"/"+test.name, func(t *testing.T) {
				server := &scriptedServer{unary: test.err}
				server.stream = func(func() (*tidingsv1.PublishStreamRequest, error), func(*tidingsv1.PublishStreamResponse) error) error {
					return test.err
				}
				c, _ := dial(t, server)
				_, unary := c.calls.serverInfo(t.Context())
				stream, err := c.calls.publishStream(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				_, streamed := stream.Recv()
				for _, err := range []error{unary, fmt.Errorf("wrapped: %w", streamed)} {
					if Reason(err) != test.reason || Retryable(err) != test.retryable || RetryDelay(err) != test.delay || !slices.Equal(Violations(err), test.violations) {
						t.Errorf("%v: reason %q, retryable %v, delay %v, violations %v", err, Reason(err), Retryable(err), RetryDelay(err), Violations(err))
					}
				}
			})
		}
	}
}

// TestErrorsOfBrokenConnections breaks connections wherever a call may be.
func TestErrorsOfBrokenConnections(t *testing.T) {
	for name, dial := range protocols {
		for _, answers := range []bool{false, true} { // So connect-go waits for the headers, or for a message.
			for _, sends := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/answers %v/sends %v", name, answers, sends), func(t *testing.T) {
					began := make(chan struct{})
					once := sync.OnceFunc(func() { close(began) })
					c, conns := dial(t, &scriptedServer{stream: func(receive func() (*tidingsv1.PublishStreamRequest, error), send func(*tidingsv1.PublishStreamResponse) error) error {
						for {
							if _, err := receive(); err != nil {
								return err
							}
							if answers {
								if err := send(&tidingsv1.PublishStreamResponse{}); err != nil {
									return err
								}
							}
							once()
						}
					}})
					if err := breakCall(t, c, conns, began, sends); !Retryable(err) || Reason(err) != "" {
						t.Errorf("not retryable: %v (%v)", err, read(err).code)
					}
				})
			}
		}
	}
}

// breakCall makes a call, which sends all the time or once, and breaks it when the
// server says so. It returns what the call ended with.
func breakCall(t *testing.T, c *Client, conns *fakeConn, began <-chan struct{}, sends bool) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := c.calls.publishStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	sent := make(chan error, 1)
	go func() {
		request := &tidingsv1.PublishStreamRequest{Publish: &tidingsv1.PublishRequest{Topic: strings.Repeat("t", 100_000)}}
		err := stream.Send(request)
		for err == nil && sends {
			err = stream.Send(request)
		}
		sent <- err
	}()
	go func() {
		<-began
		conns.breakAll()
	}()
	for err == nil {
		_, err = stream.Recv()
	}
	cancel()
	if sendErr := <-sent; sends && sendErr == nil {
		t.Error("sending went on")
	}
	return err
}

func TestErrorsOfNoServer(t *testing.T) {
	for name, dial := range protocols {
		t.Run(name, func(t *testing.T) {
			c, conns := dial(t, &scriptedServer{})
			_ = conns.Close()
			conns.breakAll()
			if _, err := c.calls.serverInfo(t.Context()); !Retryable(err) {
				t.Errorf("not retryable: %v", err)
			}
		})
	}
}

// TestErrorsOfTheCaller holds what the caller ended, or got wrong, apart from what a
// connection did.
func TestErrorsOfTheCaller(t *testing.T) {
	for name, dial := range protocols {
		t.Run(name, func(t *testing.T) {
			c, _ := dial(t, &scriptedServer{stream: func(receive func() (*tidingsv1.PublishStreamRequest, error), _ func(*tidingsv1.PublishStreamResponse) error) error {
				_, err := receive()
				return err
			}})
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, cancelled := c.calls.serverInfo(ctx)
			if cancelled == nil || Retryable(cancelled) {
				t.Errorf("a call that was cancelled: %v", cancelled)
			}
			stream, err := c.calls.publishStream(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := stream.Send(&tidingsv1.PublishStreamRequest{Publish: &tidingsv1.PublishRequest{Topic: "\xff"}}); err == nil || Retryable(err) {
				t.Errorf("a message that can't be encoded: %v", err)
			}
			_ = stream.CloseSend()
		})
	}
}

func TestErrorsInResponses(t *testing.T) {
	err := fmt.Errorf("wrapped: %w", &RefusedError{&tidingsv1.ErrorDetail{
		Reason: tidingsv1.ErrorReason_ERROR_REASON_STORAGE_UNAVAILABLE, Message: "the storage didn't answer", RetryDelay: durationpb.New(time.Second),
		FieldViolations: []*tidingsv1.FieldViolation{{Field: "topic", Description: "must be set", RuleId: "required"}},
	}})
	if got := err.Error(); got != "wrapped: STORAGE_UNAVAILABLE: the storage didn't answer" {
		t.Error(got)
	}
	if Reason(err) != "STORAGE_UNAVAILABLE" || !Retryable(err) || RetryDelay(err) != time.Second ||
		!slices.Equal(Violations(err), []Violation{{"topic", "must be set", "required"}}) {
		t.Errorf("reason %q, retryable %v, delay %v, violations %v", Reason(err), Retryable(err), RetryDelay(err), Violations(err))
	}
	if Reason(nil) != "" || Retryable(nil) || Retryable(io.EOF) || !Retryable(io.ErrUnexpectedEOF) {
		t.Error("errors of no call")
	}
}

// TestErrorsOfAbortedStreams has a server reset its streams and keep the connection.
func TestErrorsOfAbortedStreams(t *testing.T) {
	server := &scriptedServer{stream: func(receive func() (*tidingsv1.PublishStreamRequest, error), send func(*tidingsv1.PublishStreamResponse) error) error {
		if _, err := receive(); err != nil {
			return err
		}
		if err := send(&tidingsv1.PublishStreamResponse{}); err != nil {
			return err
		}
		panic(http.ErrAbortHandler)
	}}
	overConnect, _ := overHTTP(t, server)
	overGRPC, listener := overHTTP(t, server, connect.WithGRPC())
	for name, c := range map[string]*Client{
		"Connect": overConnect, "gRPC over net/http": overGRPC, "gRPC": dialGRPC(t, listener.Addr().String()),
	} {
		t.Run(name, func(t *testing.T) {
			stream, err := c.calls.publishStream(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			err = stream.Send(&tidingsv1.PublishStreamRequest{}) // It may hear of the end already.
			for err == nil {
				_, err = stream.Recv()
			}
			if !Retryable(err) || Reason(err) != "" {
				t.Errorf("not retryable: %v (%v)", err, read(err).code)
			}
		})
	}
}
