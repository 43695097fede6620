package filter

import (
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"example.com/tidings/server/internal/schema"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// The types of the tests: one with fields of every kind that CEL tells apart,
// which declares the topic `things`, and one with a single field.
const (
	thing = "test.things.v1.Thing"
	other = "test.things.v1.Other"
)

const thingsFile = `
name: "test/things.proto" package: "test.things.v1" syntax: "proto3"
dependency: "google/protobuf/any.proto" dependency: "google/protobuf/struct.proto"
dependency: "google/protobuf/timestamp.proto" dependency: "google/protobuf/wrappers.proto"
dependency: "tidings/options/v1/options.proto"
message_type {
  name: "Thing"
  field { name: "text" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "number" number: 2 type: TYPE_INT64 label: LABEL_OPTIONAL }
  field { name: "ratio" number: 3 type: TYPE_DOUBLE label: LABEL_OPTIONAL }
  field { name: "parts" number: 4 type: TYPE_MESSAGE type_name: ".test.things.v1.Thing" label: LABEL_REPEATED }
  field { name: "words" number: 5 type: TYPE_STRING label: LABEL_REPEATED }
  field { name: "labels" number: 6 type: TYPE_MESSAGE type_name: ".test.things.v1.Thing.LabelsEntry" label: LABEL_REPEATED }
  field { name: "json" number: 7 type: TYPE_MESSAGE type_name: ".google.protobuf.Struct" label: LABEL_OPTIONAL }
  field { name: "value" number: 8 type: TYPE_MESSAGE type_name: ".google.protobuf.Value" label: LABEL_OPTIONAL }
  field { name: "any" number: 9 type: TYPE_MESSAGE type_name: ".google.protobuf.Any" label: LABEL_OPTIONAL }
  field { name: "anys" number: 10 type: TYPE_MESSAGE type_name: ".google.protobuf.Any" label: LABEL_REPEATED }
  field { name: "flag" number: 11 type: TYPE_MESSAGE type_name: ".google.protobuf.BoolValue" label: LABEL_OPTIONAL }
  field { name: "at" number: 12 type: TYPE_MESSAGE type_name: ".google.protobuf.Timestamp" label: LABEL_OPTIONAL }
  field { name: "kind" number: 13 type: TYPE_ENUM type_name: ".test.things.v1.Kind" label: LABEL_OPTIONAL }
  field { name: "raw" number: 14 type: TYPE_BYTES label: LABEL_OPTIONAL }
  field { name: "yes" number: 15 type: TYPE_BOOL label: LABEL_OPTIONAL }
  field { name: "inner" number: 16 type: TYPE_MESSAGE type_name: ".test.things.v1.Thing" label: LABEL_OPTIONAL }
  nested_type {
    name: "LabelsEntry" options { map_entry: true }
    field { name: "key" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
    field { name: "value" number: 2 type: TYPE_STRING label: LABEL_OPTIONAL }
  }
  options { [tidings.options.v1.event] { topic: "things" } }
}
message_type {
  name: "Other"
  field { name: "number" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
}
enum_type {
  name: "Kind"
  value { name: "KIND_UNSPECIFIED" number: 0 }
  value { name: "KIND_GOOD" number: 1 }
}
`

// things returns the set of the types of the tests.
func things(tb testing.TB) *schema.Set {
	tb.Helper()
	file := new(descriptorpb.FileDescriptorProto)
	if err := prototext.Unmarshal([]byte(thingsFile), file); err != nil {
		tb.Fatal(err)
	}
	files := &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{file}}
	seen := make(map[string]bool)
	var add func(protoreflect.FileDescriptor)
	add = func(file protoreflect.FileDescriptor) {
		if seen[file.Path()] {
			return
		}
		seen[file.Path()] = true
		for i := range file.Imports().Len() {
			add(file.Imports().Get(i))
		}
		files.File = append(files.File, protodesc.ToFileDescriptorProto(file))
	}
	for _, imported := range []protoreflect.FileDescriptor{
		anypb.File_google_protobuf_any_proto, structpb.File_google_protobuf_struct_proto,
		timestamppb.File_google_protobuf_timestamp_proto, wrapperspb.File_google_protobuf_wrappers_proto,
		optionsv1.File_tidings_options_v1_options_proto,
	} {
		add(imported)
	}
	encoded, err := proto.Marshal(files)
	if err != nil {
		tb.Fatal(err)
	}
	set, err := schema.Parse(encoded)
	if err != nil {
		tb.Fatal(err)
	}
	return set
}

// encoded returns an event as it is stored. The payload is given in JSON.
func encoded(tb testing.TB, set *schema.Set, e *tidingsv1.Event, name, payload string) []byte {
	tb.Helper()
	t, err := set.Type(name)
	if err != nil {
		tb.Fatal(err)
	}
	message := dynamicpb.NewMessage(t.Descriptor())
	if err := (protojson.UnmarshalOptions{Resolver: set}).Unmarshal([]byte(payload), message); err != nil {
		tb.Fatal(err)
	}
	value, err := proto.Marshal(message)
	if err != nil {
		tb.Fatal(err)
	}
	e = proto.CloneOf(e)
	e.Data = &anypb.Any{TypeUrl: "type.googleapis.com/" + name, Value: value}
	return mustMarshal(tb, e)
}

func mustMarshal(tb testing.TB, e *tidingsv1.Event) []byte {
	tb.Helper()
	raw, err := proto.Marshal(e)
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}
