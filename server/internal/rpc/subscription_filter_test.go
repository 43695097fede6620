package rpc_test

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// attributeIs is the condition that an attribute has a value.
func attributeIs(name, value string) *tidingsv1.AttributeFilter {
	return &tidingsv1.AttributeFilter{Condition: &tidingsv1.AttributeFilter_Exact{
		Exact: &tidingsv1.AttributeValues{Values: map[string]string{name: value}},
	}}
}

// changeFilter changes the filter of a subscription.
func changeFilter(t *testing.T, c client, subscription string, f *tidingsv1.EventFilter) {
	t.Helper()
	if _, err := c.UpdateSubscription(testContext(t), &tidingsv1.UpdateSubscriptionRequest{
		Subscription: &tidingsv1.Subscription{Name: subscription, Filter: f}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"filter"}},
	}); err != nil {
		t.Fatal(err)
	}
}

func TestSubscriptionFilter(t *testing.T) {
	for name, test := range map[string]struct {
		filter *tidingsv1.EventFilter
		want   []int // Of five events: placed and paid in turn, with the rooms a, b, a, b, a.
	}{
		"types":      {&tidingsv1.EventFilter{EventTypes: []string{orderPaid}}, []int{1, 3}},
		"both types": {&tidingsv1.EventFilter{EventTypes: []string{orderPaid, orderPlaced}}, []int{0, 1, 2, 3, 4}},
		"attributes": {&tidingsv1.EventFilter{Attributes: attributeIs("room", "a")}, []int{0, 2, 4}},
		"type":       {&tidingsv1.EventFilter{Attributes: attributeIs("type", orderPaid)}, []int{1, 3}},
		"CEL":        {&tidingsv1.EventFilter{Cel: `event.id.endsWith("2") || event.id.endsWith("3")`}, []int{2, 3}},
		"payload":    {&tidingsv1.EventFilter{EventTypes: []string{orderPaid}, Cel: `data.amount.minor_units > 2000 && data.order_id == "o3"`}, []int{3}},
		"together":   {&tidingsv1.EventFilter{EventTypes: []string{orderPlaced}, Attributes: attributeIs("room", "a"), Cel: `data.order_id != "o2"`}, []int{0, 4}},
		"never":      {&tidingsv1.EventFilter{Cel: "false"}, nil},
		"failing":    {&tidingsv1.EventFilter{Cel: `event.attributes["nothing"] == "x"`}, nil},
		"none":       {&tidingsv1.EventFilter{}, []int{0, 1, 2, 3, 4}},
	} {
		t.Run(name, some(func(t *testing.T, c client) {
			topic, s := newSubscribed(t, c, filtered(test.filter))
			var events, want []*tidingsv1.Event
			for i := range 5 {
				e := event(t, topic+"-"+string(rune('0'+i)), placed("o"+string(rune('0'+i))))
				if i%2 == 1 {
					e = event(t, topic+"-"+string(rune('0'+i)), paid("o"+string(rune('0'+i))))
				}
				e.Attributes = map[string]string{"room": string(rune('a' + i%2))}
				events = append(events, e)
				if slices.Contains(test.want, i) {
					want = append(want, e)
				}
			}
			publish(t, c, topic, events[:3]...)
			publish(t, c, topic, events[3:]...)
			got := append(pullNow(t, c, s), pullNow(t, c, s)...)
			wantIDs(t, got, want...)
			ackAll(t, c, s, got...)
			if statistics := show(t, c, s).GetStatistics(); statistics.GetBacklogEvents() != 0 || statistics.GetOldestUnsettledSequence() != 0 {
				t.Errorf("what is left out isn't settled: %v", statistics)
			}
		}))
	}
	onlyPaid, onlyPlaced := &tidingsv1.EventFilter{EventTypes: []string{orderPaid}}, &tidingsv1.EventFilter{EventTypes: []string{orderPlaced}}
	t.Run("changed", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c, filtered(onlyPaid))
		one := []*tidingsv1.Event{event(t, "0", placed("o")), event(t, "1", paid("o")), event(t, "2", placed("o")), event(t, "3", paid("o"))}
		publish(t, c, topic, one...)
		first := pull(t, c, s, 1)
		wantIDs(t, first, one[1])
		changeFilter(t, c, s, onlyPlaced)
		wantIDs(t, pullNow(t, c, s), one[2]) // 0 was passed, and 3 isn't wanted any more.
		wantSettled(t, c, s, applied, nack(first[0].GetDeliveryToken(), retryAtOnce))
		wantIDs(t, pullNow(t, c, s), one[1]) // A consumer had been given it.
		changeFilter(t, c, s, nil)
		two := []*tidingsv1.Event{event(t, "4", placed("o")), event(t, "5", paid("o"))}
		publish(t, c, topic, two...)
		wantIDs(t, pullNow(t, c, s), two...)
		if got := show(t, c, s).GetFilter(); got != nil {
			t.Errorf("the filter is %v", got)
		}
	}))
	t.Run("changed beside a stream", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c, filtered(onlyPaid))
		stream := receive(t, testContext(t), c, &tidingsv1.ReceiveRequest{Subscription: s})
		for i := range 10 {
			suffix := string(rune('a' + i))
			f, wanted, other := onlyPaid, event(t, "1"+suffix, paid("o")), event(t, "2"+suffix, placed("o"))
			if i%2 == 1 {
				f, wanted, other = onlyPlaced, event(t, "1"+suffix, placed("o")), event(t, "2"+suffix, paid("o"))
			}
			changeFilter(t, c, s, f)
			publish(t, c, topic, other, wanted)
			wantIDs(t, []*tidingsv1.Delivery{stream.next()}, wanted)
		}
	}))
	t.Run("changed for what is blocked", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c, byKey)
		events := []*tidingsv1.Event{event(t, "0", paid("o")), event(t, "1", placed("o")), event(t, "2", paid("o"))}
		publish(t, c, topic, events...)
		first := pullNow(t, c, s)
		wantIDs(t, first, events[0])
		wantBlocked(t, c, s, 1, 2, 1)
		changeFilter(t, c, s, onlyPaid) // No consumer has been given the event 1.
		ackAll(t, c, s, first...)
		wantIDs(t, pullNow(t, c, s), events[2])
	}))
	for name, test := range map[string]struct {
		filter *tidingsv1.EventFilter
		want   refusal
	}{
		"unknown type": {&tidingsv1.EventFilter{EventTypes: []string{"a.B"}}, because(codes.InvalidArgument, "EVENT_TYPE_UNKNOWN", "type", "a.B").at("subscription.filter.event_types[0]")},
		"no CEL":       {&tidingsv1.EventFilter{Cel: "1 +"}, because(codes.InvalidArgument, "FILTER_INVALID").at("subscription.filter.cel")},
		"not a bool":   {&tidingsv1.EventFilter{Cel: "event.id"}, because(codes.InvalidArgument, "FILTER_INVALID").at("subscription.filter.cel")},
		"unknown field": {
			&tidingsv1.EventFilter{EventTypes: []string{orderPaid}, Cel: "data.nothing == 1"},
			because(codes.InvalidArgument, "FILTER_INVALID", "type", orderPaid).at("subscription.filter.cel"),
		},
		"too deep": {
			&tidingsv1.EventFilter{Attributes: func() *tidingsv1.AttributeFilter {
				f := attributeIs("a", "b")
				for range 8 {
					f = &tidingsv1.AttributeFilter{Condition: &tidingsv1.AttributeFilter_Not{Not: f}}
				}
				return f
			}()},
			because(codes.InvalidArgument, "FILTER_INVALID").at("subscription.filter.attributes" + strings.Repeat(".not", 8)),
		},
		"no condition": {
			&tidingsv1.EventFilter{Attributes: &tidingsv1.AttributeFilter{}},
			because(codes.InvalidArgument, "REQUEST_INVALID").at("subscription.filter.attributes.condition"),
		},
		"bad attribute": {
			&tidingsv1.EventFilter{Attributes: attributeIs("A b", "x")},
			because(codes.InvalidArgument, "REQUEST_INVALID").at(`subscription.filter.attributes.exact.values["A b"]`),
		},
	} {
		t.Run("refused/"+name, some(func(t *testing.T, c client) {
			topic, s := newSubscribed(t, c)
			_, err := c.CreateSubscription(testContext(t), &tidingsv1.CreateSubscriptionRequest{
				Subscription: &tidingsv1.Subscription{Name: newName(), Topic: topic, Filter: test.filter},
			})
			wantRefusal(t, err, test.want)
			_, err = c.UpdateSubscription(testContext(t), &tidingsv1.UpdateSubscriptionRequest{Subscription: &tidingsv1.Subscription{Name: s, Filter: test.filter}})
			wantRefusal(t, err, test.want)
		}))
	}
}
