package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	ordersv1 "example.com/tidings/examples/events/gen/shop/orders/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// clients are the clients of one server.
type clients struct {
	topics        tidingsv1.TopicServiceClient
	publisher     tidingsv1.PublisherServiceClient
	subscriptions tidingsv1.SubscriptionServiceClient
	consumer      tidingsv1.ConsumerServiceClient
	letters       tidingsv1.DeadLetterServiceClient
}

func clientsOf(conn *grpc.ClientConn) clients {
	return clients{
		topics:        tidingsv1.NewTopicServiceClient(conn),
		publisher:     tidingsv1.NewPublisherServiceClient(conn),
		subscriptions: tidingsv1.NewSubscriptionServiceClient(conn),
		consumer:      tidingsv1.NewConsumerServiceClient(conn),
		letters:       tidingsv1.NewDeadLetterServiceClient(conn),
	}
}

func (p *process) clients(t testing.TB) clients {
	t.Helper()
	return clientsOf(p.dial(t))
}

const (
	applied        = tidingsv1.SettlementStatus_SETTLEMENT_STATUS_APPLIED
	alreadyApplied = tidingsv1.SettlementStatus_SETTLEMENT_STATUS_ALREADY_APPLIED
	leaseLost      = tidingsv1.SettlementStatus_SETTLEMENT_STATUS_LEASE_LOST
	transient      = tidingsv1.SettlementStatus_SETTLEMENT_STATUS_UNKNOWN
)

// work is the subscription that tests share, to the topic "work".
const work = "work"

// newWork creates the topic and a subscription to it. Failed attempts are
// repeated at once unless change says otherwise.
func newWork(t *testing.T, c clients, ordering tidingsv1.Ordering, change ...func(*tidingsv1.Subscription)) {
	t.Helper()
	if _, err := c.topics.CreateTopic(t.Context(), &tidingsv1.CreateTopicRequest{Topic: &tidingsv1.Topic{Name: work}}); err != nil {
		t.Fatal(err)
	}
	s := &tidingsv1.Subscription{
		Name: work, Topic: work, Ordering: ordering,
		RetryPolicy: &tidingsv1.RetryPolicy{MinBackoff: durationpb.New(0), MaxBackoff: durationpb.New(0), Attempts: &tidingsv1.RetryPolicy_UnlimitedAttempts{UnlimitedAttempts: true}},
	}
	for _, f := range change {
		f(s)
	}
	if _, err := c.subscriptions.CreateSubscription(t.Context(), &tidingsv1.CreateSubscriptionRequest{Subscription: s}); err != nil {
		t.Fatal(err)
	}
}

// keyed is an event of a key.
func keyed(id string, key int) *tidingsv1.Event {
	data, err := anypb.New(&ordersv1.OrderCancelled{
		OrderId:     fmt.Sprint("order-", key),
		Reason:      ordersv1.CancellationReason_CANCELLATION_REASON_OUT_OF_STOCK,
		CancelledAt: timestamppb.Now(),
	})
	if err != nil {
		panic(err)
	}
	return &tidingsv1.Event{Id: id, Source: "/work", Data: data}
}

// publishWork publishes events whose keys take turns, and returns their
// sequences.
func publishWork(t *testing.T, c clients, count, keys int) []int64 {
	t.Helper()
	request := &tidingsv1.PublishRequest{Topic: work}
	var sequences []int64
	for i := range count {
		request.Events = append(request.Events, keyed(fmt.Sprint(time.Now().UnixNano(), "-", i), i%keys))
		if len(request.GetEvents()) < 500 && i < count-1 {
			continue
		}
		response, err := c.publisher.Publish(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		for _, receipt := range response.GetReceipts() {
			sequences = append(sequences, receipt.GetSequence())
		}
		request.Events = nil
	}
	return sequences
}

func ack(d *tidingsv1.Delivery) *tidingsv1.Settlement {
	return &tidingsv1.Settlement{DeliveryToken: d.GetDeliveryToken(), Action: &tidingsv1.Settlement_Ack{Ack: new(tidingsv1.Ack)}}
}

func nack(d *tidingsv1.Delivery, n *tidingsv1.Nack) *tidingsv1.Settlement {
	return &tidingsv1.Settlement{DeliveryToken: d.GetDeliveryToken(), Action: &tidingsv1.Settlement_Nack{Nack: n}}
}

func extend(d *tidingsv1.Delivery, by time.Duration) *tidingsv1.Settlement {
	return &tidingsv1.Settlement{DeliveryToken: d.GetDeliveryToken(), Action: &tidingsv1.Settlement_Extend{
		Extend: &tidingsv1.ExtendDeadline{Duration: durationpb.New(by)},
	}}
}

func acks(deliveries []*tidingsv1.Delivery) (settlements []*tidingsv1.Settlement) {
	for _, d := range deliveries {
		settlements = append(settlements, ack(d))
	}
	return settlements
}

func tokens(deliveries []*tidingsv1.Delivery) (list []string) {
	for _, d := range deliveries {
		list = append(list, d.GetDeliveryToken())
	}
	return list
}

// pull pulls until it has a number of events.
func pull(t *testing.T, c clients, count int) (deliveries []*tidingsv1.Delivery) {
	t.Helper()
	for len(deliveries) < count {
		response, err := c.consumer.Pull(t.Context(), &tidingsv1.PullRequest{
			Subscription: work, MaxEvents: int32(min(count-len(deliveries), 1000)), MaxWait: durationpb.New(20 * time.Second),
		})
		if err != nil {
			t.Fatal(err)
		}
		deliveries = append(deliveries, response.GetDeliveries()...)
	}
	return deliveries
}

// settle settles, and wants the same status of all.
func settle(t *testing.T, c clients, want tidingsv1.SettlementStatus, settlements ...*tidingsv1.Settlement) {
	t.Helper()
	for len(settlements) > 0 {
		part := settlements[:min(len(settlements), 10_000)]
		settlements = settlements[len(part):]
		response, err := c.consumer.Settle(t.Context(), &tidingsv1.SettleRequest{Subscription: work, Settlements: part})
		if err != nil {
			t.Fatal(err)
		}
		for i, result := range response.GetResults() {
			if result.GetStatus() != want {
				t.Fatalf("settlement %d of %d: %s, want %s", i, len(part), result.GetStatus(), want)
			}
		}
	}
}

// statistics are those of the subscription.
func statistics(t *testing.T, c clients) *tidingsv1.SubscriptionStatistics {
	t.Helper()
	response, err := c.subscriptions.GetSubscription(t.Context(), &tidingsv1.GetSubscriptionRequest{Name: work})
	if err != nil {
		t.Fatal(err)
	}
	return response.GetSubscription().GetStatistics()
}

// expectIdle checks that nothing is left but a number of dead letters.
func expectIdle(t *testing.T, c clients, dead int64) {
	t.Helper()
	s := statistics(t, c)
	if s.GetBacklogEvents()+s.GetInFlightEvents()+s.GetRetryingEvents()+s.GetBlockedEvents() != 0 || s.GetDeadLetteredEvents() != dead {
		t.Fatalf("%v is left, want nothing but %d dead letters", s, dead)
	}
}

// deadLetters lists all, by sequence.
func deadLetters(t *testing.T, c clients, subscription string) map[int64]*tidingsv1.DeadLetter {
	t.Helper()
	found := make(map[int64]*tidingsv1.DeadLetter)
	request := &tidingsv1.ListDeadLettersRequest{Subscription: subscription, PageSize: 1000}
	for {
		response, err := c.letters.ListDeadLetters(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		for _, letter := range response.GetDeadLetters() {
			sequence := letter.GetRecorded().GetSequence()
			if found[sequence] != nil {
				t.Errorf("event %d is a dead letter twice", sequence)
			}
			found[sequence] = letter
		}
		if request.PageToken = response.GetNextPageToken(); request.GetPageToken() == "" {
			return found
		}
	}
}

// consumption is a Consume stream. It is for one goroutine.
type consumption struct {
	t       *testing.T
	stream  tidingsv1.ConsumerService_ConsumeClient
	opened  *tidingsv1.ConsumeOpened
	pending []*tidingsv1.Delivery
	results []*tidingsv1.SettlementResult
	drained bool
}

// consume opens a stream, again where the subscription is just changing hands.
func consume(ctx context.Context, t *testing.T, c clients, open *tidingsv1.ConsumeOpen) *consumption {
	t.Helper()
	open.Subscription, open.HeartbeatInterval = work, durationpb.New(time.Second)
	for {
		stream, err := c.consumer.Consume(ctx)
		if err == nil {
			err = stream.Send(&tidingsv1.ConsumeRequest{Request: &tidingsv1.ConsumeRequest_Open{Open: open}})
		}
		if err != nil && !errors.Is(err, io.EOF) { // io.EOF: the error is Recv's.
			t.Fatal(err)
		}
		s := &consumption{t: t, stream: stream}
		if err = s.frame(); err == nil && s.opened != nil {
			return s
		}
		if status.Code(err) != codes.Unavailable {
			t.Fatalf("opening: %v", err)
		}
	}
}

// frame receives a frame.
func (s *consumption) frame() error {
	response, err := s.stream.Recv()
	if err != nil {
		return err
	}
	switch frame := response.GetFrame().(type) {
	case *tidingsv1.ConsumeResponse_Opened:
		s.opened = frame.Opened
	case *tidingsv1.ConsumeResponse_Deliveries:
		s.pending = append(s.pending, frame.Deliveries.GetDeliveries()...)
	case *tidingsv1.ConsumeResponse_Settled:
		s.results = append(s.results, frame.Settled.GetResults()...)
	case *tidingsv1.ConsumeResponse_Draining:
		s.drained = true
	}
	return nil
}

// next waits for a number of deliveries.
func (s *consumption) next(count int) []*tidingsv1.Delivery {
	s.t.Helper()
	for len(s.pending) < count {
		if err := s.frame(); err != nil {
			s.t.Fatal(err)
		}
	}
	taken := s.pending[:count:count]
	s.pending = s.pending[count:]
	return taken
}

// settle settles and waits for the results, which are to be the same.
func (s *consumption) settle(want tidingsv1.SettlementStatus, settlements ...*tidingsv1.Settlement) {
	s.t.Helper()
	s.results = nil
	if err := s.stream.Send(&tidingsv1.ConsumeRequest{Request: &tidingsv1.ConsumeRequest_Settle{
		Settle: &tidingsv1.SettlementBatch{Settlements: settlements},
	}}); err != nil {
		s.t.Fatal(err)
	}
	for len(s.results) < len(settlements) {
		if err := s.frame(); err != nil {
			s.t.Fatal(err)
		}
	}
	for i, result := range s.results {
		if result.GetStatus() != want {
			s.t.Fatalf("settlement %d of %d: %s, want %s", i, len(settlements), result.GetStatus(), want)
		}
	}
}

// end waits until the server ends the stream, and returns the code.
func (s *consumption) end() codes.Code {
	for {
		if err := s.frame(); err != nil {
			return status.Code(err)
		}
	}
}

// held checks what the server said of the held tokens.
func (s *consumption) held(want tidingsv1.SettlementStatus, count int) {
	s.t.Helper()
	if got := len(s.opened.GetHeld()); got != count {
		s.t.Fatalf("%d held tokens are answered, want %d", got, count)
	}
	for i, result := range s.opened.GetHeld() {
		if result.GetStatus() != want {
			s.t.Fatalf("held token %d: %s, want %s", i, result.GetStatus(), want)
		}
	}
}

// expectAttempt checks which attempt deliveries are.
func expectAttempt(t *testing.T, want int32, deliveries []*tidingsv1.Delivery) {
	t.Helper()
	for _, d := range deliveries {
		if d.GetAttempt() != want {
			t.Fatalf("event %d is delivered with attempt %d, want %d", d.GetRecorded().GetSequence(), d.GetAttempt(), want)
		}
	}
}

// expectSame checks that the deliveries are of these events, each once, in any
// order.
func expectSame(t *testing.T, got []*tidingsv1.Delivery, want []int64) {
	t.Helper()
	left := make(map[int64]bool)
	for _, sequence := range want {
		left[sequence] = true
	}
	for _, d := range got {
		if !left[d.GetRecorded().GetSequence()] {
			t.Fatalf("event %d is delivered twice or is none of those wanted", d.GetRecorded().GetSequence())
		}
		delete(left, d.GetRecorded().GetSequence())
	}
	if len(left) > 0 {
		t.Fatalf("%d of %d events are not delivered", len(left), len(want))
	}
}

func sequencesOf(deliveries []*tidingsv1.Delivery) (sequences []int64) {
	for _, d := range deliveries {
		sequences = append(sequences, d.GetRecorded().GetSequence())
	}
	return sequences
}
