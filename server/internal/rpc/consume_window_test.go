package rpc_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// everySecond is the shortest heartbeat interval.
var everySecond = durationpb.New(time.Second)

// changeWindow changes the window of a stream and returns what was granted.
func (s *consuming) changeWindow(w *tidingsv1.FlowControl) *tidingsv1.FlowControl {
	s.t.Helper()
	s.send(&tidingsv1.ConsumeRequest{Request: &tidingsv1.ConsumeRequest_Window{Window: w}})
	for len(s.windows) == 0 {
		s.frame()
	}
	granted := s.windows[0]
	s.windows = s.windows[1:]
	return granted
}

// quiet waits for a heartbeat, before which nothing may be delivered.
func (s *consuming) quiet() {
	s.t.Helper()
	before := s.beats
	for s.beats == before {
		s.frame()
	}
	if len(s.pending) > 0 {
		s.t.Fatalf("delivered was %v", idsOf(s.pending))
	}
}

// take takes a number of deliveries.
func (s *consuming) take(count int) []*tidingsv1.Delivery {
	s.t.Helper()
	var list []*tidingsv1.Delivery
	for range count {
		list = append(list, s.next())
	}
	return list
}

// quiet is that of consuming.
func (s *receiving) quiet() {
	s.t.Helper()
	for {
		response, err := s.stream.Recv()
		if err != nil {
			s.t.Fatal(err)
		}
		if response.GetDeliveries() != nil {
			s.t.Fatalf("delivered was %v", idsOf(response.GetDeliveries().GetDeliveries()))
		}
		if response.GetHeartbeat() != nil {
			return
		}
	}
}

func TestWindowGranted(t *testing.T) {
	for name, test := range map[string]struct{ asked, granted *tidingsv1.FlowControl }{
		"unset":      {nil, &tidingsv1.FlowControl{MaxEvents: 1000, MaxBytes: 8 << 20}},
		"empty":      {&tidingsv1.FlowControl{}, &tidingsv1.FlowControl{MaxEvents: 1000, MaxBytes: 8 << 20}},
		"events":     {&tidingsv1.FlowControl{MaxEvents: 1}, &tidingsv1.FlowControl{MaxEvents: 1, MaxBytes: 8 << 20}},
		"raised":     {&tidingsv1.FlowControl{MaxBytes: 1}, &tidingsv1.FlowControl{MaxEvents: 1000, MaxBytes: testEventBytes}},
		"as asked":   {&tidingsv1.FlowControl{MaxEvents: 17, MaxBytes: 1 << 20}, &tidingsv1.FlowControl{MaxEvents: 17, MaxBytes: 1 << 20}},
		"lowered":    {&tidingsv1.FlowControl{MaxEvents: 10_001, MaxBytes: 256<<20 + 1}, &tidingsv1.FlowControl{MaxEvents: 10_000, MaxBytes: 256 << 20}},
		"boundless":  {&tidingsv1.FlowControl{MaxEvents: math.MaxInt32, MaxBytes: math.MaxInt64}, &tidingsv1.FlowControl{MaxEvents: 10_000, MaxBytes: 256 << 20}},
		"the utmost": {&tidingsv1.FlowControl{MaxEvents: 10_000, MaxBytes: 256 << 20}, &tidingsv1.FlowControl{MaxEvents: 10_000, MaxBytes: 256 << 20}},
	} {
		want := func(t *testing.T, got *tidingsv1.FlowControl) {
			t.Helper()
			if diff := cmp.Diff(test.granted, got, protocmp.Transform()); diff != "" {
				t.Errorf("granted otherwise (-want +got):\n%s", diff)
			}
		}
		t.Run("Consume/"+name, some(func(t *testing.T, c client) {
			_, s := newSubscribed(t, c, ackWithin(17*time.Second))
			stream := consume(t, testContext(t), c, &tidingsv1.ConsumeOpen{Subscription: s, Window: test.asked})
			want(t, stream.opened.GetWindow())
			if got := stream.opened; got.GetHeartbeatInterval().AsDuration() != 15*time.Second || got.GetAckDeadline().AsDuration() != 17*time.Second ||
				got.GetStreamId() != "" || len(got.GetHeld()) != 0 {
				t.Errorf("opened: %v", got)
			}
			if test.asked != nil {
				want(t, stream.changeWindow(test.asked))
			}
		}, fullDuplex))
		t.Run("Receive/"+name, some(func(t *testing.T, c client) {
			_, s := newSubscribed(t, c, ackWithin(17*time.Second))
			stream := receive(t, testContext(t), c, &tidingsv1.ReceiveRequest{Subscription: s, Window: test.asked})
			want(t, stream.opened.GetWindow())
			if got := stream.opened; got.GetHeartbeatInterval().AsDuration() != 15*time.Second || got.GetAckDeadline().AsDuration() != 17*time.Second ||
				got.GetStreamId() == "" || len(got.GetHeld()) != 0 {
				t.Errorf("opened: %v", got)
			}
			if test.asked != nil {
				want(t, resize(t, c, s, stream.opened.GetStreamId(), test.asked))
			}
		}))
	}
	for name, test := range map[string]struct {
		window *tidingsv1.FlowControl
		field  string
	}{
		"negative events": {&tidingsv1.FlowControl{MaxEvents: -1}, "max_events"},
		"negative bytes":  {&tidingsv1.FlowControl{MaxBytes: -1}, "max_bytes"},
	} {
		invalid := because(codes.InvalidArgument, "REQUEST_INVALID")
		t.Run("refused/"+name, some(func(t *testing.T, c client) {
			_, s := newSubscribed(t, c)
			wantRefusal(t, receiveRefused(t, c, &tidingsv1.ReceiveRequest{Subscription: s, Window: test.window}), invalid.at("window."+test.field))
			_, err := c.Settle(testContext(t), &tidingsv1.SettleRequest{
				Subscription: s, Window: &tidingsv1.StreamFlowControl{StreamId: "x", Window: test.window},
			})
			wantRefusal(t, err, invalid.at("window.window."+test.field))
		}))
		t.Run("refused by Consume/"+name, some(func(t *testing.T, c client) {
			_, s := newSubscribed(t, c)
			wantRefusal(t, consumeRefused(t, c, openOf(&tidingsv1.ConsumeOpen{Subscription: s, Window: test.window})), invalid.at("open.window."+test.field))
			wantRefusal(t, consumeRefused(t, c, openOf(&tidingsv1.ConsumeOpen{Subscription: s}),
				&tidingsv1.ConsumeRequest{Request: &tidingsv1.ConsumeRequest_Window{Window: test.window}}), invalid.at("window."+test.field))
		}, fullDuplex))
	}
}

// resize changes the window of a Receive stream.
func resize(t *testing.T, c client, subscription, stream string, w *tidingsv1.FlowControl) *tidingsv1.FlowControl {
	t.Helper()
	response, err := c.Settle(testContext(t), &tidingsv1.SettleRequest{
		Subscription: subscription, Window: &tidingsv1.StreamFlowControl{StreamId: stream, Window: w},
	})
	if err != nil {
		t.Fatal(err)
	}
	return response.GetWindow()
}

// streams are the doors that have a window.
var streams = []struct {
	name string
	open func(*testing.T, client, string, *tidingsv1.FlowControl) (door, *tidingsv1.FlowControl)
	need []need
}{
	{"Consume", func(t *testing.T, c client, s string, w *tidingsv1.FlowControl) (door, *tidingsv1.FlowControl) {
		stream := consume(t, testContext(t), c, &tidingsv1.ConsumeOpen{Subscription: s, Window: w})
		return stream, stream.opened.GetWindow()
	}, []need{fullDuplex}},
	{"Receive", func(t *testing.T, c client, s string, w *tidingsv1.FlowControl) (door, *tidingsv1.FlowControl) {
		stream := receive(t, testContext(t), c, &tidingsv1.ReceiveRequest{Subscription: s, Window: w})
		return stream, stream.opened.GetWindow()
	}, nil},
}

func TestWindowCredit(t *testing.T) {
	one := &tidingsv1.FlowControl{MaxEvents: 1}
	for _, d := range streams {
		t.Run("settled through Settle/"+d.name, some(func(t *testing.T, c client) {
			topic, s := newSubscribed(t, c)
			events := publishN(t, c, topic, 5)
			stream, _ := d.open(t, c, s, one)
			for i, n := range []*tidingsv1.Nack{nil, retryLate, toDeadLetter, dropped, releasedLate} {
				got := stream.next()
				wantIDs(t, []*tidingsv1.Delivery{got}, events[i])
				settlement := ack(got.GetDeliveryToken())
				if n != nil {
					settlement = nack(got.GetDeliveryToken(), n)
				}
				wantSettled(t, c, s, applied, settlement)
			}
		}, d.need...))
		t.Run("expired/"+d.name, some(func(t *testing.T, c client) {
			topic, s := newSubscribed(t, c, ackWithin(time.Second), retrying(&tidingsv1.RetryPolicy{MinBackoff: durationpb.New(time.Hour)}))
			events := publishN(t, c, topic, 2)
			stream, _ := d.open(t, c, s, one)
			first, second := stream.next(), stream.next()
			wantIDs(t, []*tidingsv1.Delivery{first, second}, events...)
			if begun := second.GetDeadline().AsTime().Add(-time.Second); begun.Before(first.GetDeadline().AsTime()) {
				t.Errorf("the second was leased at %s, before the first ended at %s", begun, first.GetDeadline().AsTime())
			}
		}, d.need...))
		t.Run("sought/"+d.name, some(func(t *testing.T, c client) {
			topic, s := newSubscribed(t, c)
			events := publishN(t, c, topic, 2)
			stream, _ := d.open(t, c, s, one)
			for range 5 {
				wantIDs(t, []*tidingsv1.Delivery{stream.next()}, events[0])
				seek(t, c, s, fromEarliest)
			}
			got := stream.next()
			wantStatuses(t, statuses(stream.settle(ack(got.GetDeliveryToken()))), applied)
			wantIDs(t, []*tidingsv1.Delivery{got, stream.next()}, events...)
		}, d.need...))
	}
}

func TestWindowChange(t *testing.T) {
	// A stream with a window of 2 is filled, grown to 5, shrunk to 1 and, once it
	// is below that, filled again.
	t.Run("Consume", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c)
		events := publishN(t, c, topic, 10)
		stream := consume(t, testContext(t), c, &tidingsv1.ConsumeOpen{
			Subscription: s, Window: &tidingsv1.FlowControl{MaxEvents: 2}, HeartbeatInterval: everySecond,
		})
		held := stream.take(2)
		stream.quiet()
		stream.changeWindow(&tidingsv1.FlowControl{MaxEvents: 5})
		held = append(held, stream.take(3)...)
		stream.changeWindow(&tidingsv1.FlowControl{MaxEvents: 1})
		for _, d := range held[:4] {
			wantStatuses(t, statuses(stream.settle(ack(d.GetDeliveryToken()))), applied)
		}
		stream.quiet()
		wantStatuses(t, statuses(stream.settle(ack(held[4].GetDeliveryToken()))), applied)
		wantIDs(t, append(held, stream.next()), events[:6]...)
		stream.quiet()
	}, fullDuplex))
	t.Run("Receive", each(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c)
		events := publishN(t, c, topic, 10)
		stream := receive(t, testContext(t), c, &tidingsv1.ReceiveRequest{
			Subscription: s, Window: &tidingsv1.FlowControl{MaxEvents: 2}, HeartbeatInterval: everySecond,
		})
		held := []*tidingsv1.Delivery{stream.next(), stream.next()}
		stream.quiet()
		granted := resize(t, c, s, stream.opened.GetStreamId(), &tidingsv1.FlowControl{MaxEvents: 5})
		if told := stream.told(); !proto.Equal(told, granted) {
			t.Errorf("the stream was told of the window %v, want %v", told, granted)
		}
		held = append(held, stream.next(), stream.next(), stream.next())
		resize(t, c, s, stream.opened.GetStreamId(), &tidingsv1.FlowControl{MaxEvents: 1})
		ackAll(t, c, s, held[:4]...)
		stream.quiet()
		ackAll(t, c, s, held[4])
		wantIDs(t, append(held, stream.next()), events[:6]...)
		stream.quiet()
	}))
	t.Run("of no stream", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c)
		publishN(t, c, topic, 1)
		token := pull(t, c, s, 1)[0].GetDeliveryToken()
		response, err := c.Settle(testContext(t), &tidingsv1.SettleRequest{
			Subscription: s, Settlements: []*tidingsv1.Settlement{ack(token)},
			Window: &tidingsv1.StreamFlowControl{StreamId: "nothing", Window: &tidingsv1.FlowControl{MaxEvents: 5}},
		})
		if err != nil || response.GetWindow() != nil || len(response.GetResults()) != 1 || response.GetResults()[0].GetStatus() != applied {
			t.Errorf("got %v, %v", response, err)
		}
	}))
}
