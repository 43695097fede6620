package rpc_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	ordersv1 "example.com/tidings/examples/events/gen/shop/orders/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

const cancelledOrder = "shop.orders.v1.OrderCancelled"

// Conditions on attributes, from pairs of names and values or from others.

func exactly(pairs ...string) *tidingsv1.AttributeFilter {
	return &tidingsv1.AttributeFilter{Condition: &tidingsv1.AttributeFilter_Exact{Exact: attributeValues(pairs)}}
}

func beginning(pairs ...string) *tidingsv1.AttributeFilter {
	return &tidingsv1.AttributeFilter{Condition: &tidingsv1.AttributeFilter_Prefix{Prefix: attributeValues(pairs)}}
}

func ending(pairs ...string) *tidingsv1.AttributeFilter {
	return &tidingsv1.AttributeFilter{Condition: &tidingsv1.AttributeFilter_Suffix{Suffix: attributeValues(pairs)}}
}

func allOf(filters ...*tidingsv1.AttributeFilter) *tidingsv1.AttributeFilter {
	return &tidingsv1.AttributeFilter{Condition: &tidingsv1.AttributeFilter_All{All: &tidingsv1.AttributeFilters{Filters: filters}}}
}

func anyOf(filters ...*tidingsv1.AttributeFilter) *tidingsv1.AttributeFilter {
	return &tidingsv1.AttributeFilter{Condition: &tidingsv1.AttributeFilter_Any{Any: &tidingsv1.AttributeFilters{Filters: filters}}}
}

func except(filter *tidingsv1.AttributeFilter) *tidingsv1.AttributeFilter {
	return &tidingsv1.AttributeFilter{Condition: &tidingsv1.AttributeFilter_Not{Not: filter}}
}

func attributeValues(pairs []string) *tidingsv1.AttributeValues {
	values := make(map[string]string)
	for pair := range slices.Chunk(pairs, 2) {
		values[pair[0]] = pair[1]
	}
	return &tidingsv1.AttributeValues{Values: values}
}

// mixedTopic makes a topic with four events: `big`, an order of 25.00 with
// attributes and a subject, `small`, one of 1.00, `paid` and `cancelled`.
func mixedTopic(t *testing.T, c client) string {
	t.Helper()
	topic := newTopic(t, c)
	big := event(t, "big", placed("o-1"))
	big.Subject, big.Time = "orders/1", timestamppb.New(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))
	big.Attributes = map[string]string{"region": "eu-west", "tenant": "acme"}
	order := placed("o-2")
	order.Total, order.CustomerId = &ordersv1.Money{CurrencyCode: "EUR", MinorUnits: 100}, "c-2"
	small := event(t, "small", order)
	small.Source, small.Attributes = "/shop/two", map[string]string{"region": "us-east"}
	cancelled := event(t, "cancelled", &ordersv1.OrderCancelled{
		OrderId: "o-2", Reason: ordersv1.CancellationReason_CANCELLATION_REASON_OUT_OF_STOCK, CancelledAt: timestamppb.Now(),
	})
	publish(t, c, topic, big, small)
	publish(t, c, topic, event(t, "paid", paid("o-1")), cancelled)
	return topic
}

func TestReadFilters(t *testing.T) {
	for name, test := range map[string]struct {
		filter *tidingsv1.EventFilter
		want   string // The ids of the events.
	}{
		"nothing": {&tidingsv1.EventFilter{}, "big small paid cancelled"},
		"type":    {&tidingsv1.EventFilter{EventTypes: []string{orderPaid}}, "paid"},
		"types":   {&tidingsv1.EventFilter{EventTypes: []string{orderPaid, orderPlaced}}, "big small paid"},

		"exact":               {&tidingsv1.EventFilter{Attributes: exactly("subject", "orders/1", "region", "eu-west")}, "big"},
		"exact type":          {&tidingsv1.EventFilter{Attributes: exactly("type", orderPlaced)}, "big small"},
		"exact time":          {&tidingsv1.EventFilter{Attributes: exactly("time", "2026-03-04T05:06:07Z")}, "big"},
		"exact partition key": {&tidingsv1.EventFilter{Attributes: exactly("partitionkey", "o-2")}, "small cancelled"}, // Filled by the server.
		"prefix":              {&tidingsv1.EventFilter{Attributes: beginning("source", "/te")}, "big paid cancelled"},
		"suffix":              {&tidingsv1.EventFilter{Attributes: ending("type", ".OrderPaid")}, "paid"},
		"all":                 {&tidingsv1.EventFilter{Attributes: allOf(exactly("type", orderPlaced), ending("region", "east"))}, "small"},
		"any":                 {&tidingsv1.EventFilter{Attributes: anyOf(exactly("id", "paid"), exactly("id", "big"))}, "big paid"},
		"not":                 {&tidingsv1.EventFilter{Attributes: except(beginning("region", "eu-"))}, "small paid cancelled"},
		"not any of all":      {&tidingsv1.EventFilter{Attributes: except(anyOf(exactly("id", "paid"), allOf(beginning("region", "us"), exactly("source", "/shop/two"))))}, "big cancelled"},
		"missing":             {&tidingsv1.EventFilter{Attributes: exactly("nothing", "x")}, ""},

		"CEL on the event":    {&tidingsv1.EventFilter{Cel: "event.id.startsWith('p') || event.attributes['region'] == 'us-east'"}, "small paid"},
		"CEL on the time":     {&tidingsv1.EventFilter{Cel: "has(event.time) && event.time < timestamp('2026-03-05T00:00:00Z')"}, "big"},
		"CEL on the key":      {&tidingsv1.EventFilter{Cel: "event.partition_key == 'o-1'"}, "big paid"},
		"CEL on the payload":  {&tidingsv1.EventFilter{EventTypes: []string{orderPlaced}, Cel: "data.total.minor_units > 1000"}, "big"},
		"CEL on a list":       {&tidingsv1.EventFilter{EventTypes: []string{orderPlaced}, Cel: "data.items.exists(i, i.sku.startsWith('TEA') && i.quantity >= 2u)"}, "big small"},
		"CEL on an enum":      {&tidingsv1.EventFilter{EventTypes: []string{cancelledOrder}, Cel: "data.reason == CancellationReason.CANCELLATION_REASON_OUT_OF_STOCK"}, "cancelled"},
		"CEL on every type":   {&tidingsv1.EventFilter{EventTypes: []string{orderPlaced, orderPaid, cancelledOrder}, Cel: "data.order_id == 'o-1'"}, "big paid"},
		"CEL that fails":      {&tidingsv1.EventFilter{EventTypes: []string{orderPlaced}, Cel: "1 / (data.total.minor_units - 100) == 0"}, "big"},
		"CEL on what isn't":   {&tidingsv1.EventFilter{Cel: "event.attributes['tenant'] == 'acme'"}, "big"},
		"CEL costs too much":  {&tidingsv1.EventFilter{EventTypes: []string{orderPlaced}, Cel: expensive("data.customer_id == ''")}, "big"},
		"CEL looks elsewhere": {&tidingsv1.EventFilter{Cel: "event.subject.matches('^orders/[0-9]+$')"}, "big"},

		"all kinds of conditions": {&tidingsv1.EventFilter{
			EventTypes: []string{orderPlaced, cancelledOrder}, Attributes: exactly("partitionkey", "o-2"), Cel: "data.order_id == 'o-2' && event.id != 'small'",
		}, "cancelled"},
	} {
		t.Run(name, some(func(t *testing.T, c client) {
			topic := mixedTopic(t, c)
			got := openRead(t, c, &tidingsv1.ReadRequest{Topic: topic, Filter: test.filter, Stop: stopCaughtUp}).untilEnd()
			var ids []string
			for _, e := range got.events {
				ids = append(ids, e.GetEvent().GetId())
			}
			if strings.Join(ids, " ") != test.want {
				t.Errorf("%q are read, want %q", ids, test.want)
			}
			// However much is left out, the cursor is past all of it.
			if len(got.caughtUp) != 1 {
				t.Fatalf("frames %v", got.frames)
			}
			publish(t, c, topic, event(t, "later", paid("o-3")))
			got = openRead(t, c, &tidingsv1.ReadRequest{Topic: topic, Start: fromCursor(got.caughtUp[0]), Stop: stopCaughtUp}).untilEnd()
			if len(got.events) != 1 || got.events[0].GetEvent().GetId() != "later" {
				t.Errorf("on from there %v are read", got.events)
			}
		}))
	}
}

// expensive is an expression that holds where another one does, and costs more
// than is allowed elsewhere. How much isn't known before there is an event.
func expensive(where string) string {
	numbers := "[" + strings.TrimSuffix(strings.Repeat("1,", 600), ",") + "]"
	return fmt.Sprintf("%s || data.items.all(i, %s.all(a, %s.all(b, a == b)))", where, numbers, numbers)
}

func TestReadFilterRefused(t *testing.T) {
	invalid := because(codes.InvalidArgument, "FILTER_INVALID")
	broken := because(codes.InvalidArgument, "REQUEST_INVALID")
	deep := exactly("id", "1")
	path := "filter.attributes"
	for range 8 {
		deep, path = except(deep), path+".not"
	}
	for name, test := range map[string]struct {
		filter *tidingsv1.EventFilter
		want   refusal
		says   string
	}{
		"nine deep":       {&tidingsv1.EventFilter{Attributes: deep}, invalid.at(path), "nests deeper than 8"},
		"syntax":          {&tidingsv1.EventFilter{Cel: "event.id =="}, invalid.at("filter.cel"), "filter.cel: 1:12: Syntax error"},
		"field":           {&tidingsv1.EventFilter{Cel: "event.id == '' ||\n event.no == ''"}, invalid.at("filter.cel"), "2:7: undefined field 'no'"},
		"not a bool":      {&tidingsv1.EventFilter{Cel: "event.id"}, invalid.at("filter.cel"), "must be a bool, not string"},
		"type of a field": {&tidingsv1.EventFilter{EventTypes: []string{orderPlaced, orderPaid}, Cel: "data.total.minor_units > 1"}, invalid.and("type", orderPaid).at("filter.cel"), "for " + orderPaid + ": 1:5: undefined field 'total'"},
		"types compared":  {&tidingsv1.EventFilter{EventTypes: []string{orderPaid}, Cel: "data.payment_id > 1"}, invalid.and("type", orderPaid).at("filter.cel"), "1:17: found no matching overload"},
		"unknown payload": {&tidingsv1.EventFilter{Cel: "data.order_id == '1'"}, invalid.at("filter.cel"), "name them in event_types"},
		"costs":           {&tidingsv1.EventFilter{Cel: strings.Repeat("[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1].all(a, ", 4) + "true))))"}, invalid.at("filter.cel"), "may cost"},
		"Any":             {&tidingsv1.EventFilter{Cel: "event.data.order_id == '1'"}, invalid.at("filter.cel"), "the payload is the variable data"},

		"too long":           {&tidingsv1.EventFilter{Cel: "true" + strings.Repeat(" ", 4093)}, broken.at("filter.cel"), ""},
		"no condition":       {&tidingsv1.EventFilter{Attributes: new(tidingsv1.AttributeFilter)}, broken.at("filter.attributes.condition"), ""},
		"empty list":         {&tidingsv1.EventFilter{Attributes: allOf()}, broken.at("filter.attributes.all.filters"), ""},
		"empty value":        {&tidingsv1.EventFilter{Attributes: exactly("id", "")}, broken.at(`filter.attributes.exact.values["id"]`), ""},
		"attribute name":     {&tidingsv1.EventFilter{Attributes: beginning("no-name", "x")}, broken.at(`filter.attributes.prefix.values["no-name"]`), ""},
		"no values":          {&tidingsv1.EventFilter{Attributes: ending()}, broken.at("filter.attributes.suffix.values"), ""},
		"unknown type":       {&tidingsv1.EventFilter{EventTypes: []string{"a.B"}, Cel: "!"}, because(codes.InvalidArgument, "EVENT_TYPE_UNKNOWN", "type", "a.B").at("filter.event_types[0]"), ""},
		"no type of tidings": {&tidingsv1.EventFilter{EventTypes: []string{"tidings.v1.Event"}}, because(codes.InvalidArgument, "EVENT_TYPE_UNKNOWN", "type", "tidings.v1.Event").at("filter.event_types[0]"), "not the type of an event"},
	} {
		t.Run(name, some(func(t *testing.T, c client) {
			topic := newTopic(t, c)
			err := openRead(t, c, &tidingsv1.ReadRequest{Topic: topic, Filter: test.filter, Stop: stopCaughtUp}).refused()
			wantRefusal(t, err, test.want)
			if _, message := refusalOf(t, err); !strings.Contains(message, test.says) {
				t.Errorf("%q doesn't say %q", message, test.says)
			}
		}))
	}
}

// Where the filter names no types, the expression has to suit those that the
// topic takes or, where it takes all, those that declare it.
func TestReadFilterOfTopicTypes(t *testing.T) {
	t.Run("that it takes", some(func(t *testing.T, c client) {
		topic := newTopic(t, c, func(topic *tidingsv1.Topic) { topic.Settings.EventTypes = []string{orderPlaced, orderPaid} })
		publish(t, c, topic, event(t, "1", placed("o-1")), event(t, "2", paid("o-2")))
		read := func(cel string) *reading {
			return openRead(t, c, &tidingsv1.ReadRequest{Topic: topic, Filter: &tidingsv1.EventFilter{Cel: cel}, Stop: stopCaughtUp})
		}
		if got := read("data.order_id == 'o-2'").untilEnd().events; len(got) != 1 || got[0].GetEvent().GetId() != "2" {
			t.Errorf("read %v", got)
		}
		wantRefusal(t, read("data.payment_id == '1'").refused(),
			because(codes.InvalidArgument, "FILTER_INVALID", "type", orderPlaced).at("filter.cel"))
	}))
	t.Run("that declare it", some(func(t *testing.T, c client) {
		read := func(cel string) *reading {
			return openRead(t, c, &tidingsv1.ReadRequest{Topic: "orders", Filter: &tidingsv1.EventFilter{Cel: cel}, Start: fromNew, Stop: stopCaughtUp})
		}
		read("data.order_id == '1'").untilEnd()
		wantRefusal(t, read("data.total.minor_units > 1").refused(),
			because(codes.InvalidArgument, "FILTER_INVALID", "type", anything).at("filter.cel"))
	}))
}

// A filter that takes its time leaves out a lot without silence.
func TestSlowFilterBeats(t *testing.T) {
	t.Parallel()
	c := transport{native: true, protocol: "grpc", http2: true}.dial(t, shared)
	topic := newTopic(t, c)
	order := placed("o")
	for len(order.GetItems()) < 400 {
		order.Items = append(order.Items, order.GetItems()[0])
	}
	for i := range 40 { // Each takes tens of milliseconds, until the cost is too high.
		publish(t, c, topic, event(t, fmt.Sprint(i), order))
	}
	request := &tidingsv1.ReadRequest{Topic: topic, Stop: stopCaughtUp, HeartbeatInterval: durationpb.New(time.Second), Filter: &tidingsv1.EventFilter{
		EventTypes: []string{orderPlaced},
		Cel:        "!data.items.all(a, data.items.all(b, a.sku == b.sku))",
	}}
	got := openRead(t, c, request).untilEnd()
	if len(got.events) != 0 || len(got.heartbeats) == 0 {
		t.Errorf("%d events, %d heartbeats", len(got.events), len(got.heartbeats))
	}
}
