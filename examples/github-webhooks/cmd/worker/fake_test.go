package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// ackDeadline is what the fake server grants.
const ackDeadline = 30 * time.Second

// The statuses, in short.
const (
	applied   = tidingsv1.SettlementStatus_SETTLEMENT_STATUS_APPLIED
	already   = tidingsv1.SettlementStatus_SETTLEMENT_STATUS_ALREADY_APPLIED
	lost      = tidingsv1.SettlementStatus_SETTLEMENT_STATUS_LEASE_LOST
	transient = tidingsv1.SettlementStatus_SETTLEMENT_STATUS_UNKNOWN
)

// fakeServer takes calls; what it answers, the test says.
type fakeServer struct {
	tidingsv1.ConsumerServiceClient

	mu      sync.Mutex
	refuse  error                        // what calls end with at once
	refused []time.Time                  // when they did
	calls   []*fakeCall                  // of Consume
	results []tidingsv1.SettlementStatus // what Settle answers; nil: all applied
	last    []string                     // what Settle got
}

// refusing has calls end with an error, or, with nil, no more. It returns when
// they did so far.
func (s *fakeServer) refusing(err error) []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = err
	return s.refused
}

func (s *fakeServer) Consume(ctx context.Context, _ ...grpc.CallOption) (grpc.BidiStreamingClient[tidingsv1.ConsumeRequest, tidingsv1.ConsumeResponse], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != nil {
		s.refused = append(s.refused, time.Now())
		return nil, s.refuse
	}
	call := &fakeCall{ctx: ctx, frames: make(chan frame)}
	s.calls = append(s.calls, call)
	return call, nil
}

func (s *fakeServer) Settle(_ context.Context, request *tidingsv1.SettleRequest, _ ...grpc.CallOption) (*tidingsv1.SettleResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != nil {
		return nil, s.refuse
	}
	s.last = shown(request.GetSettlements())
	statuses := s.results
	if statuses == nil {
		statuses = slices.Repeat([]tidingsv1.SettlementStatus{applied}, len(request.GetSettlements()))
	}
	return &tidingsv1.SettleResponse{Results: results(statuses)}, nil
}

// settledLast is what Settle got.
func (s *fakeServer) settledLast() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// fakeCall is a call of Consume.
type fakeCall struct {
	grpc.ClientStream

	ctx    context.Context //nolint:containedctx // A stream has the context of its call.
	frames chan frame

	mu     sync.Mutex
	open   *tidingsv1.ConsumeOpen
	sent   []*tidingsv1.SettlementBatch // those that the test hasn't seen
	closed bool                         // the worker ended its side
}

func (c *fakeCall) Send(request *tidingsv1.ConsumeRequest) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		panic("a request after the last")
	case (c.open == nil) != (request.GetOpen() != nil):
		panic("open is the first request, and only that")
	case c.open == nil:
		c.open = request.GetOpen()
	default:
		c.sent = append(c.sent, request.GetSettle())
	}
	return nil
}

func (c *fakeCall) CloseSend() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return nil
}

// ended reports whether the worker ended its side.
func (c *fakeCall) ended() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// opening is the first request.
func (c *fakeCall) opening() *tidingsv1.ConsumeOpen {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open
}

// settlements is the next batch, nil if there is none.
func (c *fakeCall) settlements() []*tidingsv1.Settlement {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.sent) == 0 {
		return nil
	}
	batch := c.sent[0]
	c.sent = c.sent[1:]
	return batch.GetSettlements()
}

// batch is the next batch in short, nil if there is none.
func (c *fakeCall) batch() []string { return shown(c.settlements()) }

func (c *fakeCall) Recv() (*tidingsv1.ConsumeResponse, error) {
	select {
	case f := <-c.frames:
		return f.response, f.err
	case <-c.ctx.Done():
		return nil, c.ctx.Err()
	}
}

// give sends a frame, and waits until the worker has done all that follows.
func (c *fakeCall) give(f frame) {
	c.frames <- f
	synctest.Wait()
}

// opens answers open, with what the held tokens are worth.
func (c *fakeCall) opens(held ...tidingsv1.SettlementStatus) {
	c.give(frame{response: &tidingsv1.ConsumeResponse{Frame: &tidingsv1.ConsumeResponse_Opened{Opened: &tidingsv1.ConsumeOpened{
		Window:            c.opening().GetWindow(),
		HeartbeatInterval: c.opening().GetHeartbeatInterval(),
		AckDeadline:       durationpb.New(ackDeadline),
		Held:              results(held),
	}}}})
}

// delivers sends events, with their sequences as tokens.
func (c *fakeCall) delivers(sequences ...int64) {
	batch := new(tidingsv1.DeliveryBatch)
	for _, sequence := range sequences {
		batch.Deliveries = append(batch.Deliveries, &tidingsv1.Delivery{
			Recorded:      &tidingsv1.RecordedEvent{Sequence: sequence},
			DeliveryToken: fmt.Sprint(sequence),
			Attempt:       1,
		})
	}
	c.give(frame{response: &tidingsv1.ConsumeResponse{Frame: &tidingsv1.ConsumeResponse_Deliveries{Deliveries: batch}}})
}

// answers gives the results of the batch that has none.
func (c *fakeCall) answers(statuses ...tidingsv1.SettlementStatus) {
	c.give(frame{response: &tidingsv1.ConsumeResponse{Frame: &tidingsv1.ConsumeResponse_Settled{
		Settled: &tidingsv1.SettlementResults{Results: results(statuses)},
	}}})
}

func (c *fakeCall) beats() {
	c.give(frame{response: &tidingsv1.ConsumeResponse{Frame: &tidingsv1.ConsumeResponse_Heartbeat{}}})
}

func (c *fakeCall) drains() {
	c.give(frame{response: &tidingsv1.ConsumeResponse{Frame: &tidingsv1.ConsumeResponse_Draining{}}})
}

func (c *fakeCall) ends(err error) { c.give(frame{err: err}) }

// shown shows settlements in short, ordered.
func shown(settlements []*tidingsv1.Settlement) []string {
	var all []string
	for _, s := range settlements {
		action := "ack"
		if n := s.GetNack(); n != nil {
			action = n.GetKind().String()[len("NACK_KIND_"):]
			if n.GetReason() != "" {
				action += " (" + n.GetReason() + ")"
			}
		}
		if e := s.GetExtend(); e != nil {
			action = fmt.Sprint("extend ", e.GetDuration().AsDuration())
		}
		all = append(all, s.GetDeliveryToken()+" "+action)
	}
	slices.Sort(all)
	return all
}

func results(statuses []tidingsv1.SettlementStatus) []*tidingsv1.SettlementResult {
	var all []*tidingsv1.SettlementResult
	for _, status := range statuses {
		all = append(all, &tidingsv1.SettlementResult{Status: status})
	}
	return all
}

// running is a consumer that runs against a fake server.
type running struct {
	*fakeServer

	t      *testing.T
	stop   context.CancelFunc
	result chan error
	log    notes // what it logs
	events notes // the sequences of the events that it handled
}

// notes are written by the worker while the test reads.
type notes struct {
	mu   sync.Mutex
	text strings.Builder
}

func (n *notes) Write(text []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.Write(text)
}

func (n *notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.String()
}

// start starts a consumer and returns when it waits. Its handler notes the
// event and then does what handle does.
func start(t *testing.T, server *fakeServer, handle func(sequence int64) error) *running {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r := &running{fakeServer: server, t: t, stop: stop, result: make(chan error, 1)}
	c := newConsumer(server, "notifications", func(delivery *tidingsv1.Delivery) error {
		sequence := delivery.GetRecorded().GetSequence()
		fmt.Fprintf(&r.events, "%d ", sequence)
		return handle(sequence)
	}, log.New(&r.log, "", 0))
	go func() { r.result <- c.run(ctx) }()
	synctest.Wait()
	return r
}

// call is the nth call of Consume, from 0, which must be the last.
func (r *running) call(n int) *fakeCall {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.calls) != n+1 {
		r.t.Fatalf("%d calls, want %d; log:\n%s", len(r.calls), n+1, r.log.String())
	}
	return r.calls[n]
}

// pass lets time pass.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// finish stops the worker, has the server end its last call, and gives what run
// returned.
func (r *running) finish() error {
	r.mu.Lock()
	last := r.calls[len(r.calls)-1]
	r.mu.Unlock()
	r.stop()
	synctest.Wait()
	last.ends(io.EOF)
	return <-r.result
}

func (r *running) expect(what string, got, want any) {
	r.t.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		r.t.Errorf("%s: got %s, want %s", what, g, w)
	}
}

func done(int64) error { return nil }
