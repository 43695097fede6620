package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/tidings/server/internal/quota"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// pace sees to it that events come no faster than a quota allows.
type pace struct {
	t     *testing.T
	begun time.Time
	rate  int // Events a second.
	seen  int
}

// add counts events that came together.
func (p *pace) add(events int) {
	p.t.Helper()
	if events == 0 {
		return
	}
	// Those before have been paid for, but for a second's worth.
	if most := float64(p.rate) * (time.Since(p.begun).Seconds() + 1); float64(p.seen) > most {
		p.t.Errorf("%d events came before, %.0f may have", p.seen, most)
	}
	p.seen += events
}

const (
	pacedEvents = 200
	pacedRate   = 50
)

// pacedServer has events to deliver, of which so many a second are.
func pacedServer(t *testing.T) *server {
	t.Helper()
	s := quotaServer(t, quota.Limits{Events: pacedRate})
	s.store(t, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20)
	return s
}

// TestPublishingWaitsForQuota sends more on a stream than the quota allows: all of it is
// stored, in its time.
func TestPublishingWaitsForQuota(t *testing.T) {
	t.Parallel()
	for _, transport := range transports() {
		t.Run(transport.String(), func(t *testing.T) {
			t.Parallel()
			c := transport.dial(t, quotaServer(t, quota.Limits{Events: pacedRate}))
			var batches []*tidingsv1.PublishStreamRequest
			for i := range 5 {
				batches = append(batches, &tidingsv1.PublishStreamRequest{
					Publish: &tidingsv1.PublishRequest{Topic: "orders", Events: orders(t, fmt.Sprint("s", i), 25)},
				})
			}
			begun := time.Now()
			if transport.http2 {
				for _, response := range exchange(t, c, batches...) {
					if response.GetError() != nil {
						t.Errorf("batch %d: %v", response.GetBatch(), response.GetError())
					}
				}
				// 100 events are before the last batch, and a second's worth is free.
				if took := time.Since(begun); took < time.Second {
					t.Errorf("PublishStream took %s", took)
				}
			}
			stream, err := c.importStream(testContext(t))
			if err != nil {
				t.Fatal(err)
			}
			begun = time.Now()
			for i := range 5 {
				if err := stream.Send(&tidingsv1.ImportRequest{
					Publish: &tidingsv1.PublishRequest{Topic: "orders", Events: orders(t, fmt.Sprint("i", i), 25)},
				}); err != nil {
					t.Fatal(err)
				}
			}
			summary, err := stream.CloseAndRecv()
			if err != nil || summary.GetStoredCount() != 125 {
				t.Errorf("%v, %v", summary, err)
			}
			if took := time.Since(begun); took < time.Second {
				t.Errorf("Import took %s", took)
			}
		})
	}
}

// TestMessagesWaitForQuota sends messages of a stream faster than requests may come.
func TestMessagesWaitForQuota(t *testing.T) {
	t.Parallel()
	for _, transport := range transports() {
		t.Run(transport.String(), func(t *testing.T) {
			if !transport.http2 {
				t.Skip(fullDuplex.why)
			}
			t.Parallel()
			c := transport.dial(t, quotaServer(t, quota.Limits{Requests: 4}))
			var batches []*tidingsv1.PublishStreamRequest
			for i := range 9 {
				batches = append(batches, &tidingsv1.PublishStreamRequest{
					Publish: &tidingsv1.PublishRequest{Topic: "orders", Events: orders(t, fmt.Sprint("s", i), 1)},
				})
			}
			begun := time.Now()
			for _, response := range exchange(t, c, batches...) {
				if response.GetError() != nil {
					t.Errorf("batch %d: %v", response.GetBatch(), response.GetError())
				}
			}
			if took := time.Since(begun); took < time.Second {
				t.Errorf("9 messages, of which 4 a second may come, took %s", took)
			}
		})
	}
}

// TestReadingWaitsForQuota reads what was stored before.
func TestReadingWaitsForQuota(t *testing.T) {
	t.Parallel()
	for _, transport := range transports() {
		t.Run(transport.String(), func(t *testing.T) {
			t.Parallel()
			c := transport.dial(t, pacedServer(t))
			p := &pace{t: t, begun: time.Now(), rate: pacedRate}
			stream, err := c.read(testContext(t), &tidingsv1.ReadRequest{
				Topic: "orders",
				Start: fromEarliest,
				Stop:  stopCaughtUp,
			})
			if err != nil {
				t.Fatal(err)
			}
			for {
				frame, err := stream.Recv()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				p.add(len(frame.GetEvents().GetEvents()))
			}
			if p.seen != pacedEvents {
				t.Errorf("%d events came", p.seen)
			}
		})
	}
}

// TestHeartbeatsOfAReaderThatWaits reads so slowly that nothing but heartbeats comes.
func TestHeartbeatsOfAReaderThatWaits(t *testing.T) {
	t.Parallel()
	for _, transport := range sample() {
		t.Run(transport.String(), func(t *testing.T) {
			t.Parallel()
			s := quotaServer(t, quota.Limits{Events: 1})
			s.store(t, 200, 200) // More than a frame.
			ctx, cancel := context.WithCancel(testContext(t))
			defer cancel()
			stream, err := transport.dial(t, s).read(ctx, &tidingsv1.ReadRequest{
				Topic:             "orders",
				Start:             fromEarliest,
				HeartbeatInterval: durationpb.New(time.Second),
			})
			if err != nil {
				t.Fatal(err)
			}
			for events, beats := 0, 0; beats < 2; {
				frame, err := stream.Recv()
				if err != nil {
					t.Fatal(err)
				}
				events += len(frame.GetEvents().GetEvents())
				if frame.GetHeartbeat() != nil {
					beats++
				}
				if events > 200 {
					t.Fatalf("%d events came", events)
				}
			}
		})
	}
}

// TestDeliveryWaitsForQuota consumes what was stored before.
func TestDeliveryWaitsForQuota(t *testing.T) {
	t.Parallel()
	for _, transport := range transports() {
		for _, kind := range []string{"Consume", "Receive"} {
			t.Run(transport.String()+" "+kind, func(t *testing.T) {
				if kind == "Consume" && !transport.http2 {
					t.Skip(fullDuplex.why)
				}
				t.Parallel()
				s := pacedServer(t)
				c := transport.dial(t, s)
				name := newSubscription(t, c, "orders")
				p := &pace{t: t, begun: time.Now(), rate: pacedRate}
				next := deliveriesOf(t, c, kind, name)
				for p.seen < pacedEvents {
					p.add(len(next()))
				}
			})
		}
	}
}

// deliveriesOf opens a stream and returns what gives the deliveries of its next frame.
func deliveriesOf(t *testing.T, c client, kind, subscription string) func() []*tidingsv1.Delivery {
	t.Helper()
	window := &tidingsv1.FlowControl{MaxEvents: 10_000}
	if kind == "Receive" {
		stream, err := c.receive(testContext(t), &tidingsv1.ReceiveRequest{Subscription: subscription, Window: window})
		if err != nil {
			t.Fatal(err)
		}
		return func() []*tidingsv1.Delivery {
			frame, err := stream.Recv()
			if err != nil {
				t.Fatal(err)
			}
			return frame.GetDeliveries().GetDeliveries()
		}
	}
	stream, err := c.consume(testContext(t))
	if err == nil {
		err = stream.Send(openOf(&tidingsv1.ConsumeOpen{Subscription: subscription, Window: window}))
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() []*tidingsv1.Delivery {
		frame, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return frame.GetDeliveries().GetDeliveries()
	}
}
