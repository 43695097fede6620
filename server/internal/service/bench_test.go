package service

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/eventlog"
	"example.com/tidings/server/internal/schema"
	"example.com/tidings/server/internal/telemetry"

	ordersv1 "example.com/tidings/examples/events/gen/shop/orders/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// benchEvents is the number of events of the batches that are measured.
const benchEvents = 100

// benchTopic is a topic that no storage knows.
var benchTopic = &engine.Topic{Name: "orders", Config: new(storagev1.TopicConfig)}

// benchTypes is a set of the types of the orders.
func benchTypes(tb testing.TB) *schema.Set {
	tb.Helper()
	set := new(descriptorpb.FileDescriptorSet)
	seen := make(map[string]bool)
	var add func(file protoreflect.FileDescriptor)
	add = func(file protoreflect.FileDescriptor) {
		if seen[file.Path()] {
			return
		}
		seen[file.Path()] = true
		for i := range file.Imports().Len() {
			add(file.Imports().Get(i).FileDescriptor)
		}
		set.File = append(set.File, protodesc.ToFileDescriptorProto(file))
	}
	add(ordersv1.File_shop_orders_v1_events_proto)
	image, err := proto.Marshal(set)
	if err != nil {
		tb.Fatal(err)
	}
	types, err := schema.Parse(image)
	if err != nil {
		tb.Fatal(err)
	}
	return types
}

// benchRequest is an encoded request of events with 264 bytes each.
func benchRequest(tb testing.TB) []byte {
	tb.Helper()
	request := &tidingsv1.PublishRequest{Topic: benchTopic.Name}
	for i := range benchEvents {
		data, err := anypb.New(&ordersv1.OrderPlaced{
			OrderId:    fmt.Sprintf("order-%012d", i),
			CustomerId: fmt.Sprintf("customer-%06d", i),
			Email:      fmt.Sprintf("customer-%06d@shop.example", i),
			Items: []*ordersv1.OrderItem{{
				Sku: "BOOK-0042", Quantity: 2, UnitPrice: &ordersv1.Money{CurrencyCode: "EUR", MinorUnits: 1999},
			}},
			Total:    &ordersv1.Money{CurrencyCode: "EUR", MinorUnits: 3998},
			PlacedAt: timestamppb.New(time.Date(2026, 1, 2, 3, 4, 5, 6_000_000, time.UTC)),
		})
		if err != nil {
			tb.Fatal(err)
		}
		request.Events = append(request.Events, &tidingsv1.Event{
			Id: fmt.Sprintf("%012d", i), Source: "//shop.example/web", Subject: "sssssss", Data: data,
		})
	}
	data, err := proto.Marshal(request)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// reportPerEvent says what an event costs, besides what a batch does.
func reportPerEvent(b *testing.B) {
	b.Helper()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchEvents, "ns/event")
}

// The steps from a batch to the storage; each operation is a batch.

func BenchmarkParseBatch(b *testing.B) {
	data := benchRequest(b)
	var parsed batch
	b.ReportAllocs()
	for b.Loop() {
		if err := parseBatch(data, &parsed, 0); err != nil {
			b.Fatal(err)
		}
	}
	reportPerEvent(b)
}

// BenchmarkParsePrecondition is a request as event sourcing sends it: one event
// after another of its key.
func BenchmarkParsePrecondition(b *testing.B) {
	var request tidingsv1.PublishRequest
	if err := proto.Unmarshal(benchRequest(b), &request); err != nil {
		b.Fatal(err)
	}
	request.Events, request.Preconditions = request.GetEvents()[:1], []*tidingsv1.Precondition{last("order-000000000000", 4096)}
	data, err := proto.Marshal(&request)
	if err != nil {
		b.Fatal(err)
	}
	for name, parse := range map[string]func(*batch) error{
		"parse":  func(into *batch) error { return parseBatch(data, into, 0) },
		"decode": func(into *batch) error { return decodeBatch(data, into, 0) },
	} {
		b.Run(name, func(b *testing.B) {
			var parsed batch
			b.ReportAllocs()
			for b.Loop() {
				if err := parse(&parsed); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCheckEvents(b *testing.B) {
	p, c, parsed := benchPublication(b)
	b.ReportAllocs()
	for b.Loop() {
		if err := p.checkEvents(b.Context(), new(Service), c, parsed); err != nil {
			b.Fatal(err)
		}
	}
	reportPerEvent(b)
}

// benchPublishers are those that what depends on the publisher is measured with.
var benchPublishers = map[string]string{"of nobody": "", "of a principal": "key:checkout"}

func BenchmarkEncodeRecord(b *testing.B) {
	for name, publisher := range benchPublishers {
		b.Run(name, func(b *testing.B) {
			p, c, parsed := benchPublication(b)
			p.publisher = publisher
			if err := p.checkEvents(b.Context(), new(Service), c, parsed); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := p.encode(parsed, c.types); err != nil {
					b.Fatal(err)
				}
			}
			reportPerEvent(b)
			b.ReportMetric(float64(len(p.batch.Data))/benchEvents, "B/event")
		})
	}
}

func benchPublication(tb testing.TB) (*publication, *checker, *batch) {
	tb.Helper()
	parsed := new(batch)
	if err := parseBatch(benchRequest(tb), parsed, 0); err != nil {
		tb.Fatal(err)
	}
	c := &checker{types: benchTypes(tb), topic: benchTopic, room: maxKeyRoom, limits: Limits{MaxRequestBytes: 4 << 20, MaxEventBytes: 1 << 20}}
	return &publication{topic: benchTopic}, c, parsed
}

// BenchmarkFrames is the way of a record's events to a reader.
func BenchmarkFrames(b *testing.B) {
	for name, publisher := range benchPublishers {
		b.Run(name, func(b *testing.B) { benchFrames(b, publisher) })
	}
}

func benchFrames(b *testing.B, publisher string) {
	b.Helper()
	p, c, parsed := benchPublication(b)
	p.publisher = publisher
	if err := p.checkEvents(b.Context(), new(Service), c, parsed); err != nil {
		b.Fatal(err)
	}
	if err := p.encode(parsed, c.types); err != nil {
		b.Fatal(err)
	}
	sender := new(discard)
	counting := &Service{metrics: telemetry.New(telemetry.Config{Version: "1", Log: slog.New(slog.DiscardHandler)})}
	r := &readCall{service: counting, topic: benchTopic, sender: sender, until: -1, left: -1, caughtUp: true}
	record := engine.Record{Time: time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC), Data: p.batch.Data, More: true}
	b.ReportAllocs()
	for b.Loop() {
		record.First, record.Last = record.Last+1, record.Last+int64(len(p.batch.Events))
		if err := r.take(b.Context(), portion{record: record, to: eventlog.MaxEvents, last: true}); err != nil {
			b.Fatal(err)
		}
	}
	reportPerEvent(b)
	b.ReportMetric(float64(sender.bytes)/float64(b.N)/benchEvents, "B/event")
	if sender.bytes < b.N*len(record.Data)-2*frameKept {
		b.Fatalf("%d bytes sent for %d records of %d bytes", sender.bytes, b.N, len(record.Data))
	}
}

// discard is a reader that needs no time.
type discard struct{ bytes int }

func (d *discard) Send(frame *Frame) error {
	d.bytes += len(frame.Bytes())
	frame.Free()
	return nil
}
