package rpc_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	ordersv1 "example.com/tidings/examples/events/gen/shop/orders/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

func TestPublish(t *testing.T) {
	t.Run("receipts", each(func(t *testing.T, c client) {
		topic := newTopic(t, c)
		for request := range int64(2) {
			receipts := publish(t, c, topic, orders(t, fmt.Sprint(request), 3)...)
			var want []*tidingsv1.Receipt
			for i := range int64(3) {
				want = append(want, &tidingsv1.Receipt{Index: i, Sequence: 1 + 3*request + i})
			}
			if diff := cmp.Diff(want, receipts, protocmp.Transform()); diff != "" {
				t.Errorf("other receipts (-want +got):\n%s", diff)
			}
		}
	}))
	t.Run("most events of a request", some(func(t *testing.T, c client) {
		topic := newTopic(t, c)
		var events []*tidingsv1.Event
		for i := range 4096 {
			events = append(events, event(t, fmt.Sprint(i), &ordersv1.Money{CurrencyCode: "EUR"}))
		}
		receipts := publish(t, c, topic, events...)
		if last := receipts[len(receipts)-1]; len(receipts) != 4096 || last.GetSequence() != 4096 || last.GetIndex() != 4095 {
			t.Errorf("%d receipts, the last is %v", len(receipts), last)
		}
	}))
	t.Run("to the topic of the type", some(func(t *testing.T, c client) {
		id := newName()
		response, err := c.Publish(testContext(t), &tidingsv1.PublishRequest{
			Events: []*tidingsv1.Event{event(t, id, placed(id)), event(t, id+"b", paid(id))},
		})
		if err != nil {
			t.Fatal(err)
		}
		if response.GetTopic() != "orders" || len(response.GetReceipts()) != 2 {
			t.Errorf("published as %v", response)
		}
	}))
	t.Run("type without a topic to a topic", some(func(t *testing.T, c client) {
		publish(t, c, newTopic(t, c), event(t, "money", &ordersv1.Money{CurrencyCode: "EUR"}))
	}))
	t.Run("partition key of the payload", each(func(t *testing.T, c client) {
		topic := newTopic(t, c)
		given, none := event(t, "2", placed("o-2")), event(t, "4", placed("o-4"))
		given.PartitionKey, none.PartitionKey = new("mine"), new("")
		sent := []*tidingsv1.Event{event(t, "1", placed("o-1")), given, event(t, "3", &ordersv1.Money{CurrencyCode: "EUR"}), none}
		receipts := publish(t, c, topic, sent...)
		for i, want := range []*tidingsv1.Event{keyed(sent[0], "o-1"), keyed(sent[1], "mine"), sent[2], none} {
			response, err := c.GetEvent(testContext(t), &tidingsv1.GetEventRequest{Topic: topic, Sequence: receipts[i].GetSequence()})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, response.GetRecorded().GetEvent(), protocmp.Transform()); diff != "" {
				t.Errorf("event %d is stored otherwise (-want +got):\n%s", i, diff)
			}
		}
	}))
}

// An event may say that it has no key, whatever its type declares.
func TestNoPartitionKey(t *testing.T) {
	t.Run("", some(func(t *testing.T, c client) {
		topic := newTopic(t, c)
		publish(t, c, topic, keyed(event(t, "none", placed("o")), ""), event(t, "filled", placed("o")), event(t, "nothing", &ordersv1.Money{CurrencyCode: "EUR"}))
		wantRead := func(filter *tidingsv1.EventFilter, want string) {
			t.Helper()
			var ids []string
			for _, e := range openRead(t, c, &tidingsv1.ReadRequest{Topic: topic, Filter: filter, Stop: stopCaughtUp}).untilEnd().events {
				ids = append(ids, e.GetEvent().GetId())
			}
			if got := strings.Join(ids, " "); got != want {
				t.Errorf("%v: %q are read, want %q", filter, got, want)
			}
		}
		types := []string{orderPlaced, "shop.orders.v1.Money"}
		wantRead(&tidingsv1.EventFilter{EventTypes: types, Cel: "event.partition_key == ''"}, "none nothing")
		wantRead(&tidingsv1.EventFilter{EventTypes: types, Cel: "has(event.partition_key)"}, "none filled")
		wantRead(&tidingsv1.EventFilter{Attributes: exactly("partitionkey", "o")}, "filled")
		wantRead(&tidingsv1.EventFilter{Attributes: except(exactly("partitionkey", "o"))}, "none nothing")
		if _, err := tryPublish(t, c, topic, one(t, "next", "o"), ofKey("o", lastSequence(2))); err != nil {
			t.Error(err)
		}
	}))
}

func TestPublishSkipsInvalid(t *testing.T) {
	t.Run("some", each(func(t *testing.T, c client) {
		topic := newTopic(t, c)
		response, err := c.Publish(testContext(t), &tidingsv1.PublishRequest{
			Topic: topic, SkipInvalid: true,
			Events: []*tidingsv1.Event{event(t, "0", placed("o")), invalid(t, "1"), event(t, "2", paid("o")), {Source: "/test", Data: mustAny(t, paid("o"))}},
		})
		if err != nil {
			t.Fatal(err)
		}
		want := []*tidingsv1.Receipt{{Index: 0, Sequence: 1}, {Index: 2, Sequence: 2}}
		if diff := cmp.Diff(want, response.GetReceipts(), protocmp.Transform()); diff != "" {
			t.Errorf("other receipts (-want +got):\n%s", diff)
		}
		refused := response.GetRefusedEvents()
		if len(refused) != 2 || refused[0].GetIndex() != 1 || refused[0].GetId() != "1" || refused[1].GetIndex() != 3 || refused[1].GetId() != "" {
			t.Fatalf("refused %v", refused)
		}
		wantError(t, refused[0].GetError(), because(codes.InvalidArgument, "EVENT_INVALID").at("events[1].data.email"))
		wantError(t, refused[1].GetError(), because(codes.InvalidArgument, "EVENT_INVALID").at("events[3].id"))
	}))
	t.Run("all", some(func(t *testing.T, c client) {
		topic := newTopic(t, c)
		response, err := c.Publish(testContext(t), &tidingsv1.PublishRequest{
			Topic: topic, SkipInvalid: true, Events: []*tidingsv1.Event{invalid(t, "0"), invalid(t, "1")},
		})
		if err != nil {
			t.Fatal(err)
		}
		if response.GetTopic() != topic || len(response.GetReceipts()) != 0 || len(response.GetRefusedEvents()) != 2 || latest(t, c, topic) != 0 {
			t.Errorf("got %v", response)
		}
	}))
	t.Run("not the rules about the request", some(func(t *testing.T, c client) {
		_, err := c.Publish(testContext(t), &tidingsv1.PublishRequest{Topic: newTopic(t, c), SkipInvalid: true})
		wantRefusal(t, err, because(codes.InvalidArgument, "REQUEST_INVALID").at("events"))
	}))
}

// TestPublishRefuses holds what is refused, and that nothing of a refused
// request is stored.
func TestPublishRefuses(t *testing.T) {
	eventInvalid := because(codes.InvalidArgument, "EVENT_INVALID")
	requestInvalid := because(codes.InvalidArgument, "REQUEST_INVALID")
	undetermined := because(codes.InvalidArgument, "TOPIC_UNDETERMINED").at("topic")
	for name, test := range map[string]struct {
		// change makes a request wrong that has valid events 0 to 3 and names a
		// topic.
		change func(*testing.T, *tidingsv1.PublishRequest)
		want   refusal
		needs  []need
	}{
		"invalid payload": {func(t *testing.T, r *tidingsv1.PublishRequest) { r.Events[3] = invalid(t, "3") },
			eventInvalid.at("events[3].data.email"), nil},
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
		"unknown type": {func(t *testing.T, r *tidingsv1.PublishRequest) { r.Events[1] = event(t, "1", &tidingsv1.Topic{}) },
			because(codes.InvalidArgument, "EVENT_TYPE_UNKNOWN", "type", "tidings.v1.Topic").at("events[1].data.type_url"), nil},
		"unknown type that nobody has": {func(_ *testing.T, r *tidingsv1.PublishRequest) { r.Events[1].Data.TypeUrl = "a.b/c.D" },
			because(codes.InvalidArgument, "EVENT_TYPE_UNKNOWN", "type", "c.D").at("events[1].data.type_url"), []need{opaquePayloads}},
		"malformed payload": {func(_ *testing.T, r *tidingsv1.PublishRequest) { r.Events[2].Data.Value = []byte{0x0a, 0xff} },
			because(codes.InvalidArgument, "EVENT_MALFORMED").at("events[2].data.value"), []need{opaquePayloads}},
		"unknown field of the event": {func(_ *testing.T, r *tidingsv1.PublishRequest) {
			r.GetEvents()[2].ProtoReflect().SetUnknown([]byte{0xa0, 0x06, 0x01}) // Field 100, of a later contract.
		}, eventInvalid.at("events[2].100"), []need{opaquePayloads}},
		"unknown field of the payload": {func(_ *testing.T, r *tidingsv1.PublishRequest) {
			r.Events[2].Data.Value = append(r.Events[2].Data.Value, 0xa0, 0x06, 0x01)
		}, eventInvalid.at("events[2].data.100"), []need{opaquePayloads}},
		"type URL without a name": {func(_ *testing.T, r *tidingsv1.PublishRequest) { r.Events[2].Data.TypeUrl = "type.googleapis.com/" },
			because(codes.InvalidArgument, "EVENT_MALFORMED").at("events[2].data.type_url"), []need{opaquePayloads}},
		"a message of protobuf's own": {func(t *testing.T, r *tidingsv1.PublishRequest) { r.Events[1] = event(t, "1", timestamppb.Now()) },
			because(codes.InvalidArgument, "EVENT_TYPE_UNKNOWN", "type", "google.protobuf.Timestamp").at("events[1].data.type_url"), nil},
		"no type": {func(_ *testing.T, r *tidingsv1.PublishRequest) { r.Events[2].Data = new(anypb.Any) },
			because(codes.InvalidArgument, "EVENT_MALFORMED").at("events[2].data.type_url"), nil},
		"no data": {func(_ *testing.T, r *tidingsv1.PublishRequest) { r.Events[2].Data = nil }, eventInvalid.at("events[2].data"), nil},
		"large event": {func(t *testing.T, r *tidingsv1.PublishRequest) { r.Events[1] = bulky(t, "1", testEventBytes) },
			because(codes.ResourceExhausted, "EVENT_TOO_LARGE", "limit", fmt.Sprint(testEventBytes), "size", anything), nil},
		"no id":     {func(_ *testing.T, r *tidingsv1.PublishRequest) { r.Events[0].Id = "" }, eventInvalid.at("events[0].id"), nil},
		"no source": {func(_ *testing.T, r *tidingsv1.PublishRequest) { r.Events[0].Source = "" }, eventInvalid.at("events[0].source"), nil},
		"id and source": {func(_ *testing.T, r *tidingsv1.PublishRequest) {
			r.Events[0].Id, r.Events[0].Source = "a\x00b", "a b"
		}, eventInvalid.at("events[0].id", "events[0].source"), nil},
		"long id": {func(_ *testing.T, r *tidingsv1.PublishRequest) { r.Events[0].Id = strings.Repeat("é", 257) },
			eventInvalid.at("events[0].id"), nil},
		"long subject": {func(_ *testing.T, r *tidingsv1.PublishRequest) { r.Events[0].Subject = strings.Repeat("a", 1025) },
			eventInvalid.at("events[0].subject"), nil},
		"DEL in the key": {func(_ *testing.T, r *tidingsv1.PublishRequest) { r.Events[0].PartitionKey = new("\x7f") },
			eventInvalid.at("events[0].partition_key"), nil},
		"key of the payload that can't be one": {func(t *testing.T, r *tidingsv1.PublishRequest) { r.Events[0] = event(t, "0", placed("a\tb")) },
			eventInvalid.at("events[0].data.order_id"), nil},
		"attribute name": {func(_ *testing.T, r *tidingsv1.PublishRequest) {
			r.Events[0].Attributes = map[string]string{"Trace": "1"}
		},
			eventInvalid.at(`events[0].attributes["Trace"]`), nil},
		"attribute name that is taken": {func(_ *testing.T, r *tidingsv1.PublishRequest) {
			r.Events[0].Attributes = map[string]string{"partitionkey": "1"}
		}, eventInvalid.at(`events[0].attributes["partitionkey"]`), nil},
		"attribute name that is reserved": {func(_ *testing.T, r *tidingsv1.PublishRequest) {
			r.Events[0].Attributes = map[string]string{"tidingsretry": "1"}
		}, eventInvalid.at(`events[0].attributes["tidingsretry"]`), nil},
		"long attribute": {func(_ *testing.T, r *tidingsv1.PublishRequest) {
			r.Events[0].Attributes = map[string]string{"trace": strings.Repeat("x", 4097)}
		}, eventInvalid.at(`events[0].attributes["trace"]`), nil},
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

		"no events": {func(_ *testing.T, r *tidingsv1.PublishRequest) { r.Events = nil }, requestInvalid.at("events"), nil},
		"too many events": {func(_ *testing.T, r *tidingsv1.PublishRequest) {
			r.Events = slices.Repeat([]*tidingsv1.Event{{}}, 4097)
		}, requestInvalid.at("events").and("limit", "4096"), nil},
		"request id": {func(_ *testing.T, r *tidingsv1.PublishRequest) { r.RequestId = "a\x00" }, requestInvalid.at("request_id"), nil},
		"long request id": {func(_ *testing.T, r *tidingsv1.PublishRequest) { r.RequestId = strings.Repeat("a", 129) },
			requestInvalid.at("request_id"), nil},
		"negative precondition": {func(_ *testing.T, r *tidingsv1.PublishRequest) {
			r.Preconditions = []*tidingsv1.Precondition{lastSequence(-1)}
		}, requestInvalid.at("preconditions[0].last_sequence"), nil},
		"topic name": {func(_ *testing.T, r *tidingsv1.PublishRequest) { r.Topic = "A" }, requestInvalid.at("topic"), nil},
		"request too large": {func(t *testing.T, r *tidingsv1.PublishRequest) {
			for i := range testRequestBytes/(testEventBytes/2) + 1 {
				r.Events = append(r.Events, bulky(t, fmt.Sprint("x", i), testEventBytes/2))
			}
		}, because(codes.ResourceExhausted, "REQUEST_TOO_LARGE", "limit", fmt.Sprint(testRequestBytes), "size", anything), nil},

		"topic of no type": {func(t *testing.T, r *tidingsv1.PublishRequest) {
			r.Topic, r.Events = "", []*tidingsv1.Event{event(t, "1", &ordersv1.Money{CurrencyCode: "EUR"})}
		}, undetermined, nil},
		"topic of the first type only": {func(t *testing.T, r *tidingsv1.PublishRequest) {
			r.Topic, r.Events[1] = "", event(t, "1", &ordersv1.Money{CurrencyCode: "EUR"})
		}, undetermined, nil},
		"topic of the last type only": {func(t *testing.T, r *tidingsv1.PublishRequest) {
			r.Topic, r.Events[0] = "", event(t, "1", &ordersv1.Money{CurrencyCode: "EUR"})
		}, undetermined, nil},
	} {
		t.Run(name, some(func(t *testing.T, c client) {
			topic := newTopic(t, c)
			before := latest(t, c, "orders")
			request := &tidingsv1.PublishRequest{Topic: topic, Events: orders(t, topic, 4)}
			test.change(t, request)
			_, err := c.Publish(testContext(t), request)
			wantRefusal(t, err, test.want)
			if got := latest(t, c, topic); got != 0 {
				t.Errorf("stored up to %d", got)
			}
			if request.GetTopic() != "" {
				return
			}
			// Other tests publish there at the same time.
			since := openRead(t, c, &tidingsv1.ReadRequest{Topic: "orders", Start: fromSequence(before + 1), Stop: stopCaughtUp})
			for _, e := range since.untilEnd().events {
				if strings.HasPrefix(e.GetEvent().GetId(), topic+"-") {
					t.Errorf("stored %v", e)
				}
			}
		}, test.needs...))
	}
	t.Run("type not allowed", some(func(t *testing.T, c client) {
		topic := newTopic(t, c, func(topic *tidingsv1.Topic) { topic.Settings.EventTypes = []string{orderPlaced} })
		_, err := c.Publish(testContext(t), &tidingsv1.PublishRequest{Topic: topic, Events: []*tidingsv1.Event{event(t, "0", placed("o")), event(t, "1", paid("o"))}})
		wantRefusal(t, err, because(codes.FailedPrecondition, "EVENT_TYPE_NOT_ALLOWED", "type", orderPaid, "topic", topic).at("events[1].data.type_url"))
		if got := latest(t, c, topic); got != 0 {
			t.Errorf("stored up to %d", got)
		}
	}))
	t.Run("no topic", each(func(t *testing.T, c client) {
		name := newName()
		_, err := c.Publish(testContext(t), &tidingsv1.PublishRequest{Topic: name, Events: orders(t, "a", 1)})
		wantRefusal(t, err, because(codes.NotFound, "TOPIC_NOT_FOUND", "topic", name))
	}))
}

// validTimes: JSON has no way to write a time that isn't one.
var validTimes = need{"JSON can't write a time out of range", func(t transport) bool { return !t.json }}

func mustAny(t *testing.T, payload proto.Message) *anypb.Any {
	t.Helper()
	return event(t, "", payload).GetData()
}
