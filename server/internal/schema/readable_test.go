package schema_test

import (
	"context"
	"errors"
	"math"
	"testing"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"example.com/tidings/server/internal/schema"
)

// everything is a message with one field for each type whose JSON form has
// holes, and with itself in a field, a list and a map.
func everything(t *testing.T) *schema.Set {
	t.Helper()
	field := func(name string, number int32, message string, label descriptorpb.FieldDescriptorProto_Label) *descriptorpb.FieldDescriptorProto {
		return &descriptorpb.FieldDescriptorProto{
			Name: new(name), Number: new(number), Label: label.Enum(),
			Type: descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum(), TypeName: new("." + message),
		}
	}
	const one, many = descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL, descriptorpb.FieldDescriptorProto_LABEL_REPEATED
	file := &descriptorpb.FileDescriptorProto{
		Name: new("t/t.proto"), Package: new("t"), Syntax: new("proto3"),
		Dependency: []string{
			"google/protobuf/any.proto", "google/protobuf/duration.proto", "google/protobuf/field_mask.proto",
			"google/protobuf/struct.proto", "google/protobuf/timestamp.proto",
		},
		MessageType: []*descriptorpb.DescriptorProto{{
			Name: new("Everything"),
			Field: []*descriptorpb.FieldDescriptorProto{
				field("time", 1, "google.protobuf.Timestamp", one),
				field("duration", 2, "google.protobuf.Duration", one),
				field("mask", 3, "google.protobuf.FieldMask", one),
				field("value", 4, "google.protobuf.Value", one),
				field("any", 5, "google.protobuf.Any", one),
				field("self", 6, "t.Everything", one),
				field("list", 7, "t.Everything", many),
				field("struct", 8, "google.protobuf.Struct", one),
			},
		}},
	}
	set := &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{
		protodesc.ToFileDescriptorProto(anypb.File_google_protobuf_any_proto),
		protodesc.ToFileDescriptorProto(durationpb.File_google_protobuf_duration_proto),
		protodesc.ToFileDescriptorProto(fieldmaskpb.File_google_protobuf_field_mask_proto),
		protodesc.ToFileDescriptorProto(structpb.File_google_protobuf_struct_proto),
		protodesc.ToFileDescriptorProto(timestamppb.File_google_protobuf_timestamp_proto),
		file,
	}}
	image, err := proto.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	types, err := schema.Parse(image)
	if err != nil {
		t.Fatal(err)
	}
	return types
}

// A value that has no JSON form is refused with its path, and its neighbour
// that has one is not.
func TestCheckRefusesWhatHasNoJSON(t *testing.T) {
	types, err := everything(t).Type("t.Everything")
	if err != nil {
		t.Fatal(err)
	}
	wrap := func(number protoNumber, message proto.Message) []byte { return number.field(t, message) }
	inner, err := anypb.New(&timestamppb.Timestamp{Seconds: 1 << 60})
	if err != nil {
		t.Fatal(err)
	}
	good, err := anypb.New(&timestamppb.Timestamp{Seconds: 1})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		payload []byte
		field   string // Empty: accepted.
	}{
		"time":                {wrap(1, &timestamppb.Timestamp{Seconds: 253402300800}), "time"},
		"last time":           {wrap(1, &timestamppb.Timestamp{Seconds: 253402300799, Nanos: 999999999}), ""},
		"nanos":               {wrap(1, &timestamppb.Timestamp{Nanos: 1e9}), "time"},
		"duration":            {wrap(2, &durationpb.Duration{Seconds: 1, Nanos: -1}), "duration"},
		"negative duration":   {wrap(2, &durationpb.Duration{Seconds: -1, Nanos: -1}), ""},
		"mask":                {wrap(3, &fieldmaskpb.FieldMask{Paths: []string{"a_b", "aB"}}), "mask"},
		"mask of snake case":  {wrap(3, &fieldmaskpb.FieldMask{Paths: []string{"a_b.c"}}), ""},
		"no kind":             {wrap(4, &structpb.Value{}), "value"},
		"NaN":                 {wrap(4, structpb.NewNumberValue(math.NaN())), "value"},
		"number":              {wrap(4, structpb.NewNumberValue(1)), ""},
		"infinity below list": {wrap(4, structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{structpb.NewNumberValue(math.Inf(1))}})), "value.list_value.values[0]"},
		"struct":              {wrap(8, &structpb.Struct{Fields: map[string]*structpb.Value{"k": {}}}), `struct.fields["k"]`},
		"unknown any":         {wrap(5, &anypb.Any{TypeUrl: "type.googleapis.com/nobody.Knows"}), "any"},
		"any":                 {wrap(5, good), ""},
		"bad time in any":     {wrap(5, inner), "any"},
		"malformed any":       {wrap(5, &anypb.Any{TypeUrl: good.GetTypeUrl(), Value: []byte{0xff}}), "any"},
		"empty any":           {wrap(5, &anypb.Any{}), ""},
		"in itself":           {protoNumber(6).bytes(wrap(1, &timestamppb.Timestamp{Nanos: -1})), "self.time"},
		"in a list of itself": {append(protoNumber(7).bytes(nil), protoNumber(7).bytes(wrap(1, &timestamppb.Timestamp{Nanos: -1}))...), "list[1].time"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := types.Check(context.Background(), test.payload)
			if test.field == "" {
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				return
			}
			var invalid *schema.InvalidError
			if !errors.As(err, &invalid) {
				t.Fatalf("got %v, want an InvalidError", err)
			}
			if got := protovalidate.FieldPathString(invalid.Violations.GetViolations()[0].GetField()); got != test.field {
				t.Errorf("field %q, want %q (%v)", got, test.field, err)
			}
		})
	}
}

// protoNumber encodes a field of this number.
type protoNumber protowire.Number

func (n protoNumber) field(t *testing.T, message proto.Message) []byte {
	t.Helper()
	encoded, err := proto.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	return n.bytes(encoded)
}

func (n protoNumber) bytes(encoded []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, protowire.Number(n), protowire.BytesType), encoded)
}
