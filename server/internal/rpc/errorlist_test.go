package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// heard are the reasons of errors that the tests of this package get over native
// gRPC, by the call. Each has to be one that the call's comment names, or that
// every call may end with.
var heard = &reasonLog{reasons: make(map[string]map[string]bool)}

type reasonLog struct {
	mu      sync.Mutex
	reasons map[string]map[string]bool
}

func (l *reasonLog) add(method, reason string) {
	if reason == "" || !strings.HasPrefix(method, "/tidings.") {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reasons[method] == nil {
		l.reasons[method] = make(map[string]bool)
	}
	l.reasons[method][reason] = true
}

func (l *reasonLog) note(method string, err error) {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			l.add(method, info.GetReason())
		}
	}
}

func (l *reasonLog) unary(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
	err := invoke(ctx, method, request, reply, conn, options...)
	l.note(method, err)
	return err
}

func (l *reasonLog) stream(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
	stream, err := open(ctx, desc, conn, method, options...)
	l.note(method, err)
	return &heardStream{stream, method, l}, err
}

type heardStream struct {
	grpc.ClientStream
	method string
	log    *reasonLog
}

func (s *heardStream) RecvMsg(message any) error {
	err := s.ClientStream.RecvMsg(message)
	s.log.note(s.method, err)
	if response, ok := message.(*tidingsv1.PublishStreamResponse); ok && err == nil && response.GetError() != nil {
		s.log.add(s.method, strings.TrimPrefix(response.GetError().GetReason().String(), "ERROR_REASON_"))
	}
	return err
}

// complete returns the exit status of the tests: 1 where a call ended with what its
// comment doesn't name.
func (l *reasonLog) complete(exit int) int {
	unnamed, err := l.unnamed()
	for _, problem := range unnamed {
		fmt.Fprintln(os.Stderr, "FAIL:", problem)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "FAIL:", err)
	}
	if err != nil || len(unnamed) > 0 {
		return max(exit, 1)
	}
	return exit
}

// unnamed compares what was heard with the OpenAPI document, which has the reasons
// that the comment of each call names.
func (l *reasonLog) unnamed() ([]string, error) {
	document, err := os.ReadFile("../../../docs/openapi.yaml")
	if err != nil {
		return nil, err
	}
	named := make(map[string]string)
	for section := range strings.SplitSeq(string(document), "\n  /") {
		path, text, _ := strings.Cut(section, ":")
		named["/"+path] = text
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var problems []string
	for method, reasons := range l.reasons {
		if named[method] == "" {
			return nil, errors.New("docs/openapi.yaml doesn't have " + method)
		}
		for reason := range reasons {
			if !strings.Contains(named[method], "`"+reason+"`") {
				problems = append(problems, fmt.Sprintf("%s ended with %s, which its comment doesn't name", method, reason))
			}
		}
	}
	return problems, nil
}
