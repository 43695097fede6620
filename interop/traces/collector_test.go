package traces

import (
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
)

// span is a span that arrived, and from which service.
type span struct {
	*trace.Span

	service string
}

// is reports whether it is one of a service with a name, and of the kind: the end of
// its name in OTLP.
func (s span) is(service, name, kind string) bool {
	return s.service == service && s.GetName() == name && s.GetKind().String() == "SPAN_KIND_"+kind
}

func (s span) attribute(key string) string {
	for _, a := range s.GetAttributes() {
		if a.GetKey() == key {
			return a.GetValue().GetStringValue()
		}
	}
	return ""
}

// String is the span in a line, with the first digits of its ids.
func (s span) String() string {
	short := func(id []byte) string { return hex.EncodeToString(id[:min(4, len(id))]) }
	line := fmt.Sprintf("%-8s %-22s %-8s trace=%s span=%s parent=%-8s", s.service, s.GetName(),
		strings.TrimPrefix(s.GetKind().String(), "SPAN_KIND_"), short(s.GetTraceId()), short(s.GetSpanId()), short(s.GetParentSpanId()))
	for _, link := range s.GetLinks() {
		line += " link=" + short(link.GetTraceId()) + "/" + short(link.GetSpanId())
	}
	return line
}

// spans is a collector: it keeps the spans that it gets.
type spans struct {
	collector.UnimplementedTraceServiceServer

	mu   sync.Mutex
	all  []span
	came chan struct{} // Has room for one.
}

// collect starts a collector on loopback and returns its URL.
func collect(t *testing.T) (collected *spans, url string) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &spans{came: make(chan struct{}, 1)}
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, s)
	var ended sync.WaitGroup
	ended.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() { server.Stop(); ended.Wait() })
	return s, "http://" + listener.Addr().String()
}

// Export implements the service of collectors.
func (s *spans) Export(_ context.Context, request *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	s.mu.Lock()
	for _, of := range request.GetResourceSpans() {
		service := ""
		for _, a := range of.GetResource().GetAttributes() {
			if a.GetKey() == "service.name" {
				service = a.GetValue().GetStringValue()
			}
		}
		for _, scope := range of.GetScopeSpans() {
			for _, one := range scope.GetSpans() {
				s.all = append(s.all, span{one, service})
			}
		}
	}
	s.mu.Unlock()
	select {
	case s.came <- struct{}{}:
	default:
	}
	return new(collector.ExportTraceServiceResponse), nil
}

// find waits for a span that a function takes.
func (s *spans) find(t *testing.T, what string, takes func(span) bool) span {
	t.Helper()
	late := time.After(2 * time.Minute)
	for {
		s.mu.Lock()
		for _, one := range s.all {
			if takes(one) {
				s.mu.Unlock()
				return one
			}
		}
		s.mu.Unlock()
		select {
		case <-s.came:
		case <-late:
			t.Fatalf("%s didn't come:\n%s", what, s)
		}
	}
}

// String is all that came, a line for each.
func (s *spans) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lines strings.Builder
	for _, one := range s.all {
		lines.WriteString(one.String() + "\n")
	}
	return lines.String()
}
