package service

import (
	"errors"
	"testing"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/schema"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

func TestWrongTimes(t *testing.T) {
	// Within the bounds that the rules of the fields have, so that nothing else
	// is wrong.
	long, mixed := &durationpb.Duration{Seconds: 60, Nanos: 1_500_000_000}, &durationpb.Duration{Seconds: 60, Nanos: -1}
	late, early := &timestamppb.Timestamp{Seconds: 253402300800}, &timestamppb.Timestamp{Nanos: -1}
	start := func(at *timestamppb.Timestamp) *tidingsv1.StartPosition {
		return &tidingsv1.StartPosition{Position: &tidingsv1.StartPosition_Time{Time: at}}
	}
	for field, request := range map[string]proto.Message{
		"topic.settings.dedupe_window":     &tidingsv1.CreateTopicRequest{Topic: &tidingsv1.Topic{Name: "a", Settings: &optionsv1.TopicSettings{DedupeWindow: long}}},
		"topic.settings.retention.max_age": &tidingsv1.UpdateTopicRequest{Topic: &tidingsv1.Topic{Name: "a", Settings: &optionsv1.TopicSettings{Retention: &optionsv1.Retention{MaxAge: mixed}}}},
		"topic.create_time":                &tidingsv1.CreateTopicRequest{Topic: &tidingsv1.Topic{Name: "a", CreateTime: late}},
		"heartbeat_interval":               &tidingsv1.ReadRequest{Topic: "a", HeartbeatInterval: long},
		"start.time":                       &tidingsv1.ReadRequest{Topic: "a", Start: start(early)},
		"stop.time": &tidingsv1.ReadRequest{Topic: "a", Stop: &tidingsv1.StopPosition{
			Position: &tidingsv1.StopPosition_Time{Time: late},
		}},
		"subscription.ack_deadline": &tidingsv1.CreateSubscriptionRequest{Subscription: &tidingsv1.Subscription{Name: "a", AckDeadline: long}},
		"subscription.retry_policy.max_backoff": &tidingsv1.UpdateSubscriptionRequest{Subscription: &tidingsv1.Subscription{
			Name: "a", RetryPolicy: &tidingsv1.RetryPolicy{MaxBackoff: mixed},
		}},
		"position.time":   &tidingsv1.SeekSubscriptionRequest{Name: "a", Position: start(late)},
		"filter.before":   &tidingsv1.ListDeadLettersRequest{Subscription: "a", Filter: &tidingsv1.DeadLetterFilter{Before: late}},
		"extend.duration": &tidingsv1.Settlement{DeliveryToken: "2", Action: &tidingsv1.Settlement_Extend{Extend: &tidingsv1.ExtendDeadline{Duration: mixed}}},
	} {
		err := CheckRequest(request)
		refusal, ok := errors.AsType[*Error](err)
		if !ok || refusal.Reason != tidingsv1.ErrorReason_ERROR_REASON_REQUEST_INVALID || len(refusal.Fields) != 1 || refusal.Fields[0].GetField() != field {
			t.Errorf("%v: %v, want REQUEST_INVALID at %s", request, err, field)
			continue
		}
		if text := protovalidate.FieldPathString(refusal.Violations.GetViolations()[0].GetField()); text != field {
			t.Errorf("the path is %q, want %q", text, field)
		}
	}
}

// The settlements of a request are checked one by one.
func TestWrongTimesApart(t *testing.T) {
	wrong := &tidingsv1.Settlement{Action: &tidingsv1.Settlement_Extend{Extend: &tidingsv1.ExtendDeadline{
		Duration: &durationpb.Duration{Seconds: 60, Nanos: -1},
	}}}
	for _, request := range []proto.Message{
		&tidingsv1.SettleRequest{Subscription: "a", Settlements: []*tidingsv1.Settlement{wrong}},
		&tidingsv1.ConsumeRequest{Request: &tidingsv1.ConsumeRequest_Settle{Settle: &tidingsv1.SettlementBatch{Settlements: []*tidingsv1.Settlement{wrong}}}},
	} {
		if err := CheckRequest(request); err != nil {
			t.Errorf("%v: %v", request, err)
		}
	}
}

// What was stored before such durations were refused has a form in JSON.
func TestStoredDurations(t *testing.T) {
	wrong := &durationpb.Duration{Seconds: 60, Nanos: 1_500_000_000}
	topic := topicProto(&engine.Topic{Name: "a", Config: &storagev1.TopicConfig{
		DedupeWindow: wrong, Retention: &optionsv1.Retention{MaxAge: wrong, MaxBytes: 7},
	}}, new(schema.Set))
	got, err := protojson.Marshal(topic)
	if err != nil {
		t.Fatal(err)
	}
	shown := new(tidingsv1.Topic)
	if err := protojson.Unmarshal(got, shown); err != nil {
		t.Fatal(err)
	}
	if shown.GetSettings().GetDedupeWindow().AsDuration() != wrong.AsDuration() || shown.GetSettings().GetRetention().GetMaxAge().AsDuration() != wrong.AsDuration() || shown.GetSettings().GetRetention().GetMaxBytes() != 7 {
		t.Errorf("shown is %s", got)
	}
	if valid(nil) != nil {
		t.Error("what isn't set is shown")
	}
}
