package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// newSubscription creates a subscription to a topic for one test.
func newSubscription(t *testing.T, c client, topic string, change ...func(*tidingsv1.Subscription)) string {
	t.Helper()
	// On a machine with much else to do a lease may have to last.
	s := &tidingsv1.Subscription{Name: newName(), Topic: topic, AckDeadline: durationpb.New(10 * time.Minute)}
	for _, f := range change {
		f(s)
	}
	if _, err := c.CreateSubscription(testContext(t), &tidingsv1.CreateSubscriptionRequest{Subscription: s}); err != nil {
		t.Fatal(err)
	}
	return s.GetName()
}

// publishN publishes a number of events, in one request, and returns them.
func publishN(t *testing.T, c client, topic string, n int, change ...func(int, *tidingsv1.Event)) []*tidingsv1.Event {
	t.Helper()
	var events []*tidingsv1.Event
	for i := range n {
		e := event(t, fmt.Sprintf("%s-%d-%d", topic, names.Add(1), i), placed(fmt.Sprint(i)))
		for _, f := range change {
			f(i, e)
		}
		events = append(events, e)
	}
	if _, err := c.Publish(testContext(t), &tidingsv1.PublishRequest{Topic: topic, Events: events}); err != nil {
		t.Fatal(err)
	}
	return events
}

// door is a way to be delivered events and to settle them.
type door interface {
	// next waits for one delivery.
	next() *tidingsv1.Delivery
	settle(...*tidingsv1.Settlement) []*tidingsv1.SettlementResult
}

// consuming is a Consume stream: its frames are sorted by kind. It is for one
// goroutine.
type consuming struct {
	t        *testing.T
	stream   consumeStream
	opened   *tidingsv1.ConsumeOpened
	pending  []*tidingsv1.Delivery
	settled  []*tidingsv1.SettlementResults
	windows  []*tidingsv1.FlowControl
	beats    int
	draining bool
}

func consume(t *testing.T, ctx context.Context, c client, open *tidingsv1.ConsumeOpen) *consuming { //nolint:revive // The test comes first, as everywhere here.
	t.Helper()
	stream, err := c.consume(ctx)
	if err != nil {
		t.Fatal(err)
	}
	s := &consuming{t: t, stream: stream}
	s.send(&tidingsv1.ConsumeRequest{Request: &tidingsv1.ConsumeRequest_Open{Open: open}})
	s.frame()
	if s.opened == nil {
		t.Fatal("the first frame was not opened")
	}
	return s
}

func (s *consuming) send(r *tidingsv1.ConsumeRequest) {
	s.t.Helper()
	if err := s.stream.Send(r); err != nil {
		s.t.Fatal(err)
	}
}

// frame receives one frame.
func (s *consuming) frame() {
	s.t.Helper()
	response, err := s.stream.Recv()
	if err != nil {
		s.t.Fatal(err)
	}
	switch frame := response.GetFrame().(type) {
	case *tidingsv1.ConsumeResponse_Opened:
		s.opened = frame.Opened
	case *tidingsv1.ConsumeResponse_Deliveries:
		s.pending = append(s.pending, frame.Deliveries.GetDeliveries()...)
	case *tidingsv1.ConsumeResponse_Settled:
		s.settled = append(s.settled, frame.Settled)
	case *tidingsv1.ConsumeResponse_Window:
		s.windows = append(s.windows, frame.Window)
	case *tidingsv1.ConsumeResponse_Heartbeat:
		s.beats++
	case *tidingsv1.ConsumeResponse_Draining:
		s.draining = true
	}
}

func (s *consuming) next() *tidingsv1.Delivery {
	s.t.Helper()
	for len(s.pending) == 0 {
		s.frame()
	}
	d := s.pending[0]
	s.pending = s.pending[1:]
	return d
}

func (s *consuming) settle(settlements ...*tidingsv1.Settlement) []*tidingsv1.SettlementResult {
	s.t.Helper()
	s.send(&tidingsv1.ConsumeRequest{Request: &tidingsv1.ConsumeRequest_Settle{
		Settle: &tidingsv1.SettlementBatch{Settlements: settlements},
	}})
	for len(s.settled) == 0 {
		s.frame()
	}
	results := s.settled[0].GetResults()
	s.settled = s.settled[1:]
	return results
}

// end ends the stream as a client does that is done.
func (s *consuming) end() {
	s.t.Helper()
	if err := s.stream.CloseSend(); err != nil {
		s.t.Fatal(err)
	}
	for {
		_, err := s.stream.Recv()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
}

// receiving is a Receive stream with Settle.
type receiving struct {
	t            *testing.T
	client       client
	ctx          context.Context //nolint:containedctx // That of the calls of the test.
	subscription string
	stream       receiveStream
	opened       *tidingsv1.ConsumeOpened
	pending      []*tidingsv1.Delivery
	windows      []*tidingsv1.FlowControl
}

func receive(t *testing.T, ctx context.Context, c client, r *tidingsv1.ReceiveRequest) *receiving { //nolint:revive // The test comes first, as everywhere here.
	t.Helper()
	stream, err := c.receive(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	s := &receiving{t: t, client: c, ctx: ctx, subscription: r.GetSubscription(), stream: stream}
	for s.opened == nil {
		s.frame()
	}
	return s
}

func (s *receiving) frame() {
	s.t.Helper()
	response, err := s.stream.Recv()
	if err != nil {
		s.t.Fatal(err)
	}
	if opened := response.GetOpened(); opened != nil {
		s.opened = opened
	}
	if window := response.GetWindow(); window != nil {
		s.windows = append(s.windows, window)
	}
	s.pending = append(s.pending, response.GetDeliveries().GetDeliveries()...)
}

// told waits for the frame that says what the window is now.
func (s *receiving) told() *tidingsv1.FlowControl {
	s.t.Helper()
	for len(s.windows) == 0 {
		s.frame()
	}
	window := s.windows[0]
	s.windows = s.windows[1:]
	return window
}

func (s *receiving) next() *tidingsv1.Delivery {
	s.t.Helper()
	for len(s.pending) == 0 {
		s.frame()
	}
	d := s.pending[0]
	s.pending = s.pending[1:]
	return d
}

func (s *receiving) settle(settlements ...*tidingsv1.Settlement) []*tidingsv1.SettlementResult {
	s.t.Helper()
	return settle(s.t, s.ctx, s.client, s.subscription, settlements...)
}

func settle(t *testing.T, ctx context.Context, c client, subscription string, settlements ...*tidingsv1.Settlement) []*tidingsv1.SettlementResult { //nolint:revive // The test comes first, as everywhere here.
	t.Helper()
	response, err := c.Settle(ctx, &tidingsv1.SettleRequest{Subscription: subscription, Settlements: settlements})
	if err != nil {
		t.Fatal(err)
	}
	return response.GetResults()
}

// pulling is Pull with Settle.
type pulling struct {
	t            *testing.T
	client       client
	ctx          context.Context //nolint:containedctx // That of the calls of the test.
	subscription string
}

func (s *pulling) next() *tidingsv1.Delivery {
	s.t.Helper()
	for {
		response, err := s.client.Pull(s.ctx, &tidingsv1.PullRequest{Subscription: s.subscription, MaxEvents: 1, MaxWait: durationpb.New(10 * time.Second)})
		if err != nil {
			s.t.Fatal(err)
		}
		if len(response.GetDeliveries()) > 0 {
			return response.GetDeliveries()[0]
		}
	}
}

func (s *pulling) settle(settlements ...*tidingsv1.Settlement) []*tidingsv1.SettlementResult {
	s.t.Helper()
	return settle(s.t, s.ctx, s.client, s.subscription, settlements...)
}

func ack(token string) *tidingsv1.Settlement {
	return &tidingsv1.Settlement{DeliveryToken: token, Action: &tidingsv1.Settlement_Ack{Ack: new(tidingsv1.Ack)}}
}

func nack(token string, n *tidingsv1.Nack) *tidingsv1.Settlement {
	return &tidingsv1.Settlement{DeliveryToken: token, Action: &tidingsv1.Settlement_Nack{Nack: n}}
}

func extend(token string, d time.Duration) *tidingsv1.Settlement {
	return &tidingsv1.Settlement{DeliveryToken: token, Action: &tidingsv1.Settlement_Extend{
		Extend: &tidingsv1.ExtendDeadline{Duration: durationpb.New(d)},
	}}
}

// doors are the ways to be delivered events, each with what it takes.
var doors = []struct {
	name string
	open func(*testing.T, context.Context, client, string) door
	need []need
}{
	{"Consume", func(t *testing.T, ctx context.Context, c client, s string) door {
		return consume(t, ctx, c, &tidingsv1.ConsumeOpen{Subscription: s, Window: &tidingsv1.FlowControl{MaxEvents: 1}})
	}, []need{fullDuplex}},
	{"Receive", func(t *testing.T, ctx context.Context, c client, s string) door {
		return receive(t, ctx, c, &tidingsv1.ReceiveRequest{Subscription: s, Window: &tidingsv1.FlowControl{MaxEvents: 1}})
	}, nil},
	{"Pull", func(t *testing.T, ctx context.Context, c client, s string) door {
		return &pulling{t, c, ctx, s}
	}, nil},
}

func TestDoors(t *testing.T) {
	for _, d := range doors {
		t.Run(d.name, each(func(t *testing.T, c client) {
			ctx := testContext(t)
			topic := newTopic(t, c)
			s := newSubscription(t, c, topic)
			events := publishN(t, c, topic, 3)
			door := d.open(t, ctx, c, s)
			for i, want := range events {
				got := door.next()
				if got.GetRecorded().GetEvent().GetId() != want.GetId() || got.GetAttempt() != 1 || got.GetRecorded().GetTopic() != topic {
					t.Fatalf("delivery %d is %v, want %v", i, got, want)
				}
				if r := door.settle(ack(got.GetDeliveryToken())); r[0].GetStatus() != tidingsv1.SettlementStatus_SETTLEMENT_STATUS_APPLIED {
					t.Fatalf("ack %d: %v", i, r)
				}
			}
		}, d.need...))
	}
}
