package schema

import (
	"context"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

// choice is a file with a message that holds one of two messages of different
// types, another message of its own type, and a map.
func choice() *descriptorpb.FileDescriptorProto {
	field := func(name string, number int32, typeName string) *descriptorpb.FieldDescriptorProto {
		return &descriptorpb.FieldDescriptorProto{
			Name: &name, Number: &number, Type: descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum(),
			Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(), TypeName: &typeName,
		}
	}
	text := func(name string, number int32) *descriptorpb.FieldDescriptorProto {
		f := field(name, number, "")
		f.Type, f.TypeName = descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum(), nil
		return f
	}
	a, b := field("a", 1, ".test.A"), field("b", 2, ".test.Choice")
	a.OneofIndex, b.OneofIndex = proto.Int32(0), proto.Int32(0)
	entries := field("entries", 4, ".test.Choice.EntriesEntry")
	entries.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
	return &descriptorpb.FileDescriptorProto{
		Name: new("test/choice.proto"), Package: new("test"), Syntax: new("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{
			{Name: new("A"), Field: []*descriptorpb.FieldDescriptorProto{text("text", 1)}},
			{
				Name:      new("Choice"),
				Field:     []*descriptorpb.FieldDescriptorProto{a, b, field("inner", 3, ".test.Choice"), entries},
				OneofDecl: []*descriptorpb.OneofDescriptorProto{{Name: new("either")}},
				NestedType: []*descriptorpb.DescriptorProto{{
					Name:    new("EntriesEntry"),
					Field:   []*descriptorpb.FieldDescriptorProto{text("key", 1), field("value", 2, ".test.Choice")},
					Options: &descriptorpb.MessageOptions{MapEntry: new(true)},
				}},
			},
		},
	}
}

// Some parsers crash the process on encodings that encoders don't write. What protobuf
// takes isn't refused for being unusual.
func TestUnusualEncodings(t *testing.T) {
	set, err := Parse(image(t, choice()))
	if err != nil {
		t.Fatal(err)
	}
	checked, err := set.Type("test.Choice")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, payload string
		usual, valid  bool // Usual: it is decided about in one pass.
	}{
		{"one member", "\x0a\x00", true, true},
		{"one after another", "\x0a\x00\x12\x02\x12\x00", false, true},
		{"the same again", "\x12\x00\x12\x02\x12\x00", false, true},
		{"in each of two parts of a message", "\x1a\x02\x0a\x00\x1a\x04\x12\x02\x12\x00", false, true},
		{"in messages of their own", "\x0a\x00\x1a\x02\x12\x00", true, true},
		{"map", "\x22\x07\x0a\x01k\x12\x02\x0a\x00\x22\x07\x0a\x01k\x12\x02\x12\x00", true, true},
		{"two values of an entry", "\x22\x0b\x0a\x01k\x12\x02\x0a\x00\x12\x02\x12\x00", false, true},
		{"a key after the value", "\x22\x08\x0a\x01k\x12\x00\x0a\x01l", false, true},
		{"an entry without a key", "\x22\x02\x12\x00", false, true},
		{"an entry without a value", "\x22\x03\x0a\x01k", false, true},
		{"a key and a number in its place", "\x22\x05\x0a\x01k\x08\x01", false, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, got := checked.program().Check([]byte(test.payload), nil); got != test.usual {
				t.Fatalf("usual: %v, want %v", got, test.usual)
			}
			if _, err := checked.Check(context.Background(), []byte(test.payload)); (err == nil) != test.valid {
				t.Errorf("got %v, want valid: %v", err, test.valid)
			}
		})
	}
}
