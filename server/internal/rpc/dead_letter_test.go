package rpc_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// listDeadLetters lists the dead letters that a filter takes.
func listDeadLetters(t *testing.T, c client, subscription string, f *tidingsv1.DeadLetterFilter) []*tidingsv1.DeadLetter {
	t.Helper()
	response, err := c.ListDeadLetters(testContext(t), &tidingsv1.ListDeadLettersRequest{Subscription: subscription, Filter: f, PageSize: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if response.GetNextPageToken() != "" {
		t.Fatal("there is another page")
	}
	return response.GetDeadLetters()
}

// letterIDs returns the ids of the events of dead letters.
func letterIDs(letters []*tidingsv1.DeadLetter) []string {
	var list []string
	for _, l := range letters {
		list = append(list, l.GetRecorded().GetEvent().GetId())
	}
	return list
}

// wantLetters fails the test unless the dead letters that a filter takes are
// those of some events.
func wantLetters(t *testing.T, c client, subscription string, f *tidingsv1.DeadLetterFilter, want ...*tidingsv1.Event) {
	t.Helper()
	if got := letterIDs(listDeadLetters(t, c, subscription, f)); !slices.Equal(got, ids(want)) {
		t.Fatalf("with the filter %v the dead letters are %v, want %v", f, got, ids(want))
	}
}

// bury makes a number of events dead letters, in the order of their sequence.
func bury(t *testing.T, c client, subscription string, count int) []*tidingsv1.Delivery {
	t.Helper()
	deliveries := pull(t, c, subscription, count)
	var nacks []*tidingsv1.Settlement
	for _, d := range deliveries {
		nacks = append(nacks, nack(d.GetDeliveryToken(), toDeadLetter))
	}
	wantSettled(t, c, subscription, applied, nacks...)
	return deliveries
}

func TestListDeadLetters(t *testing.T) {
	t.Run("unchanged", each(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c)
		full := withAttributes(t, "full")
		full.Subject, full.Time, full.PartitionKey = "☕", timestamppb.New(time.Unix(-1, 999_999_999)), new("a key")
		publish(t, c, topic, event(t, "first", placed("o")), full, bulky(t, "large", testEventBytes-8192), event(t, "last", paid("o")))
		want := openRead(t, c, &tidingsv1.ReadRequest{Topic: topic, Stop: stopCaughtUp}).untilEnd().events
		deliveries := bury(t, c, s, 4)
		for i, letter := range listDeadLetters(t, c, s, nil) {
			for what, got := range map[string]*tidingsv1.RecordedEvent{"dead letter": letter.GetRecorded(), "delivery": deliveries[i].GetRecorded()} {
				if diff := cmp.Diff(want[i], got, protocmp.Transform()); diff != "" {
					t.Errorf("%s %d has another event (-want +got):\n%s", what, i, diff)
				}
			}
		}
	}))
	t.Run("pages", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c)
		events := publishN(t, c, topic, 7)
		deliveries := pull(t, c, s, 7)
		// The order is that in which they became dead letters.
		var want []*tidingsv1.Event
		for _, i := range []int{3, 1, 6, 0, 2, 5, 4} {
			wantSettled(t, c, s, applied, nack(deliveries[i].GetDeliveryToken(), toDeadLetter))
			want = append(want, events[i])
		}
		for _, size := range []int32{1, 2, 3, 7, 8, 0} {
			var all []string
			request := &tidingsv1.ListDeadLettersRequest{Subscription: s, PageSize: size}
			for pages := 0; ; pages++ {
				response, err := c.ListDeadLetters(testContext(t), request)
				if err != nil {
					t.Fatal(err)
				}
				if got := len(response.GetDeadLetters()); size > 0 && got > int(size) || pages > 10 {
					t.Fatalf("page %d holds %d", pages, got)
				}
				all = append(all, letterIDs(response.GetDeadLetters())...)
				if request.PageToken = response.GetNextPageToken(); request.GetPageToken() == "" {
					break
				}
			}
			if !slices.Equal(all, ids(want)) {
				t.Errorf("in pages of %d: %v, want %v", size, all, ids(want))
			}
		}
	}))
	t.Run("pages of what a filter takes", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c)
		events := publishN(t, c, topic, 9, func(i int, e *tidingsv1.Event) { e.Subject = string(rune('a' + i%3)) })
		bury(t, c, s, 9)
		request := &tidingsv1.ListDeadLettersRequest{
			Subscription: s, PageSize: 2, Filter: &tidingsv1.DeadLetterFilter{Event: &tidingsv1.EventFilter{Cel: `event.subject == "b"`}},
		}
		var all []string
		for {
			response, err := c.ListDeadLetters(testContext(t), request)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, letterIDs(response.GetDeadLetters())...)
			if request.PageToken = response.GetNextPageToken(); request.GetPageToken() == "" {
				break
			}
		}
		if want := []string{events[1].GetId(), events[4].GetId(), events[7].GetId()}; !slices.Equal(all, want) {
			t.Errorf("got %v, want %v", all, want)
		}
	}))
	t.Run("page token of another", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c)
		other := newSubscription(t, c, topic)
		deleteAtEnd(t, c, topic, other)
		publishN(t, c, topic, 2)
		bury(t, c, s, 2)
		response, err := c.ListDeadLetters(testContext(t), &tidingsv1.ListDeadLettersRequest{Subscription: s, PageSize: 1})
		if err != nil || response.GetNextPageToken() == "" {
			t.Fatal(response, err)
		}
		listed, err := c.ListSubscriptions(testContext(t), &tidingsv1.ListSubscriptionsRequest{Topic: topic, PageSize: 1})
		if err != nil || listed.GetNextPageToken() == "" {
			t.Fatal(listed, err)
		}
		token := response.GetNextPageToken()
		for _, bad := range []struct{ subscription, token string }{
			{other, token},
			{s, listed.GetNextPageToken()}, {s, token + "A"}, {s, token[:len(token)-1]}, {s, token + "\n"}, {s, token + "="}, {s, "%"}, {s, "☕"},
		} {
			_, err := c.ListDeadLetters(testContext(t), &tidingsv1.ListDeadLettersRequest{Subscription: bad.subscription, PageToken: bad.token})
			wantRefusal(t, err, because(codes.InvalidArgument, "PAGE_TOKEN_INVALID").at("page_token"))
		}
	}))
}

func TestDeadLetterFilter(t *testing.T) {
	t.Run("every condition", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c, retrying(&tidingsv1.RetryPolicy{MinBackoff: durationpb.New(0), Attempts: &tidingsv1.RetryPolicy_MaxAttempts{MaxAttempts: 1}}))
		first := publishN(t, c, topic, 2, func(i int, e *tidingsv1.Event) { e.Attributes = map[string]string{"room": string(rune('a' + i))} })
		second := []*tidingsv1.Event{event(t, topic+"-paid", paid("o"))}
		publish(t, c, topic, second...)
		all := append(slices.Clone(first), second...)
		deliveries := pull(t, c, s, 3)
		wantSettled(t, c, s, applied, nack(deliveries[0].GetDeliveryToken(), toDeadLetter), nack(deliveries[1].GetDeliveryToken(), nil))
		until(t, c, s, func(s *tidingsv1.SubscriptionStatistics) bool { return s.GetDeadLetteredEvents() == 2 })
		// So that the last one died at a later time.
		early := listDeadLetters(t, c, s, nil)[1].GetDeadLetterTime().AsTime()
		for !time.Now().After(early.Add(2 * time.Millisecond)) {
			show(t, c, s)
		}
		wantSettled(t, c, s, applied, nack(deliveries[2].GetDeliveryToken(), toDeadLetter))
		letters := listDeadLetters(t, c, s, nil)
		if len(letters) != 3 {
			t.Fatalf("the dead letters are %v", letters)
		}
		died, sequence := letters[2].GetDeadLetterTime(), letters[1].GetRecorded().GetSequence()
		just := timestamppb.New(died.AsTime().Add(1))
		const byNack, byAttempts = tidingsv1.DeadLetterCause_DEAD_LETTER_CAUSE_NACK, tidingsv1.DeadLetterCause_DEAD_LETTER_CAUSE_MAX_ATTEMPTS
		exact := &tidingsv1.AttributeFilter{Condition: &tidingsv1.AttributeFilter_Exact{
			Exact: &tidingsv1.AttributeValues{Values: map[string]string{"room": "b"}},
		}}
		for _, test := range []struct {
			filter *tidingsv1.DeadLetterFilter
			want   []*tidingsv1.Event
		}{
			{nil, all},
			{&tidingsv1.DeadLetterFilter{}, all},
			{&tidingsv1.DeadLetterFilter{Event: &tidingsv1.EventFilter{EventTypes: []string{orderPaid}}}, second},
			{&tidingsv1.DeadLetterFilter{Event: &tidingsv1.EventFilter{EventTypes: []string{orderPaid, orderPlaced}}}, all},
			{&tidingsv1.DeadLetterFilter{Event: &tidingsv1.EventFilter{Attributes: exact}}, all[1:2]},
			{&tidingsv1.DeadLetterFilter{Event: &tidingsv1.EventFilter{EventTypes: []string{orderPaid}, Cel: `data.order_id == "o"`}}, second},
			{&tidingsv1.DeadLetterFilter{Causes: []tidingsv1.DeadLetterCause{byNack}}, []*tidingsv1.Event{all[0], all[2]}},
			{&tidingsv1.DeadLetterFilter{Causes: []tidingsv1.DeadLetterCause{byAttempts}}, all[1:2]},
			{&tidingsv1.DeadLetterFilter{Causes: []tidingsv1.DeadLetterCause{byAttempts, byNack}}, all},
			{&tidingsv1.DeadLetterFilter{Causes: []tidingsv1.DeadLetterCause{tidingsv1.DeadLetterCause_DEAD_LETTER_CAUSE_DEADLINE}}, nil},
			{&tidingsv1.DeadLetterFilter{Since: died}, second},
			{&tidingsv1.DeadLetterFilter{Since: just}, nil},
			{&tidingsv1.DeadLetterFilter{Before: died}, first},
			{&tidingsv1.DeadLetterFilter{Before: just}, all},
			{&tidingsv1.DeadLetterFilter{Since: died, Before: died}, nil},
			{&tidingsv1.DeadLetterFilter{Sequences: []int64{sequence}}, all[1:2]},
			{&tidingsv1.DeadLetterFilter{Sequences: []int64{1 << 50, letters[2].GetRecorded().GetSequence(), sequence, sequence, 1 << 40}}, all[1:3]},
			{&tidingsv1.DeadLetterFilter{Sequences: []int64{sequence}, Causes: []tidingsv1.DeadLetterCause{byNack}}, nil},
			{&tidingsv1.DeadLetterFilter{Sequences: []int64{sequence}, Before: died, Event: &tidingsv1.EventFilter{Attributes: exact}}, all[1:2]},
		} {
			wantLetters(t, c, s, test.filter, test.want...)
			redriven, err := c.RedriveDeadLetters(testContext(t), &tidingsv1.RedriveDeadLettersRequest{Subscription: s, Filter: test.filter, DryRun: true})
			if err != nil || redriven.GetRedrivenCount() != int64(len(test.want)) || redriven.GetRemainingCount() != 0 {
				t.Errorf("a dry run of redriving with %v: %v, %v", test.filter, redriven, err)
			}
			purged, err := c.PurgeDeadLetters(testContext(t), &tidingsv1.PurgeDeadLettersRequest{Subscription: s, Filter: test.filter, DryRun: true})
			if err != nil || purged.GetPurgedCount() != int64(len(test.want)) {
				t.Errorf("a dry run of purging with %v: %v, %v", test.filter, purged, err)
			}
		}
		wantNothing(t, c, s)
		wantLetters(t, c, s, nil, all...) // Dry runs change nothing.
	}))
	invalid := because(codes.InvalidArgument, "REQUEST_INVALID")
	for name, test := range map[string]struct {
		filter *tidingsv1.DeadLetterFilter
		want   refusal
	}{
		"unknown type": {
			&tidingsv1.DeadLetterFilter{Event: &tidingsv1.EventFilter{EventTypes: []string{"a.B"}}},
			because(codes.InvalidArgument, "EVENT_TYPE_UNKNOWN", "type", "a.B").at("filter.event.event_types[0]"),
		},
		"CEL": {
			&tidingsv1.DeadLetterFilter{Event: &tidingsv1.EventFilter{Cel: "1 +"}},
			because(codes.InvalidArgument, "FILTER_INVALID").at("filter.event.cel"),
		},
		"cause unspecified": {&tidingsv1.DeadLetterFilter{Causes: []tidingsv1.DeadLetterCause{0}}, invalid.at("filter.causes[0]")},
		"cause unknown":     {&tidingsv1.DeadLetterFilter{Causes: []tidingsv1.DeadLetterCause{1, 17}}, invalid.at("filter.causes[1]")},
		"cause twice":       {&tidingsv1.DeadLetterFilter{Causes: []tidingsv1.DeadLetterCause{1, 1}}, invalid.at("filter.causes")},
		"sequence 0":        {&tidingsv1.DeadLetterFilter{Sequences: []int64{1, 0}}, invalid.at("filter.sequences[1]")},
		"many sequences":    {&tidingsv1.DeadLetterFilter{Sequences: slices.Repeat([]int64{1}, 1001)}, invalid.at("filter.sequences")},
		"type name":         {&tidingsv1.DeadLetterFilter{Event: &tidingsv1.EventFilter{EventTypes: []string{"a b"}}}, invalid.at("filter.event.event_types[0]")},
	} {
		t.Run("refused/"+name, some(func(t *testing.T, c client) {
			_, s := newSubscribed(t, c)
			for _, err := range deadLetterCalls(t, c, s, test.filter) {
				wantRefusal(t, err, test.want)
			}
		}))
	}
	t.Run("bad requests", each(func(t *testing.T, c client) {
		_, s := newSubscribed(t, c)
		for _, err := range deadLetterCalls(t, c, s+"x", nil) {
			wantRefusal(t, err, because(codes.NotFound, "SUBSCRIPTION_NOT_FOUND", "subscription", s+"x"))
		}
		for _, err := range deadLetterCalls(t, c, "$", nil) {
			wantRefusal(t, err, invalid.at("subscription"))
		}
		for field, request := range map[string]*tidingsv1.ListDeadLettersRequest{
			"page_size":  {Subscription: s, PageSize: -1},
			"page_token": {Subscription: s, PageToken: strings.Repeat("a", 1025)},
		} {
			_, err := c.ListDeadLetters(testContext(t), request)
			wantRefusal(t, err, invalid.at(field))
		}
	}))
}

// deadLetterCalls calls every method with a filter and returns the errors.
func deadLetterCalls(t *testing.T, c client, subscription string, f *tidingsv1.DeadLetterFilter) []error {
	t.Helper()
	_, list := c.ListDeadLetters(testContext(t), &tidingsv1.ListDeadLettersRequest{Subscription: subscription, Filter: f})
	_, redrive := c.RedriveDeadLetters(testContext(t), &tidingsv1.RedriveDeadLettersRequest{Subscription: subscription, Filter: f, DryRun: true})
	_, purge := c.PurgeDeadLetters(testContext(t), &tidingsv1.PurgeDeadLettersRequest{Subscription: subscription, Filter: f})
	return []error{list, redrive, purge}
}
