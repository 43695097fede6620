package rpc

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"example.com/tidings/server/internal/schema"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// A request goes from JSON to its encoding without being decoded, by the types that
// are in force at the time.
func TestJSONIsNotDecoded(t *testing.T) {
	image, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{{
		Name: new("bills.proto"), Package: new("bills.v1"), Syntax: new("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{{
			Name: new("Paid"), Field: []*descriptorpb.FieldDescriptorProto{{
				Name: new("bill_id"), Number: new(int32(1)), Type: descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum(),
				Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
			}},
		}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	bills, err := schema.Parse(image)
	if err != nil {
		t.Fatal(err)
	}
	set := types(t)
	inJSON := &jsonCodec{codec: codec{gate: new(gate), maxRequestBytes: 1 << 20, types: func() *schema.Set { return set }}, name: "json"}
	receive := func(bill string) *rawRequest {
		raw := new(rawRequest)
		text := `{"topic":"bills","events":[{"id":"1","data":{"billId":` + bill + `,"@type":"x/bills.v1.Paid"}}]}`
		if err := inJSON.Unmarshal([]byte(text), raw); err != nil {
			t.Fatal(err)
		}
		return raw
	}
	if raw := receive(`"a"`); raw.err == nil || !strings.Contains(raw.err.Error(), "bills.v1.Paid") {
		t.Errorf("of a type that isn't known: %v", raw.err)
	}
	set = bills
	raw := receive(`"a"`)
	request := new(tidingsv1.PublishRequest)
	if err := proto.Unmarshal(raw.data, request); err != nil || raw.err != nil || len(request.GetEvents()) != 1 {
		t.Fatalf("got %v, %v, %v", request, err, raw.err)
	}
	if proto.Size(raw.decoded) > 0 {
		t.Errorf("it was decoded: %v", raw.decoded)
	}
	if raw := receive(`1`); raw.err == nil || !strings.Contains(raw.err.Error(), "events[0].data.billId") {
		t.Errorf("with a number for a text: %v", raw.err)
	}
	set = types(t)
	if raw := receive(`"a"`); raw.err == nil {
		t.Error("the type is known still")
	}
}
