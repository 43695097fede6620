package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// memoryServer stores what it's sent, by the rules of a topic with DEDUPE_REQUEST. Every
// event of the type google.protobuf.StringValue is valid unless its value begins with
// "invalid". Tests hook into it before they publish.
type memoryServer struct {
	limits *tidingsv1.Limits
	// received is called with each batch before it's looked at, from the goroutine of
	// its call. An *tidingsv1.ErrorDetail refuses the batch; another error ends the call.
	received func(number int, publish *tidingsv1.PublishRequest) error
	// stored is called with each batch after that, before its answer. An error ends the
	// call without one.
	stored func(number int, publish *tidingsv1.PublishRequest) error

	mu       sync.Mutex
	calls    int
	batches  [][]string                            // The contents of the events of each.
	requests map[string]*tidingsv1.PublishResponse // By identity.
	log      []string                              // What is stored.
	ids      []string
}

type refusal struct{ *tidingsv1.ErrorDetail }

func (refusal) Error() string { return "the batch is refused" }

func refuse(reason tidingsv1.ErrorReason) error {
	return refusal{&tidingsv1.ErrorDetail{Reason: reason, Message: reason.String()}}
}

func (s *memoryServer) info(context.Context) (*tidingsv1.GetServerInfoResponse, error) {
	return &tidingsv1.GetServerInfoResponse{Limits: s.limits}, nil
}

func (s *memoryServer) publishStream(_ context.Context, receive func() (*tidingsv1.PublishStreamRequest, error), send func(*tidingsv1.PublishStreamResponse) error) error {
	s.mu.Lock()
	s.calls++
	s.mu.Unlock()
	for number := int64(0); ; number++ {
		request, err := receive()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		response := &tidingsv1.PublishStreamResponse{Batch: number}
		published, err := s.publish(request.GetPublish())
		if refused, ok := errors.AsType[refusal](err); ok {
			response.Result = &tidingsv1.PublishStreamResponse_Error{Error: refused.ErrorDetail}
		} else if err != nil {
			return err
		} else {
			response.Result = &tidingsv1.PublishStreamResponse_Published{Published: published}
		}
		if err := send(response); err != nil {
			return err
		}
	}
}

func (s *memoryServer) publish(publish *tidingsv1.PublishRequest) (*tidingsv1.PublishResponse, error) {
	var contents []string
	for _, event := range publish.GetEvents() {
		contents = append(contents, contentOf(event))
	}
	s.mu.Lock()
	number := len(s.batches)
	s.batches = append(s.batches, contents)
	s.mu.Unlock()
	if s.received != nil {
		if err := s.received(number, publish); err != nil {
			return nil, err
		}
	}
	if limit := s.limits.GetMaxRequestBytes(); limit > 0 && int64(proto.Size(publish)) > limit {
		return nil, ending(codes.ResourceExhausted, "REQUEST_TOO_LARGE")
	}
	response, err := s.store(publish, contents)
	if err == nil && s.stored != nil {
		err = s.stored(number, publish)
	}
	return response, err
}

func (s *memoryServer) store(publish *tidingsv1.PublishRequest, contents []string) (*tidingsv1.PublishResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var identity strings.Builder
	for _, event := range publish.GetEvents() {
		fmt.Fprintf(&identity, "%q %q\n", event.GetSource(), event.GetId())
	}
	if before := s.requests[identity.String()]; before != nil {
		again := proto.CloneOf(before)
		for _, receipt := range again.GetReceipts() {
			receipt.Duplicate = true
		}
		return again, nil
	}
	response := &tidingsv1.PublishResponse{Topic: publish.GetTopic()}
	stored := len(s.log)
	for i, event := range publish.GetEvents() {
		if strings.HasPrefix(contents[i], "invalid") {
			detail := invalid(i)
			if !publish.GetSkipInvalid() {
				s.log, s.ids = s.log[:stored], s.ids[:stored]
				return nil, refusal{detail}
			}
			response.RefusedEvents = append(response.RefusedEvents, &tidingsv1.RefusedEvent{Index: int64(i), Id: event.GetId(), Error: detail})
			continue
		}
		s.log, s.ids = append(s.log, contents[i]), append(s.ids, event.GetId())
		response.Receipts = append(response.Receipts, &tidingsv1.Receipt{Index: int64(i), Sequence: int64(len(s.log))})
	}
	if s.requests == nil {
		s.requests = make(map[string]*tidingsv1.PublishResponse)
	}
	s.requests[identity.String()] = response
	return response, nil
}

func invalid(index int) *tidingsv1.ErrorDetail {
	field := fmt.Sprintf("events[%d].data.value", index)
	return &tidingsv1.ErrorDetail{
		Reason: tidingsv1.ErrorReason_ERROR_REASON_EVENT_INVALID, Message: field + ": must be valid",
		FieldViolations: []*tidingsv1.FieldViolation{{Field: field, Description: "must be valid"}},
	}
}

func (s *memoryServer) contents() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.log...)
}

func contentOf(event *tidingsv1.Event) string {
	content := new(wrapperspb.StringValue)
	if err := event.GetData().UnmarshalTo(content); err != nil {
		return err.Error()
	}
	return content.GetValue()
}

func textEvent(t *testing.T, text string) *tidingsv1.Event {
	t.Helper()
	event, err := NewEvent("/test", wrapperspb.String(text))
	if err != nil {
		t.Fatal(err)
	}
	return event
}

// overProtocols runs a test of a Publisher over each protocol, and fails where it leaves
// events behind.
func overProtocols(t *testing.T, options PublisherOptions, test func(t *testing.T, p *Publisher, server *memoryServer, conns *fakeConn)) {
	t.Helper()
	if options.Topic == "" {
		options.Topic = "texts"
	}
	for name, dial := range protocols {
		t.Run(name, func(t *testing.T) {
			server := new(memoryServer)
			c, conns := dial(t, server)
			p := c.Publisher(options)
			p.mu.Lock()
			p.queue.eager = 1
			p.mu.Unlock()
			test(t, p, server, conns)
			if err := p.Close(t.Context()); err != nil {
				t.Errorf("close: %v", err)
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.queue.used != 0 || len(p.queue.waiting) != 0 || !p.queue.idle() || len(p.queue.held) != 0 || len(p.queue.open) != 0 {
				t.Errorf("left behind: %d bytes, %d calls that wait for room, held %v, open %v", p.queue.used, len(p.queue.waiting), p.queue.held, p.queue.open)
			}
		})
	}
}
