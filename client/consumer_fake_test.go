package client

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// testDeadline is the ack deadline that the scripted server grants.
const testDeadline = 30 * time.Second

// The statuses, in short.
const (
	applied   = tidingsv1.SettlementStatus_SETTLEMENT_STATUS_APPLIED
	already   = tidingsv1.SettlementStatus_SETTLEMENT_STATUS_ALREADY_APPLIED
	lost      = tidingsv1.SettlementStatus_SETTLEMENT_STATUS_LEASE_LOST
	malformed = tidingsv1.SettlementStatus_SETTLEMENT_STATUS_MALFORMED
	transient = tidingsv1.SettlementStatus_SETTLEMENT_STATUS_UNKNOWN
)

// scriptedCalls take calls of Consume and Settle, which the test answers. They are for
// bubbles of synctest.
type scriptedCalls struct {
	calls

	mu      sync.Mutex
	refuse  error                        // What calls end with at once.
	refused []time.Time                  // When they did.
	opened  []*scriptedCall              // Those of Consume.
	results []tidingsv1.SettlementStatus // What Settle answers; nil: all applied.
	settled []string                     // What Settle got.
	hanging int                          // How many calls of Settle get no answer.
}

// refusing has calls end with an error, or, with nil, no more. It returns when they
// did so far.
func (s *scriptedCalls) refusing(err error) []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = err
	return s.refused
}

func (s *scriptedCalls) consume(ctx context.Context) (duplex[tidingsv1.ConsumeRequest, tidingsv1.ConsumeResponse], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != nil {
		s.refused = append(s.refused, time.Now())
		return nil, s.refuse
	}
	call := &scriptedCall{ctx: ctx, frames: make(chan consumeFrame)}
	s.opened = append(s.opened, call)
	return call, nil
}

func (s *scriptedCalls) settle(ctx context.Context, request *tidingsv1.SettleRequest) (*tidingsv1.SettleResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hanging > 0 {
		s.hanging--
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if s.refuse != nil {
		return nil, s.refuse
	}
	s.settled = append(s.settled, shown(request.GetSettlements())...)
	statuses := s.results
	if statuses == nil {
		statuses = slices.Repeat([]tidingsv1.SettlementStatus{applied}, len(request.GetSettlements()))
	}
	return &tidingsv1.SettleResponse{Results: resultsOf(statuses)}, nil
}

// directly is what Settle got, sorted.
func (s *scriptedCalls) directly() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(slices.Values(s.settled))
}

// scriptedCall is a call of Consume.
type scriptedCall struct {
	ctx    context.Context //nolint:containedctx // A stream has the context of its call.
	frames chan consumeFrame

	mu     sync.Mutex
	open   *tidingsv1.ConsumeOpen
	sent   []*tidingsv1.SettlementBatch // Those that the test hasn't seen.
	batch  int64                        // The next one that is answered.
	closed bool                         // The consumer ended its side.
}

func (c *scriptedCall) Send(request *tidingsv1.ConsumeRequest) error {
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

func (c *scriptedCall) CloseSend() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return nil
}

func (c *scriptedCall) Recv() (*tidingsv1.ConsumeResponse, error) {
	select {
	case f := <-c.frames:
		return f.response, f.err
	case <-c.ctx.Done():
		return nil, c.ctx.Err()
	}
}

// ended reports whether the consumer ended its side.
func (c *scriptedCall) ended() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// opening is the first request.
func (c *scriptedCall) opening() *tidingsv1.ConsumeOpen {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open
}

// settlements is the next batch, nil if there is none.
func (c *scriptedCall) settlements() []*tidingsv1.Settlement {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.sent) == 0 {
		return nil
	}
	batch := c.sent[0]
	c.sent = c.sent[1:]
	return batch.GetSettlements()
}

// next is the next batch in short, nil if there is none.
func (c *scriptedCall) next() []string { return shown(c.settlements()) }

// give sends a frame, and waits until the consumer has done all that follows.
func (c *scriptedCall) give(f consumeFrame) {
	c.frames <- f
	synctest.Wait()
}

// opens answers open, with what the held tokens are worth.
func (c *scriptedCall) opens(held ...tidingsv1.SettlementStatus) {
	c.give(consumeFrame{response: &tidingsv1.ConsumeResponse{Frame: &tidingsv1.ConsumeResponse_Opened{Opened: &tidingsv1.ConsumeOpened{
		Window:            c.opening().GetWindow(),
		HeartbeatInterval: c.opening().GetHeartbeatInterval(),
		AckDeadline:       durationpb.New(testDeadline),
		Held:              resultsOf(held),
	}}}})
}

// delivers sends events without a key.
func (c *scriptedCall) delivers(sequences ...int64) {
	var deliveries []*Delivery
	for _, sequence := range sequences {
		deliveries = append(deliveries, deliveryOf(sequence, ""))
	}
	c.deliver(deliveries...)
}

func (c *scriptedCall) deliver(deliveries ...*Delivery) {
	c.give(consumeFrame{response: &tidingsv1.ConsumeResponse{Frame: &tidingsv1.ConsumeResponse_Deliveries{
		Deliveries: &tidingsv1.DeliveryBatch{Deliveries: deliveries},
	}}})
}

// answers gives the results of the oldest batch that has none.
func (c *scriptedCall) answers(statuses ...tidingsv1.SettlementStatus) {
	c.batch++
	c.give(consumeFrame{response: &tidingsv1.ConsumeResponse{Frame: &tidingsv1.ConsumeResponse_Settled{
		Settled: &tidingsv1.SettlementResults{Batch: c.batch - 1, Results: resultsOf(statuses)},
	}}})
}

func (c *scriptedCall) beats() {
	c.give(consumeFrame{response: &tidingsv1.ConsumeResponse{Frame: &tidingsv1.ConsumeResponse_Heartbeat{}}})
}

func (c *scriptedCall) drains() {
	c.give(consumeFrame{response: &tidingsv1.ConsumeResponse{Frame: &tidingsv1.ConsumeResponse_Draining{}}})
}

func (c *scriptedCall) ends(err error) { c.give(consumeFrame{err: err}) }

// deliveryOf is the first delivery of an event, with its sequence as the token. The
// payload says the sequence too.
func deliveryOf(sequence int64, key string) *Delivery {
	data, err := anypb.New(wrapperspb.Int64(sequence))
	if err != nil {
		panic(err)
	}
	return &Delivery{
		Recorded: &tidingsv1.RecordedEvent{
			Event:    &tidingsv1.Event{Id: fmt.Sprint("e-", sequence), Source: "/test", PartitionKey: new(key), Data: data},
			Sequence: sequence,
		},
		DeliveryToken: fmt.Sprint(sequence),
		Attempt:       1,
	}
}

// shown shows settlements in short, sorted.
func shown(settlements []*tidingsv1.Settlement) []string {
	var all []string
	for _, s := range settlements {
		action := "ack"
		if n := s.GetNack(); n != nil {
			action = strings.TrimPrefix(n.GetKind().String(), "NACK_KIND_")
			if n.GetDelay() != nil {
				action += " after " + n.GetDelay().AsDuration().String()
			}
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

func resultsOf(statuses []tidingsv1.SettlementStatus) []*tidingsv1.SettlementResult {
	var all []*tidingsv1.SettlementResult
	for _, status := range statuses {
		all = append(all, &tidingsv1.SettlementResult{Status: status})
	}
	return all
}

// notes are written while the test reads.
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

// scriptedRun is a call of Run against scripted calls.
type scriptedRun struct {
	*scriptedCalls

	t      *testing.T
	stop   context.CancelFunc
	result chan error
	log    notes
	events notes // The sequences of the events that were handled.
}

// start runs a consumer and returns when it waits. Its handler notes the event and
// then does what handle does.
func start(t *testing.T, options ConsumerOptions, handle func(ctx context.Context, sequence int64) error) *scriptedRun {
	t.Helper()
	return startWith(t, new(scriptedCalls), options, handle)
}

func startWith(t *testing.T, calls *scriptedCalls, options ConsumerOptions, handle func(ctx context.Context, sequence int64) error) *scriptedRun {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r := &scriptedRun{scriptedCalls: calls, t: t, stop: stop, result: make(chan error, 1)}
	options.Logger = slog.New(slog.NewTextHandler(&r.log, nil))
	consumer := (&Client{calls: calls}).Consumer("billing", options)
	go func() {
		r.result <- consumer.Run(ctx, Handle(func(ctx context.Context, event *wrapperspb.Int64Value, delivery *Delivery) error {
			if delivery.GetRecorded().GetSequence() != event.GetValue() {
				t.Errorf("event %d came with delivery %v", event.GetValue(), delivery)
			}
			fmt.Fprintf(&r.events, "%d ", event.GetValue())
			return handle(ctx, event.GetValue())
		}))
	}()
	synctest.Wait()
	return r
}

// nth is the nth call of Consume, from 0, which must be the last.
func (r *scriptedRun) nth(n int) *scriptedCall {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.opened) != n+1 {
		r.t.Fatalf("%d calls, want %d; log:\n%s", len(r.opened), n+1, r.log.String())
	}
	return r.opened[n]
}

// pass lets time pass.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// finish stops the consumer, has the server end its last call, and gives what Run
// returned.
func (r *scriptedRun) finish() error {
	r.mu.Lock()
	last := r.opened[len(r.opened)-1]
	r.mu.Unlock()
	r.stop()
	synctest.Wait()
	last.ends(io.EOF)
	return <-r.result
}

func (r *scriptedRun) expect(what string, got, want any) {
	r.t.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		r.t.Errorf("%s: got %s, want %s", what, g, w)
	}
}

func done(context.Context, int64) error { return nil }
