package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	conformancev1 "example.com/tidings/conformance/gen/go/tidings/conformance/v1"
	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

const (
	source      = "/interop"
	description = "interop"
	// tailed is the id of the event that is published while the topic is read.
	tailed = "tailed"
)

// scenario is one run of the steps.
type scenario struct {
	server      server
	topic       string
	golden, out string
}

func (s scenario) createTopic(ctx context.Context) error {
	request := &tidingsv1.CreateTopicRequest{Topic: &tidingsv1.Topic{Name: s.topic, Settings: &optionsv1.TopicSettings{Description: description}}}
	if _, err := s.server.CreateTopic(ctx, request); err != nil {
		return err
	}
	response, err := s.server.GetTopic(ctx, &tidingsv1.GetTopicRequest{Name: s.topic})
	if err != nil {
		return err
	}
	if got := response.GetTopic().GetSettings().GetDescription(); got != description {
		return fmt.Errorf("the description is %q, want %q", got, description)
	}
	_, err = s.server.CreateTopic(ctx, request)
	return s.expect(err, codes.AlreadyExists, "TOPIC_ALREADY_EXISTS", "")
}

func (s scenario) publish(ctx context.Context) error {
	request := &tidingsv1.PublishRequest{Topic: s.topic}
	for _, value := range values() {
		data, err := anypb.New(value)
		if err != nil {
			return err
		}
		request.Events = append(request.Events, &tidingsv1.Event{Id: value.GetName(), Source: source, Data: data})
	}
	first, err := s.server.Publish(ctx, request)
	if err != nil {
		return err
	}
	again, err := s.server.Publish(ctx, request)
	if err != nil {
		return err
	}
	if len(first.GetReceipts()) != len(request.GetEvents()) || len(again.GetReceipts()) != len(request.GetEvents()) {
		return fmt.Errorf("%d and %d receipts, want %d", len(first.GetReceipts()), len(again.GetReceipts()), len(request.GetEvents()))
	}
	last := int64(0)
	for i, receipt := range first.GetReceipts() {
		repeated := again.GetReceipts()[i]
		switch {
		case receipt.GetDuplicate() || receipt.GetSequence() <= last:
			return fmt.Errorf("the receipt %v after the sequence %d", receipt, last)
		case !repeated.GetDuplicate() || repeated.GetSequence() != receipt.GetSequence():
			return fmt.Errorf("the receipt %v, and when repeated %v", receipt, repeated)
		}
		last = receipt.GetSequence()
	}
	return nil
}

func (s scenario) publishInvalid(ctx context.Context) error {
	value := full()
	value.Email = "not-an-address"
	data, err := anypb.New(value)
	if err != nil {
		return err
	}
	_, err = s.server.Publish(ctx, &tidingsv1.PublishRequest{
		Topic:  s.topic,
		Events: []*tidingsv1.Event{{Id: "refused", Source: source, Data: data}},
	})
	return s.expect(err, codes.InvalidArgument, "EVENT_INVALID", "events[0].data.email")
}

func (s scenario) read(ctx context.Context) error {
	var events []*tidingsv1.RecordedEvent
	err := s.server.read(ctx, &tidingsv1.ReadRequest{
		Topic: s.topic,
		Start: &tidingsv1.StartPosition{Position: &tidingsv1.StartPosition_Boundary{Boundary: tidingsv1.StartBoundary_START_BOUNDARY_EARLIEST}},
		Stop:  &tidingsv1.StopPosition{Position: &tidingsv1.StopPosition_CaughtUp{CaughtUp: true}},
	}, func(frame *tidingsv1.ReadResponse) bool {
		events = append(events, frame.GetEvents().GetEvents()...)
		return true
	})
	if err != nil {
		return err
	}
	want := values()
	if len(events) != len(want) {
		return fmt.Errorf("%d events, want %d", len(events), len(want))
	}
	for i, event := range events {
		if err := holds(event.GetEvent(), want[i].GetName(), want[i]); err != nil {
			return err
		}
	}
	return nil
}

// fromNow asks for what is stored from now on, without a bound.
func (s scenario) fromNow() *tidingsv1.ReadRequest {
	return &tidingsv1.ReadRequest{
		Topic: s.topic,
		Start: &tidingsv1.StartPosition{Position: &tidingsv1.StartPosition_Boundary{Boundary: tidingsv1.StartBoundary_START_BOUNDARY_NEW}},
	}
}

func (s scenario) tail(ctx context.Context) error {
	var event *tidingsv1.RecordedEvent
	var published error
	err := s.server.read(ctx, s.fromNow(), func(frame *tidingsv1.ReadResponse) bool {
		if frame.GetCaughtUp() != nil {
			published = s.server.publishOne(ctx, s.topic, tailed, full())
		}
		if events := frame.GetEvents().GetEvents(); len(events) > 0 {
			event = events[0]
		}
		return event == nil && published == nil
	})
	if err := errors.Join(published, err); err != nil {
		return err
	}
	return holds(event.GetEvent(), tailed, full())
}

func (s scenario) consume(ctx context.Context) error {
	_, err := s.server.CreateSubscription(ctx, &tidingsv1.CreateSubscriptionRequest{
		Subscription: &tidingsv1.Subscription{
			Name: s.topic, Topic: s.topic,
			RetryPolicy: &tidingsv1.RetryPolicy{MinBackoff: durationpb.New(100 * time.Millisecond), MaxBackoff: durationpb.New(time.Second)},
		},
		Start: &tidingsv1.StartPosition{Position: &tidingsv1.StartPosition_Boundary{Boundary: tidingsv1.StartBoundary_START_BOUNDARY_EARLIEST}},
	})
	if err != nil {
		return err
	}
	want := []string{tailed}
	for _, value := range values() {
		want = append(want, value.GetName())
	}
	var acknowledged []string
	var attempts []int32 // of full
	// One settlement more than events: full is settled twice.
	results, err := s.server.consume(ctx, s.topic, len(want)+1, func(delivery *tidingsv1.Delivery) *tidingsv1.Settlement {
		settlement := &tidingsv1.Settlement{DeliveryToken: delivery.GetDeliveryToken()}
		id := delivery.GetRecorded().GetEvent().GetId()
		if id == "full" {
			attempts = append(attempts, delivery.GetAttempt())
			if len(attempts) == 1 {
				settlement.Action = &tidingsv1.Settlement_Nack{Nack: &tidingsv1.Nack{Kind: tidingsv1.NackKind_NACK_KIND_RETRY}}
				return settlement
			}
		}
		acknowledged = append(acknowledged, id)
		settlement.Action = &tidingsv1.Settlement_Ack{Ack: &tidingsv1.Ack{}}
		return settlement
	})
	if err != nil {
		return err
	}
	for _, result := range results {
		if result.GetStatus() != tidingsv1.SettlementStatus_SETTLEMENT_STATUS_APPLIED {
			return fmt.Errorf("a settlement is %v", result.GetStatus())
		}
	}
	if !slices.Equal(attempts, []int32{1, 2}) {
		return fmt.Errorf("the attempts of full are %v, want 1 and 2", attempts)
	}
	slices.Sort(acknowledged)
	slices.Sort(want)
	if !slices.Equal(acknowledged, want) {
		return fmt.Errorf("acknowledged %q, want %q", acknowledged, want)
	}
	return nil
}

func (s scenario) exceedDeadline(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	err := s.server.read(ctx, s.fromNow(), func(*tidingsv1.ReadResponse) bool { return true })
	return s.expect(err, codes.DeadlineExceeded, "", "")
}

func (s scenario) cancel(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	err := s.server.read(ctx, s.fromNow(), func(frame *tidingsv1.ReadResponse) bool {
		if frame.GetCaughtUp() != nil {
			cancel()
		}
		return true
	})
	return s.expect(err, codes.Canceled, "", "")
}

// expect wants a call to have ended with a code and, where they are given, with a
// reason and with a field that violates a rule.
func (s scenario) expect(err error, code codes.Code, reason, field string) error {
	if err == nil {
		return fmt.Errorf("expected %v, got OK", code)
	}
	gotCode, details := s.server.refusal(err)
	var gotReason string
	var gotFields []string
	for _, detail := range details {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			gotReason = detail.GetReason()
		case *errdetails.BadRequest:
			for _, violation := range detail.GetFieldViolations() {
				gotFields = append(gotFields, violation.GetField())
			}
		}
	}
	if gotCode != code || reason != "" && gotReason != reason || field != "" && !slices.Contains(gotFields, field) {
		return fmt.Errorf("expected %v %s %s, got %v %s %q: %w", code, reason, field, gotCode, gotReason, gotFields, err)
	}
	return nil
}

// holds wants an event to have an id and to hold a value.
func holds(event *tidingsv1.Event, id string, want *conformancev1.EveryKind) error {
	got := new(conformancev1.EveryKind)
	if err := event.GetData().UnmarshalTo(got); err != nil {
		return err
	}
	if event.GetId() != id || !proto.Equal(got, want) {
		return fmt.Errorf("the event %s holds %v, want %s with %v", event.GetId(), got, id, want)
	}
	return nil
}
