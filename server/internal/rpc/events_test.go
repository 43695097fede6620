package rpc_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	ordersv1 "example.com/tidings/examples/events/gen/shop/orders/v1"
	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// testTimeout bounds a test that waits for something that doesn't come.
const testTimeout = 2 * time.Minute

// testContext returns a context for the calls of a test.
func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	t.Cleanup(cancel)
	return ctx
}

var names atomic.Int64

// newName returns a topic name that no other test has.
func newName() string { return fmt.Sprintf("topic-%d", names.Add(1)) }

// newTopic creates a topic for one test.
func newTopic(t *testing.T, c client, change ...func(*tidingsv1.Topic)) string {
	t.Helper()
	topic := &tidingsv1.Topic{Name: newName(), Settings: new(optionsv1.TopicSettings)}
	for _, f := range change {
		f(topic)
	}
	if _, err := c.CreateTopic(testContext(t), &tidingsv1.CreateTopicRequest{Topic: topic}); err != nil {
		t.Fatal(err)
	}
	return topic.GetName()
}

// byEvent makes a topic recognise each event.
func byEvent(topic *tidingsv1.Topic) { topic.Settings.Dedupe = optionsv1.Dedupe_DEDUPE_EVENT }

// placed is a valid payload.
func placed(order string) *ordersv1.OrderPlaced {
	price := &ordersv1.Money{CurrencyCode: "EUR", MinorUnits: 1250}
	return &ordersv1.OrderPlaced{
		OrderId:  order,
		Email:    "a@example.com",
		Items:    []*ordersv1.OrderItem{{Sku: "TEA-GREEN-100", Quantity: 2, UnitPrice: price}},
		Total:    &ordersv1.Money{CurrencyCode: "EUR", MinorUnits: 2500},
		PlacedAt: timestamppb.New(time.Unix(1_700_000_000, 0)),
	}
}

// paid is a valid payload of another type.
func paid(order string) *ordersv1.OrderPaid {
	return &ordersv1.OrderPaid{
		OrderId:   order,
		PaymentId: "p-" + order,
		Amount:    &ordersv1.Money{CurrencyCode: "EUR", MinorUnits: 2500},
		PaidAt:    timestamppb.New(time.Unix(1_700_000_100, 5)),
	}
}

// event is a valid event with a payload.
func event(t *testing.T, id string, payload proto.Message) *tidingsv1.Event {
	t.Helper()
	data, err := anypb.New(payload)
	if err != nil {
		t.Fatal(err)
	}
	return &tidingsv1.Event{Id: id, Source: "/test", Data: data}
}

// orders are valid events with the ids prefix-0, prefix-1 and so on; each is of
// an order of its own.
func orders(t *testing.T, prefix string, count int) []*tidingsv1.Event {
	t.Helper()
	events := make([]*tidingsv1.Event, count)
	for i := range events {
		id := fmt.Sprintf("%s-%d", prefix, i)
		events[i] = event(t, id, placed("order-"+id))
	}
	return events
}

// invalid is an order with a bad address.
func invalid(t *testing.T, id string) *tidingsv1.Event {
	t.Helper()
	order := placed("order-" + id)
	order.Email = "nobody"
	return event(t, id, order)
}

// bulky is a valid event of at least a number of bytes, which compress badly.
func bulky(t *testing.T, id string, size int) *tidingsv1.Event {
	t.Helper()
	e := event(t, id, placed("order-"+id))
	const value = 4096
	e.Attributes = make(map[string]string)
	for i := 0; i*value < size; i++ {
		random := make([]byte, value/4*3)
		if _, err := rand.Read(random); err != nil {
			t.Fatal(err)
		}
		e.Attributes[fmt.Sprintf("a%d", i)] = base64.StdEncoding.EncodeToString(random)
	}
	return e
}

// publish publishes events and returns their receipts.
func publish(t *testing.T, c client, topic string, events ...*tidingsv1.Event) []*tidingsv1.Receipt {
	t.Helper()
	response, err := c.Publish(testContext(t), &tidingsv1.PublishRequest{Topic: topic, Events: events})
	if err != nil {
		t.Fatal(err)
	}
	if response.GetTopic() != topic {
		t.Fatalf("published to %q, want %q", response.GetTopic(), topic)
	}
	return response.GetReceipts()
}

// sequences returns the sequences of receipts.
func sequences(receipts []*tidingsv1.Receipt) []int64 {
	var list []int64
	for _, receipt := range receipts {
		list = append(list, receipt.GetSequence())
	}
	return list
}

// keyed returns an event as the server keeps it: with the partition key that
// its order gives.
func keyed(e *tidingsv1.Event, key string) *tidingsv1.Event {
	e = proto.CloneOf(e)
	e.PartitionKey = &key
	return e
}

// latest returns the sequence of the last event of a topic.
func latest(t *testing.T, c client, topic string) int64 {
	t.Helper()
	response, err := c.GetTopic(testContext(t), &tidingsv1.GetTopicRequest{Name: topic})
	if err != nil {
		t.Fatal(err)
	}
	return response.GetTopic().GetStatistics().GetLatestSequence()
}
