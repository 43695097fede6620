package rpc_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// wideFilter is a filter of about a number of bytes.
func wideFilter(bytes int) *tidingsv1.EventFilter {
	const value = 1000
	var list []*tidingsv1.AttributeFilter
	for range bytes / value {
		list = append(list, exactly("room", strings.Repeat("a", value-20)))
	}
	return &tidingsv1.EventFilter{Attributes: allOf(anyOf(list[:len(list)/2]...), anyOf(list[len(list)/2:]...))}
}

// Default clients take messages up to 4 MiB.
func TestPagesFitClients(t *testing.T) {
	native := transports()[0].dial(t, shared)
	topic := newTopic(t, native)
	var want []string
	for range 80 {
		want = append(want, newSubscription(t, native, topic, func(s *tidingsv1.Subscription) { s.Filter = wideFilter(60_000) }))
		deleteAtEnd(t, native, topic, want[len(want)-1])
	}
	slices.Sort(want)
	some(func(t *testing.T, c client) {
		var got []string
		request := &tidingsv1.ListSubscriptionsRequest{Topic: topic, PageSize: 1000}
		pages := 0
		for {
			response, err := c.ListSubscriptions(testContext(t), request)
			if err != nil {
				t.Fatal(err)
			}
			if size := proto.Size(response); size > 4<<20 {
				t.Errorf("a page has %d bytes", size)
			}
			for _, s := range response.GetSubscriptions() {
				got = append(got, s.GetName())
			}
			pages++
			if request.PageToken = response.GetNextPageToken(); request.GetPageToken() == "" {
				break
			}
		}
		if !slices.Equal(got, want) || pages != 2 {
			t.Errorf("%d pages list %d of %d subscriptions", pages, len(got), len(want))
		}
	})(t)
}

func TestFilterTooLarge(t *testing.T) {
	for name, try := range map[string]func(*testing.T, client, string) (string, error){
		"Read": func(t *testing.T, c client, topic string) (string, error) {
			t.Helper()
			return "filter", openRead(t, c, &tidingsv1.ReadRequest{Topic: topic, Filter: wideFilter(70_000)}).refused()
		},
		"CreateSubscription": func(t *testing.T, c client, topic string) (string, error) {
			t.Helper()
			_, err := c.CreateSubscription(testContext(t), &tidingsv1.CreateSubscriptionRequest{
				Subscription: &tidingsv1.Subscription{Name: newName(), Topic: topic, Filter: wideFilter(70_000)},
			})
			return "subscription.filter", err
		},
		"ListDeadLetters": func(t *testing.T, c client, topic string) (string, error) {
			t.Helper()
			s := newSubscription(t, c, topic)
			deleteAtEnd(t, c, topic, s)
			_, err := c.ListDeadLetters(testContext(t), &tidingsv1.ListDeadLettersRequest{
				Subscription: s, Filter: &tidingsv1.DeadLetterFilter{Event: wideFilter(70_000)},
			})
			return "filter.event", err
		},
	} {
		t.Run(name, some(func(t *testing.T, c client) {
			field, err := try(t, c, newTopic(t, c))
			wantRefusal(t, err, because(codes.InvalidArgument, "FILTER_INVALID").at(field))
			if !strings.Contains(fmt.Sprint(err), "65536") {
				t.Errorf("%v doesn't say how large it may be", err)
			}
		}))
	}
}
