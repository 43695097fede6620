package client

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// orders is a frame of events as a server sends them, 264 bytes each as published.
func orders(events int) *tidingsv1.ReadResponse {
	batch := new(tidingsv1.EventBatch)
	for i := range events {
		batch.Events = append(batch.Events, &tidingsv1.RecordedEvent{
			Event: &tidingsv1.Event{
				Id: fmt.Sprintf("%012d", i), Source: "//shop.example/web", PartitionKey: new(fmt.Sprintf("order-%012d", i)),
				Data: &anypb.Any{TypeUrl: "type.googleapis.com/google.protobuf.StringValue", Value: append([]byte{tag1, 126}, strings.Repeat("v", 126)...)},
			},
			Topic: "orders", Sequence: int64(i + 1), Cursor: fmt.Sprintf("a-cursor-of-24-bytes-%03d", i),
			PublishTime: &timestamppb.Timestamp{Seconds: 1_800_000_000, Nanos: 123_456_789}, SchemaRevision: "0123456789abcdef",
		})
	}
	return &tidingsv1.ReadResponse{Frame: &tidingsv1.ReadResponse_Events{Events: batch}}
}

func deliveries(events int) *tidingsv1.ConsumeResponse {
	batch := new(tidingsv1.DeliveryBatch)
	for i, event := range orders(events).GetEvents().GetEvents() {
		batch.Deliveries = append(batch.Deliveries, &tidingsv1.Delivery{
			Recorded: event, DeliveryToken: fmt.Sprintf("a-token-%040d", i), Attempt: 1,
			Deadline: &timestamppb.Timestamp{Seconds: 1_800_000_030, Nanos: 5}, LeaseDuration: durationpb.New(30_000_000_000),
		})
	}
	return &tidingsv1.ConsumeResponse{Frame: &tidingsv1.ConsumeResponse_Deliveries{Deliveries: batch}}
}

func results(settlements int) *tidingsv1.ConsumeResponse {
	settled := &tidingsv1.SettlementResults{Batch: 7}
	for range settlements {
		settled.Results = append(settled.Results, &tidingsv1.SettlementResult{Status: tidingsv1.SettlementStatus_SETTLEMENT_STATUS_APPLIED})
	}
	return &tidingsv1.ConsumeResponse{Frame: &tidingsv1.ConsumeResponse_Settled{Settled: settled}}
}

func receipts(events int) *tidingsv1.PublishStreamResponse {
	published := &tidingsv1.PublishResponse{Topic: "orders"}
	for i := range events {
		published.Receipts = append(published.Receipts, &tidingsv1.Receipt{Index: int64(i), Sequence: int64(1000 + i), Duplicate: i%2 == 1})
	}
	return &tidingsv1.PublishStreamResponse{Batch: 7, Result: &tidingsv1.PublishStreamResponse_Published{Published: published}}
}

func encoded(t testing.TB, message proto.Message) []byte {
	t.Helper()
	data, err := proto.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestDecodesEveryField has each field of what a frame holds by itself, and all at once: a
// field that the contract gets is to be decoded here too.
func TestDecodesEveryField(t *testing.T) {
	known := func(message proto.Message) (all []proto.Message) {
		full := message.ProtoReflect()
		for _, f := range fieldsOf(full.Descriptor()) {
			one := full.New()
			fill(one, f)
			fill(full, f)
			all = append(all, one.Interface())
		}
		return append(all, full.Interface())
	}
	check := func(frame proto.Message, decoded bool) {
		if !decoded {
			t.Errorf("left to the generated code: %v", frame)
		}
	}
	recordedIn := func(recorded *tidingsv1.RecordedEvent) {
		frame := &tidingsv1.ReadResponse{Frame: &tidingsv1.ReadResponse_Events{Events: &tidingsv1.EventBatch{Events: []*tidingsv1.RecordedEvent{recorded}}}}
		check(frame, decodeRead(encoded(t, frame), new(tidingsv1.ReadResponse)))
		same(t, encoded(t, frame), new(tidingsv1.ReadResponse), new(tidingsv1.ReadResponse))
	}
	for _, message := range known(new(tidingsv1.RecordedEvent)) {
		recordedIn(message.(*tidingsv1.RecordedEvent))
	}
	for _, message := range known(new(tidingsv1.Event)) {
		recordedIn(&tidingsv1.RecordedEvent{Event: message.(*tidingsv1.Event)})
	}
	for _, message := range known(new(tidingsv1.Delivery)) {
		batch := &tidingsv1.DeliveryBatch{Deliveries: []*tidingsv1.Delivery{message.(*tidingsv1.Delivery)}}
		frame := &tidingsv1.ConsumeResponse{Frame: &tidingsv1.ConsumeResponse_Deliveries{Deliveries: batch}}
		check(frame, decodeConsume(encoded(t, frame), new(tidingsv1.ConsumeResponse)))
		same(t, encoded(t, frame), new(tidingsv1.ConsumeResponse), new(tidingsv1.ConsumeResponse))
	}
	check(receipts(40), decodePublished(encoded(t, receipts(40)), new(tidingsv1.PublishStreamResponse)))
	check(results(40), decodeConsume(encoded(t, results(40)), new(tidingsv1.ConsumeResponse)))
}

func fieldsOf(message protoreflect.MessageDescriptor) (all []protoreflect.FieldDescriptor) {
	for i := range message.Fields().Len() {
		all = append(all, message.Fields().Get(i))
	}
	return all
}

// fill sets a field to something.
func fill(message protoreflect.Message, f protoreflect.FieldDescriptor) {
	switch {
	case f.IsMap():
		message.Mutable(f).Map().Set(protoreflect.ValueOfString("traceparent").MapKey(), protoreflect.ValueOfString("00-1-2-01"))
	case f.Message() != nil:
		inner := message.Mutable(f).Message()
		for _, each := range fieldsOf(inner.Descriptor()) {
			if each.Message() == nil {
				fill(inner, each)
			}
		}
	default:
		message.Set(f, map[protoreflect.Kind]protoreflect.Value{
			protoreflect.StringKind: protoreflect.ValueOfString("größer"), protoreflect.BytesKind: protoreflect.ValueOfBytes([]byte{0xff, 0}),
			protoreflect.Int64Kind: protoreflect.ValueOfInt64(-5), protoreflect.Int32Kind: protoreflect.ValueOfInt32(-7),
			protoreflect.BoolKind: protoreflect.ValueOfBool(true),
		}[f.Kind()])
	}
}

// same fails where a frame isn't decoded to what the generated code makes of it.
func same(t *testing.T, data []byte, got, want proto.Message) {
	t.Helper()
	given := bytes.Clone(data)
	err, wrong := unmarshal(given, got), proto.Unmarshal(data, want)
	clear(given) // Nothing is kept of it.
	if (err == nil) != (wrong == nil) || err == nil && !proto.Equal(got, want) {
		t.Errorf("%x is decoded to %v, %v; want %v, %v", data, got, err, want, wrong)
	}
}

// FuzzFrames decodes frames, whole and damaged, as the generated code does.
func FuzzFrames(f *testing.F) {
	for _, frame := range []proto.Message{orders(1), deliveries(1), results(2), receipts(2)} {
		f.Add(encoded(f, frame))
	}
	f.Add([]byte{tag1, 4, tag1, 2, tag2, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		same(t, data, new(tidingsv1.ReadResponse), new(tidingsv1.ReadResponse))
		same(t, data, new(tidingsv1.ConsumeResponse), new(tidingsv1.ConsumeResponse))
		same(t, data, new(tidingsv1.PublishStreamResponse), new(tidingsv1.PublishStreamResponse))
	})
}

// TestDecodesDamagedFrames changes frames at random: what comes of them, an error or
// events, is what the generated code makes of them.
func TestDecodesDamagedFrames(t *testing.T) {
	seed := rand.Uint64()                    //nolint:gosec // No secret.
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // No secret.
	t.Logf("seed %d", seed)
	full := orders(3)
	for i, event := range full.GetEvents().GetEvents() {
		fill(event.ProtoReflect(), fieldsOf(event.ProtoReflect().Descriptor())[6])
		fill(event.GetEvent().ProtoReflect(), fieldsOf(event.GetEvent().ProtoReflect().Descriptor())[2+i])
		fill(event.GetEvent().ProtoReflect(), fieldsOf(event.GetEvent().ProtoReflect().Descriptor())[5])
	}
	for _, frame := range []proto.Message{full, deliveries(2), results(3), receipts(3)} {
		whole := encoded(t, frame)
		for range 3000 {
			data := bytes.Clone(whole)
			for range 1 + random.IntN(3) {
				at := random.IntN(len(data))
				switch random.IntN(4) {
				case 0:
					data[at] = byte(random.Uint32())
				case 1:
					data[at] ^= 1 << random.IntN(8)
				case 2:
					data = slices.Insert(data, at, byte(random.Uint32()))
				default:
					data = slices.Delete(data, at, at+1)
				}
			}
			same(t, data, frame.ProtoReflect().New().Interface(), frame.ProtoReflect().New().Interface())
		}
	}
}

// TestDecodesLaterFields keeps what a later contract has, in any message.
func TestDecodesLaterFields(t *testing.T) {
	frame := deliveries(2)
	last := frame.GetDeliveries().GetDeliveries()[1]
	later := protowire.AppendString(protowire.AppendTag(nil, 99, protowire.BytesType), "later")
	for _, message := range []proto.Message{frame, frame.GetDeliveries(), last, last.GetRecorded(), last.GetRecorded().GetEvent(), last.GetDeadline()} {
		message.ProtoReflect().SetUnknown(later)
		same(t, encoded(t, frame), new(tidingsv1.ConsumeResponse), new(tidingsv1.ConsumeResponse))
		message.ProtoReflect().SetUnknown(nil)
	}
}

// TestRunsAreBounded says how much of a frame an event keeps.
func TestRunsAreBounded(t *testing.T) {
	for size, want := range map[int]int{10: runEvents, 1000: 16, 5000: 4, 100_000: 1} {
		var batch []byte
		for range 100 {
			batch = protowire.AppendBytes(append(batch, tag1), make([]byte, size))
		}
		seen := 0
		eachRun(batch, func(_ *run, count int) bool {
			if left := 100 - seen; count > want+1 || count < min(want, left) {
				t.Errorf("%d events of %d bytes in a run, want %d", count, size, want)
			}
			seen += count
			return true
		})
		if seen != 100 {
			t.Errorf("%d events", seen)
		}
	}
}

// TestDecodeAllocates counts the allocations for an event.
func TestDecodeAllocates(t *testing.T) {
	const events = 1024
	for name, each := range map[string]struct {
		data []byte
		into proto.Message
	}{
		"read":    {encoded(t, orders(events)), new(tidingsv1.ReadResponse)},
		"consume": {encoded(t, deliveries(events)), new(tidingsv1.ConsumeResponse)},
		"settled": {encoded(t, results(events)), new(tidingsv1.ConsumeResponse)},
		"publish": {encoded(t, receipts(events)), new(tidingsv1.PublishStreamResponse)},
	} {
		allocations := testing.AllocsPerRun(20, func() {
			if err := unmarshal(each.data, each.into); err != nil {
				t.Error(err)
			}
		})
		if allocations/events > 0.2 { // Four a run, and the lists of pointers.
			t.Errorf("%s: %v allocations for %d events", name, allocations, events)
		}
	}
}

// BenchmarkDecode compares the generated code with this one; the figures are for an event.
func BenchmarkDecode(b *testing.B) {
	const events = 500
	for name, frame := range map[string]proto.Message{"read": orders(events), "consume": deliveries(events), "settled": results(events)} {
		data := encoded(b, frame)
		for way, decode := range map[string]func([]byte, proto.Message) error{"generated": proto.Unmarshal, "runs": unmarshal} {
			b.Run(name+"/"+way, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := decode(data, frame.ProtoReflect().New().Interface()); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*events), "ns/event")
			})
		}
	}
}
