package rpc_test

import (
	"errors"
	"io"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// draining opens a stream of every transport on a server of its own, each on a
// subscription of its own, and drains the server.
func draining[S any](t *testing.T, events int, open func(*testing.T, client, string) S, needs ...need) (s *server, streams map[transport]S, names map[transport]string) {
	t.Helper()
	s, streams, names = newServer(t), make(map[transport]S), make(map[transport]string)
	for _, transport := range transports() {
		if transport.unmet(needs) != "" {
			continue
		}
		c := transport.dial(t, s)
		topic := newTopic(t, c)
		names[transport] = newSubscription(t, c, topic)
		if events > 0 {
			publishN(t, c, topic, events)
		}
		streams[transport] = open(t, c, names[transport])
	}
	s.service.Drain()
	return s, streams, names
}

func TestDrainConsume(t *testing.T) {
	t.Run("settles within the grace", func(t *testing.T) {
		t.Parallel()
		held := make(map[*consuming][]*tidingsv1.Delivery)
		_, streams, _ := draining(t, 4, func(t *testing.T, c client, s string) *consuming {
			t.Helper()
			stream := consume(t, testContext(t), c, &tidingsv1.ConsumeOpen{Subscription: s, Window: &tidingsv1.FlowControl{MaxEvents: 3}})
			held[stream] = stream.take(3)
			return stream
		}, fullDuplex)
		for transport, stream := range streams {
			t.Run(transport.String(), func(t *testing.T) {
				stream.t = t
				for !stream.draining {
					stream.frame()
				}
				for i, d := range held[stream] {
					// However much room that gives, nothing more is delivered.
					wantStatuses(t, statuses(stream.settle(ack(d.GetDeliveryToken()), ack("x"))), applied, malformed)
					if i == 2 {
						stream.changeWindow(&tidingsv1.FlowControl{MaxEvents: 100})
					}
				}
				stream.end()
				if len(stream.pending) > 0 {
					t.Errorf("after the draining frame came %v", stream.pending)
				}
			})
		}
	})
	t.Run("ends after the grace", func(t *testing.T) {
		t.Parallel()
		began := time.Now()
		_, streams, _ := draining(t, 0, func(t *testing.T, c client, s string) *consuming {
			t.Helper()
			return consume(t, testContext(t), c, &tidingsv1.ConsumeOpen{Subscription: s})
		}, fullDuplex)
		for transport, stream := range streams {
			t.Run(transport.String(), func(t *testing.T) {
				stream.t = t
				for !stream.draining {
					stream.frame()
				}
				_, err := stream.stream.Recv()
				wantRefusal(t, err, drained)
				if took := time.Since(began); took < time.Second || took > 30*time.Second {
					t.Errorf("the grace took %s", took)
				}
			})
		}
	})
	t.Run("opened while it drains", func(t *testing.T) {
		t.Parallel()
		server, _, names := draining(t, 1, func(*testing.T, client, string) struct{} { return struct{}{} })
		for transport, s := range names {
			t.Run(transport.String(), func(t *testing.T) {
				c := transport.dial(t, server)
				err := receiveRefused(t, c, &tidingsv1.ReceiveRequest{Subscription: s})
				wantRefusal(t, err, drained)
				if transport.unmet([]need{fullDuplex}) == "" {
					stream := consume(t, testContext(t), c, &tidingsv1.ConsumeOpen{Subscription: s})
					for !stream.draining {
						stream.frame()
					}
					stream.end()
				}
			})
		}
	})
}

func TestDrainReceive(t *testing.T) {
	t.Parallel()
	held := make(map[*receiving]*tidingsv1.Delivery)
	server, streams, names := draining(t, 2, func(t *testing.T, c client, s string) *receiving {
		t.Helper()
		stream := receive(t, testContext(t), c, &tidingsv1.ReceiveRequest{Subscription: s, Window: &tidingsv1.FlowControl{MaxEvents: 1}})
		held[stream] = stream.next()
		return stream
	})
	for transport, stream := range streams {
		t.Run(transport.String(), func(t *testing.T) {
			for drained := false; !drained; {
				response, err := stream.stream.Recv()
				if err != nil {
					t.Fatal(err)
				}
				if response.GetDeliveries() != nil {
					t.Fatalf("delivered was %v", response)
				}
				drained = response.GetDraining() != nil
			}
			_, err := stream.stream.Recv()
			wantRefusal(t, err, drained)
			// Calls without a stream go on.
			c := transport.dial(t, server)
			wantSettled(t, c, names[transport], applied, ack(held[stream].GetDeliveryToken()))
		})
	}
}

func TestDrainPull(t *testing.T) {
	t.Parallel()
	type answer struct {
		response *tidingsv1.PullResponse
		err      error
	}
	_, waiting, _ := draining(t, 0, func(t *testing.T, c client, s string) chan answer {
		t.Helper()
		ctx, answered := testContext(t), make(chan answer, 1)
		go func() {
			response, err := c.Pull(ctx, &tidingsv1.PullRequest{Subscription: s, MaxWait: durationpb.New(time.Minute)})
			answered <- answer{response, err}
		}()
		return answered
	})
	began := time.Now()
	for transport, answered := range waiting {
		t.Run(transport.String(), func(t *testing.T) {
			got := <-answered
			if got.err != nil || len(got.response.GetDeliveries()) != 0 || time.Since(began) > 30*time.Second {
				t.Errorf("%v, %v", got.response, got.err)
			}
		})
	}
}

// TestDrainConsumeHalfClosed: a client that has ended its side needs no grace.
func TestDrainConsumeHalfClosed(t *testing.T) {
	t.Parallel()
	_, streams, _ := draining(t, 0, func(t *testing.T, c client, s string) *consuming {
		t.Helper()
		stream := consume(t, testContext(t), c, &tidingsv1.ConsumeOpen{Subscription: s})
		if err := stream.stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		return stream
	}, fullDuplex)
	for transport, stream := range streams {
		t.Run(transport.String(), func(t *testing.T) {
			for {
				response, err := stream.stream.Recv()
				if errors.Is(err, io.EOF) {
					return
				}
				if err != nil || response.GetDraining() == nil {
					t.Fatal(response, err)
				}
			}
		})
	}
}
