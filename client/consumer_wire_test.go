package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/gen/go/tidings/v1/tidingsv1connect"
)

// leaseServer leases events to streams as a subscription ordered by key does, with
// leases that never end: what a consumer forgets over a lost call stays undelivered.
type leaseServer struct {
	mu      sync.Mutex
	events  []*Delivery          // Not leased, in their order.
	leased  map[string]*Delivery // By token.
	settled map[string]bool
	left    int           // Events that aren't settled.
	done    chan struct{} // Closed when there is none.
	changed chan struct{} // Closed and replaced when there may be something to deliver.
	batches int           // Since the start; each twentieth ends its call without an answer.
	calls   int
	wrong   []string
}

func newLeaseServer(events []*Delivery) *leaseServer {
	return &leaseServer{
		events: events, left: len(events), leased: make(map[string]*Delivery), settled: make(map[string]bool),
		done: make(chan struct{}), changed: make(chan struct{}),
	}
}

// take leases the next events, as many as the window has room for.
func (s *leaseServer) take(window, inFlight int) (taken []*Delivery, changed chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := make(map[string]bool)
	for _, d := range s.leased {
		keys[d.GetRecorded().GetEvent().GetPartitionKey()] = true
	}
	s.events = slices.DeleteFunc(s.events, func(d *Delivery) bool {
		key := d.GetRecorded().GetEvent().GetPartitionKey()
		if keys[key] || inFlight+len(taken) == window {
			return false
		}
		keys[key] = true
		s.leased[d.GetDeliveryToken()] = d
		taken = append(taken, d)
		return true
	})
	return taken, s.changed
}

// settle applies settlements. It reports how many leases ended, and whether the call
// is to break.
func (s *leaseServer) settle(settlements []*tidingsv1.Settlement) (results []*tidingsv1.SettlementResult, ended int, breaks bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, settlement := range settlements {
		result, token := applied, settlement.GetDeliveryToken()
		switch {
		case s.settled[token]:
			result = already
		case s.leased[token] == nil:
			result = malformed
			s.wrong = append(s.wrong, "settled "+token)
		case settlement.GetAck() != nil:
			delete(s.leased, token)
			s.settled[token] = true
			s.left--
			ended++
		case settlement.GetNack() != nil:
			// Released: it comes again, before what follows it.
			s.events = slices.Insert(s.events, 0, s.leased[token])
			delete(s.leased, token)
			ended++
		}
		results = append(results, &tidingsv1.SettlementResult{Status: result})
	}
	close(s.changed)
	s.changed = make(chan struct{})
	if s.left == 0 && ended > 0 {
		close(s.done)
	}
	s.batches++
	return results, ended, s.batches%20 == 0
}

// hold says what the tokens of an earlier call are worth.
func (s *leaseServer) hold(tokens []string) (results []*tidingsv1.SettlementResult, inFlight int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	for _, token := range tokens {
		result := applied
		if s.settled[token] {
			result = already
		} else {
			inFlight++
		}
		results = append(results, &tidingsv1.SettlementResult{Status: result})
	}
	return results, inFlight
}

func (s *leaseServer) consume(ctx context.Context, receive func() (*tidingsv1.ConsumeRequest, error), send func(*tidingsv1.ConsumeResponse) error) error {
	request, err := receive()
	if err != nil {
		return err
	}
	held, inFlight := s.hold(request.GetOpen().GetHeldDeliveryTokens())
	window := int(request.GetOpen().GetWindow().GetMaxEvents())
	if err := send(&tidingsv1.ConsumeResponse{Frame: &tidingsv1.ConsumeResponse_Opened{Opened: &tidingsv1.ConsumeOpened{
		AckDeadline: durationpb.New(time.Minute), Held: held,
	}}}); err != nil {
		return err
	}
	batches := make(chan []*tidingsv1.Settlement)
	go func() {
		defer close(batches)
		for {
			request, err := receive()
			if err != nil {
				return
			}
			select {
			case batches <- request.GetSettle().GetSettlements():
			case <-ctx.Done():
				return
			}
		}
	}()
	for answered := int64(0); ; {
		taken, changed := s.take(window, inFlight)
		inFlight += len(taken)
		if len(taken) > 0 {
			if err := send(&tidingsv1.ConsumeResponse{Frame: &tidingsv1.ConsumeResponse_Deliveries{Deliveries: &tidingsv1.DeliveryBatch{Deliveries: taken}}}); err != nil {
				return err
			}
		}
		select {
		case <-changed:
		case settlements, ok := <-batches:
			if !ok {
				return nil
			}
			results, ended, breaks := s.settle(settlements)
			if breaks {
				return errBroken
			}
			inFlight -= ended
			if err := send(&tidingsv1.ConsumeResponse{Frame: &tidingsv1.ConsumeResponse_Settled{Settled: &tidingsv1.SettlementResults{Batch: answered, Results: results}}}); err != nil {
				return err
			}
			answered++
		}
	}
}

var errBroken = errors.New("the call breaks")

type grpcLeases struct {
	tidingsv1.UnimplementedConsumerServiceServer

	*leaseServer
}

func (g grpcLeases) Consume(stream grpc.BidiStreamingServer[tidingsv1.ConsumeRequest, tidingsv1.ConsumeResponse]) error {
	err := g.consume(stream.Context(), stream.Recv, stream.Send)
	if errors.Is(err, errBroken) {
		return status.Error(codes.Unavailable, err.Error())
	}
	return err
}

func (g grpcLeases) Settle(_ context.Context, request *tidingsv1.SettleRequest) (*tidingsv1.SettleResponse, error) {
	results, _, _ := g.settle(request.GetSettlements())
	return &tidingsv1.SettleResponse{Results: results}, nil
}

type connectLeases struct {
	tidingsv1connect.UnimplementedConsumerServiceHandler

	*leaseServer
}

func (c connectLeases) Consume(ctx context.Context, stream *connect.BidiStream[tidingsv1.ConsumeRequest, tidingsv1.ConsumeResponse]) error {
	err := c.consume(ctx, stream.Receive, stream.Send)
	if errors.Is(err, errBroken) {
		return connect.NewError(connect.CodeUnavailable, err)
	}
	return err
}

func (c connectLeases) Settle(_ context.Context, request *tidingsv1.SettleRequest) (*tidingsv1.SettleResponse, error) {
	results, _, _ := c.settle(request.GetSettlements())
	return &tidingsv1.SettleResponse{Results: results}, nil
}

// consumerClients are clients of a lease server by their protocols.
var consumerClients = map[string]func(t *testing.T, server *leaseServer) *Client{
	"gRPC": func(t *testing.T, server *leaseServer) *Client {
		t.Helper()
		listener, s := bufconn.Listen(1<<20), grpc.NewServer()
		tidingsv1.RegisterConsumerServiceServer(s, grpcLeases{leaseServer: server})
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			if err := s.Serve(listener); err != nil {
				t.Error(err)
			}
		}()
		conn, err := grpc.NewClient("passthrough:///memory", grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = conn.Close()
			s.Stop()
			<-ended
		})
		return New(conn)
	},
	"Connect": func(t *testing.T, server *leaseServer) *Client { t.Helper(); return leasesOverHTTP(t, server) },
	"gRPC over net/http": func(t *testing.T, server *leaseServer) *Client {
		t.Helper()
		return leasesOverHTTP(t, server, connect.WithGRPC())
	},
}

func leasesOverHTTP(t *testing.T, server *leaseServer, options ...connect.ClientOption) *Client {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle(tidingsv1connect.NewConsumerServiceHandler(connectLeases{leaseServer: server}))
	s := httptest.NewUnstartedServer(mux)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	transport := &http.Transport{Protocols: s.Config.Protocols}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		s.Close()
	})
	return NewConnect(&http.Client{Transport: transport}, s.URL, options...)
}

// Calls break, with settlements that were applied and not answered. No event's work is
// repeated, none is lost, and those of a key come in their order, while other keys go
// on.
func TestConsumeOverLostCalls(t *testing.T) {
	const events, keys = 300, 7
	for name, client := range consumerClients {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var deliveries []*Delivery
			for i := range int64(events) {
				deliveries = append(deliveries, deliveryOf(i+1, fmt.Sprint("key-", i%keys)))
			}
			server := newLeaseServer(deliveries)
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			var mu sync.Mutex
			handled := make(map[string][]int64)
			running, atATime := make(map[string]bool), 0
			handler := Handle(func(_ context.Context, event *wrapperspb.Int64Value, delivery *Delivery) error {
				key := delivery.GetRecorded().GetEvent().GetPartitionKey()
				mu.Lock()
				if running[key] {
					t.Errorf("two events of %s at a time", key)
				}
				running[key] = true
				atATime = max(atATime, len(running))
				handled[key] = append(handled[key], event.GetValue())
				mu.Unlock()
				<-time.After(time.Millisecond)
				mu.Lock()
				delete(running, key)
				mu.Unlock()
				return nil
			})
			result := make(chan error, 1)
			go func() {
				result <- client(t, server).Consumer("billing", ConsumerOptions{Concurrency: 4, Logger: slog.New(slog.DiscardHandler)}).Run(ctx, handler)
			}()
			select {
			case <-server.done:
				stop()
			case err := <-result:
				t.Fatal(err)
			}
			if err := <-result; err != nil {
				t.Error(err)
			}
			total := 0
			for key, sequences := range handled {
				total += len(sequences)
				if !slices.IsSorted(sequences) {
					t.Errorf("%s: %v", key, sequences)
				}
			}
			server.mu.Lock()
			defer server.mu.Unlock()
			if total != events || atATime < 2 || atATime > 4 || server.calls < 3 || len(server.wrong) > 0 {
				t.Errorf("%d handled, %d at a time, in %d calls; %v", total, atATime, server.calls, server.wrong)
			}
		})
	}
}
