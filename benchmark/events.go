package main

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	ordersv1 "example.com/tidings/examples/events/gen/shop/orders/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// The sizes that an event of one order can be made to have.
const (
	minEventSize = 230
	maxEventSize = 1000
)

// dataset is what every workload moves: the same events, in the forms that the
// clients send. It is built before anything is measured.
type dataset struct {
	events []*tidingsv1.Event
	// encoded are the events as the raw client sends them.
	encoded [][]byte
	// requests are batches for the typed client. Their topic is set by the
	// workload that sends them.
	requests []*tidingsv1.PublishStreamRequest
	// encodedRequests are the PublishRequests in them, encoded, without a topic.
	encodedRequests [][]byte
	// checkedLess are the same as events that the server checks less.
	checkedLess *checkedLess
	batch       int
}

func newDataset(count, batch, size int) (*dataset, error) {
	d := &dataset{batch: batch}
	padding, err := paddingFor(size)
	if err != nil {
		return nil, err
	}
	for i := range count {
		event, err := newEvent(i, padding)
		if err != nil {
			return nil, err
		}
		encoded, err := proto.Marshal(event)
		if err != nil {
			return nil, err
		}
		d.events = append(d.events, event)
		d.encoded = append(d.encoded, encoded)
	}
	for i := 0; i < count; i += batch {
		request := &tidingsv1.PublishStreamRequest{Publish: &tidingsv1.PublishRequest{Events: d.events[i : i+batch]}}
		encoded, err := proto.Marshal(request.GetPublish())
		if err != nil {
			return nil, err
		}
		d.requests = append(d.requests, request)
		d.encodedRequests = append(d.encodedRequests, encoded)
	}
	d.checkedLess, err = newCheckedLess(d)
	return d, err
}

// paddingFor returns how much padding an event needs to have a size.
func paddingFor(size int) (int, error) {
	event, err := newEvent(0, 0)
	if err != nil {
		return 0, err
	}
	// The padding is the subject: its tag and its length come with it.
	padding := size - proto.Size(event) - 2
	if padding < 0 {
		return 0, fmt.Errorf("an event of %d bytes is the smallest", proto.Size(event)+2)
	}
	if padding > 127 {
		padding-- // Its length takes two bytes.
	}
	return padding, nil
}

// newEvent makes the event with a number: an order of one item. All events have
// the same size.
func newEvent(number, padding int) (*tidingsv1.Event, error) {
	return newOrder(number, fmt.Sprintf("order-%012d", number), padding)
}

// newOrder makes the event with a number. The order is its partition key.
func newOrder(number int, order string, padding int) (*tidingsv1.Event, error) {
	id := fmt.Sprintf("%012d", number)
	placed := time.Date(2026, 1, 2, 3, 4, 5, 6_000_000, time.UTC)
	price := &ordersv1.Money{CurrencyCode: "EUR", MinorUnits: 1999}
	data, err := anypb.New(&ordersv1.OrderPlaced{
		OrderId:    order,
		CustomerId: fmt.Sprintf("customer-%06d", number%1_000_000),
		Email:      fmt.Sprintf("customer-%06d@shop.example", number%1_000_000),
		Items:      []*ordersv1.OrderItem{{Sku: "BOOK-0042", Quantity: 2, UnitPrice: price}},
		Total:      &ordersv1.Money{CurrencyCode: "EUR", MinorUnits: 3998},
		PlacedAt:   timestamppb.New(placed),
	})
	if err != nil {
		return nil, err
	}
	return &tidingsv1.Event{
		Id:      id,
		Source:  "//shop.example/web",
		Subject: strings.Repeat("s", padding),
		Data:    data,
	}, nil
}

// pack puts events into one message, each after its length.
func pack(events [][]byte) []byte {
	size := 0
	for _, event := range events {
		size += protowire.SizeBytes(len(event))
	}
	packed := make([]byte, 0, size)
	for _, event := range events {
		packed = protowire.AppendBytes(packed, event)
	}
	return packed
}

// unpack counts the events of a packed message.
func unpack(packed []byte) (count int, err error) {
	for len(packed) > 0 {
		_, n := protowire.ConsumeBytes(packed)
		if n < 0 {
			return 0, fmt.Errorf("a packed message: %w", protowire.ParseError(n))
		}
		packed = packed[n:]
		count++
	}
	return count, nil
}
