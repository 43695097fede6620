package rpc_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// slowFilter takes no event, and costs nearly as much as a filter may for each.
func slowFilter() *tidingsv1.EventFilter {
	list := "[" + strings.TrimSuffix(strings.Repeat("1,", 36), ",") + "]"
	return &tidingsv1.EventFilter{Cel: fmt.Sprintf(
		"%s.exists(a, %[1]s.exists(b, %[1]s.exists(c, a + b + c < event.id.size())))", list)}
}

// A filter that needs a minute for a record keeps nobody from anything.
func TestSlowFilter(t *testing.T) {
	native := transports()[0].dial(t, shared)
	topic := newTopic(t, native)
	publish(t, native, topic, orders(t, "", 4000)...)
	t.Run("Read", some(func(t *testing.T, c client) {
		stream := openRead(t, c, &tidingsv1.ReadRequest{
			Topic: topic, Filter: slowFilter(), HeartbeatInterval: durationpb.New(time.Second),
		})
		cursors := make(map[string]bool)
		for len(cursors) < 3 { // It says that it is alive, and how far it is.
			frame := stream.next()
			if frame.GetHeartbeat() == nil {
				t.Fatalf("got %v", frame)
			}
			cursors[frame.GetHeartbeat().GetCursor()] = true
		}
	}))
	t.Run("subscription", some(func(t *testing.T, c client) {
		s := newSubscription(t, c, topic, func(s *tidingsv1.Subscription) { s.Filter = slowFilter() })
		deleteAtEnd(t, c, "none", s)
		wantNothing(t, c, s)
		show(t, c, s)
		changeFilter(t, c, s, nil)
		pull(t, c, s, 1)
	}))
	publish(t, native, topic, orders(t, "more", 1)...)
}
