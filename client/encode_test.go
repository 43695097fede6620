package client

import (
	"bytes"
	"testing"

	"google.golang.org/grpc/encoding"
	protocodec "google.golang.org/grpc/encoding/proto"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// TestEncodesAsGeneratedCode has each field of an event by itself, all at once, empty and
// large, and fields of a later contract.
func TestEncodesAsGeneratedCode(t *testing.T) {
	full := &tidingsv1.Event{Id: "full"}
	events := []*tidingsv1.Event{
		full,
		{Id: "empty", PartitionKey: new(""), Time: new(timestamppb.Timestamp), Data: new(anypb.Any), Attributes: map[string]string{"": ""}},
		{Id: string(bytes.Repeat([]byte("i"), 1000)), Data: &anypb.Any{TypeUrl: "/t", Value: make([]byte, 100_000)}},
		{Id: "past", Time: &timestamppb.Timestamp{Seconds: -1, Nanos: 999_999_999}},
		{Id: "many", Attributes: map[string]string{"one": "1", "two": "2", "three": ""}},
	}
	for _, f := range fieldsOf(full.ProtoReflect().Descriptor()) {
		one := &tidingsv1.Event{Id: "one"}
		fill(one.ProtoReflect(), f)
		fill(full.ProtoReflect(), f)
		events = append(events, one)
	}
	later := proto.CloneOf(full)
	for _, message := range []proto.Message{later, later.GetTime(), later.GetData()} {
		message.ProtoReflect().SetUnknown([]byte{0x78, 5})
		events = append(events, proto.CloneOf(later))
		message.ProtoReflect().SetUnknown(nil)
	}
	for i, event := range events {
		got, err := encodeEvents(nil, []*tidingsv1.Event{event}, noTrace{})
		if err != nil {
			t.Fatal(err)
		}
		want := encoded(t, &tidingsv1.PublishRequest{Events: []*tidingsv1.Event{event}})
		decoded := new(tidingsv1.PublishRequest)
		if err := proto.Unmarshal(got, decoded); err != nil || !proto.Equal(decoded.GetEvents()[0], event) {
			t.Errorf("event %d: %v, %v", i, decoded, err)
		}
		if len(event.GetAttributes()) < 2 && !bytes.Equal(got, want) {
			t.Errorf("event %d is encoded as %x, want %x", i, got, want)
		}
		if _, ok := eventSize(event); ok != (i < len(events)-3) {
			t.Errorf("event %d is encoded by hand: %t", i, ok)
		}
	}
}

// TestEncodesNoInvalidText leaves text that isn't UTF-8 to the generated code, which
// refuses it.
func TestEncodesNoInvalidText(t *testing.T) {
	for _, event := range []*tidingsv1.Event{
		{Id: "\xff"}, {Source: "\xff"}, {Subject: "\xff"}, {PartitionKey: new("\xff")}, {Data: &anypb.Any{TypeUrl: "\xff"}},
		{Attributes: map[string]string{"\xff": ""}}, {Attributes: map[string]string{"a": "\xff"}},
	} {
		if data, err := encodeEvents(nil, []*tidingsv1.Event{event}, noTrace{}); err == nil {
			t.Errorf("%v is encoded as %x", event, data)
		}
	}
	if data, err := encodeEvents(nil, []*tidingsv1.Event{nil}, noTrace{}); err != nil || len(data) < 20 {
		t.Errorf("nil is encoded as %x, %v", data, err)
	}
}

// TestEncodesAcksAsGeneratedCode has both codecs encode what a Consumer settles.
func TestEncodesAcksAsGeneratedCode(t *testing.T) {
	ack := func(token string) *tidingsv1.Settlement {
		return &tidingsv1.Settlement{DeliveryToken: token, Action: acknowledged}
	}
	later := ack("later")
	later.ProtoReflect().SetUnknown([]byte{0x78, 5})
	for _, test := range []struct {
		settlements []*tidingsv1.Settlement
		byHand      bool
	}{
		{[]*tidingsv1.Settlement{ack("a")}, true},
		{[]*tidingsv1.Settlement{ack("a"), ack(""), ack(string(bytes.Repeat([]byte("t"), 256)))}, true},
		{nil, false},
		{[]*tidingsv1.Settlement{ack("a"), released()}, false},
		{[]*tidingsv1.Settlement{ack("a"), later}, false},
	} {
		request := &tidingsv1.ConsumeRequest{Request: &tidingsv1.ConsumeRequest_Settle{Settle: &tidingsv1.SettlementBatch{Settlements: test.settlements}}}
		want := encoded(t, request)
		if _, size, ok := acksSize(request); ok != test.byHand || ok && size != len(want) {
			t.Errorf("%v: %d bytes by hand: %t, want %d", test.settlements, size, ok, len(want))
		}
		overGRPC, err := (&frameCodec{CodecV2: encoding.GetCodecV2(protocodec.Name)}).Marshal(request)
		if err != nil || !bytes.Equal(overGRPC.Materialize(), want) {
			t.Errorf("%v: over gRPC %x, %v, want %x", test.settlements, overGRPC.Materialize(), err, want)
		}
		overConnect, err := binary{}.Marshal(request)
		if err != nil || !bytes.Equal(overConnect, want) {
			t.Errorf("%v: over Connect %x, %v, want %x", test.settlements, overConnect, err, want)
		}
	}
	invalid := &tidingsv1.ConsumeRequest{Request: &tidingsv1.ConsumeRequest_Settle{Settle: &tidingsv1.SettlementBatch{Settlements: []*tidingsv1.Settlement{ack("\xff")}}}}
	if _, err := (binary{}).Marshal(invalid); err == nil {
		t.Error("a token that isn't UTF-8 is encoded")
	}
}
