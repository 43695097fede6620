package rpc_test

import (
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// outstanding is what a client has been sent and has not begun to settle: never
// more than what is leased to it.
type outstanding struct {
	t      *testing.T
	window *tidingsv1.FlowControl

	mu    sync.Mutex
	bytes map[string]int64 // By token.
	sum   int64
	most  int
}

func (o *outstanding) add(deliveries []*tidingsv1.Delivery) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, d := range deliveries {
		size := int64(proto.Size(d.GetRecorded().GetEvent()))
		o.bytes[d.GetDeliveryToken()] = size
		o.sum += size
	}
	if len(o.bytes) > int(o.window.GetMaxEvents()) || o.sum > o.window.GetMaxBytes() {
		o.t.Errorf("%d events of %d bytes are outstanding, above the window %v", len(o.bytes), o.sum, o.window)
	}
	o.most = max(o.most, len(o.bytes))
}

func (o *outstanding) remove(token string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sum -= o.bytes[token]
	delete(o.bytes, token)
}

// TestWindowBound counts at the client: whatever it settles in whichever way,
// and whatever sizes events have, it never has more than the window allows.
func TestWindowBound(t *testing.T) {
	const count = 120
	sizes := []int{0, 0, 8 << 10, 0, 28 << 10, 56 << 10, 0}
	for name, test := range map[string]struct {
		window *tidingsv1.FlowControl
		full   int // The events that come before anything is settled.
	}{
		"events": {&tidingsv1.FlowControl{MaxEvents: 7, MaxBytes: 8 << 20}, 7},
		"bytes":  {&tidingsv1.FlowControl{MaxEvents: 1000, MaxBytes: 100_000}, 6},
		"both":   {&tidingsv1.FlowControl{MaxEvents: 3, MaxBytes: 1}, 3},
	} {
		behaviour := func(t *testing.T, c client, open func(subscription string) (received func() ([]*tidingsv1.Delivery, error), granted *tidingsv1.FlowControl)) {
			t.Helper()
			topic, s := newSubscribed(t, c, backoffNone, ackWithin(time.Hour))
			for range count / 20 {
				publishN(t, c, topic, 20, func(i int, e *tidingsv1.Event) {
					e.Attributes = bulky(t, "size", sizes[i%len(sizes)]).GetAttributes()
				})
			}
			received, granted := open(s)
			o := &outstanding{t: t, window: granted, bytes: make(map[string]int64)}
			deliveries := make(chan *tidingsv1.Delivery, 10*count)
			go func() { // Until the test's context ends the call.
				for {
					list, err := received()
					if err != nil {
						return
					}
					o.add(list)
					for _, d := range list {
						deliveries <- d
					}
				}
			}()
			next := func() *tidingsv1.Delivery {
				select {
				case d := <-deliveries:
					return d
				case <-testContext(t).Done():
					t.Fatalf("nothing comes; outstanding are %v", o.bytes)
					return nil
				}
			}
			var held []*tidingsv1.Delivery
			for len(held) < test.full {
				held = append(held, next())
			}
			for acked, round := 0, 0; acked < count; round++ {
				if len(held) == 0 {
					held = append(held, next())
				}
				for len(deliveries) > 0 {
					held = append(held, <-deliveries)
				}
				var settlements []*tidingsv1.Settlement
				for i, d := range held[:min(len(held), 1+round%3)] {
					o.remove(d.GetDeliveryToken())
					switch token, kind := d.GetDeliveryToken(), (round+i)%6; {
					case d.GetAttempt() == 1 && kind == 0:
						settlements = append(settlements, nack(token, nil))
					case d.GetAttempt() == 1 && kind == 3 && d.GetRecorded().GetSequence()%2 == 0:
						settlements = append(settlements, nack(token, &tidingsv1.Nack{Kind: released.GetKind(), Reason: "later"}))
					default:
						acked++
						settlements = append(settlements, ack(token))
					}
				}
				held = held[len(settlements):]
				wantSettled(t, c, s, applied, settlements...)
			}
			if left := show(t, c, s).GetStatistics(); left.GetInFlightEvents() != 0 || left.GetRetryingEvents() != 0 || left.GetBacklogEvents() != 0 {
				t.Errorf("left is %v", left)
			}
			if o.most < test.full {
				t.Errorf("at most %d were outstanding, which tries nothing", o.most)
			}
		}
		t.Run("Consume/"+name, some(func(t *testing.T, c client) {
			behaviour(t, c, func(s string) (func() ([]*tidingsv1.Delivery, error), *tidingsv1.FlowControl) {
				stream := consume(t, testContext(t), c, &tidingsv1.ConsumeOpen{Subscription: s, Window: test.window})
				return func() ([]*tidingsv1.Delivery, error) {
					response, err := stream.stream.Recv()
					return response.GetDeliveries().GetDeliveries(), err
				}, stream.opened.GetWindow()
			})
		}, fullDuplex))
		t.Run("Receive/"+name, some(func(t *testing.T, c client) {
			behaviour(t, c, func(s string) (func() ([]*tidingsv1.Delivery, error), *tidingsv1.FlowControl) {
				stream := receive(t, testContext(t), c, &tidingsv1.ReceiveRequest{Subscription: s, Window: test.window})
				return func() ([]*tidingsv1.Delivery, error) {
					response, err := stream.stream.Recv()
					return response.GetDeliveries().GetDeliveries(), err
				}, stream.opened.GetWindow()
			})
		}))
	}
}
