package rpc_test

import (
	"fmt"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// TestPublishRefuses holds what is refused that no conformance case can send or has
// the schemas for, and that nothing of it is stored.
func TestPublishRefuses(t *testing.T) {
	eventInvalid := because(codes.InvalidArgument, "EVENT_INVALID")
	for name, test := range map[string]struct {
		// change makes a request wrong that has valid events 0 to 3 and names a
		// topic.
		change func(*testing.T, *tidingsv1.PublishRequest)
		want   refusal
		needs  []need
	}{
		"rule about the whole payload": {func(t *testing.T, r *tidingsv1.PublishRequest) {
			order := placed("o")
			order.Total.CurrencyCode = "JPY"
			r.Events[2] = event(t, "2", order)
		}, eventInvalid.at("events[2].data"), nil},
		"deep in the payload": {func(t *testing.T, r *tidingsv1.PublishRequest) {
			order := placed("o")
			order.Items = append(order.Items, proto.CloneOf(order.GetItems()[0]))
			order.Items[1].Quantity = 0
			order.Items[1].Sku = "no"
			r.Events[1] = event(t, "1", order)
		}, eventInvalid.at("events[1].data.items[1].sku", "events[1].data.items[1].quantity"), nil},
		"unknown field of the event": {func(_ *testing.T, r *tidingsv1.PublishRequest) {
			r.GetEvents()[2].ProtoReflect().SetUnknown([]byte{0xa0, 0x06, 0x01}) // Field 100, of a later contract.
		}, eventInvalid.at("events[2].100"), []need{opaquePayloads}},
		"too many attributes": {func(_ *testing.T, r *tidingsv1.PublishRequest) {
			r.Events[0].Attributes = make(map[string]string)
			for i := range 65 {
				r.Events[0].Attributes[fmt.Sprintf("a%d", i)] = ""
			}
		}, eventInvalid.at("events[0].attributes"), nil},
		"time before year 1": {func(_ *testing.T, r *tidingsv1.PublishRequest) {
			r.Events[0].Time = &timestamppb.Timestamp{Seconds: -62135596801}
		}, eventInvalid.at("events[0].time"), []need{validTimes}},
		"time after year 9999": {func(_ *testing.T, r *tidingsv1.PublishRequest) {
			r.Events[0].Time = &timestamppb.Timestamp{Seconds: 253402300800}
		}, eventInvalid.at("events[0].time"), []need{validTimes}},
		"nanoseconds": {func(_ *testing.T, r *tidingsv1.PublishRequest) {
			r.Events[0].Time = &timestamppb.Timestamp{Nanos: 1_000_000_000}
		}, eventInvalid.at("events[0].time"), []need{validTimes}},
	} {
		t.Run(name, some(func(t *testing.T, c client) {
			topic := newTopic(t, c)
			request := &tidingsv1.PublishRequest{Topic: topic, Events: orders(t, topic, 4)}
			test.change(t, request)
			_, err := c.Publish(testContext(t), request)
			wantRefusal(t, err, test.want)
			if got := latest(t, c, topic); got != 0 {
				t.Errorf("stored up to %d", got)
			}
		}, test.needs...))
	}
}

// validTimes: JSON has no way to write a time that isn't one.
var validTimes = need{"JSON can't write a time out of range", func(t transport) bool { return !t.json }}
