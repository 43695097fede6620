package schema

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
)

// keyed is a file with one event type, whose key is given. Its fields have
// every kind that a path may end at or pass.
func keyed(key string) *descriptorpb.FileDescriptorProto {
	field := func(name string, number int32, kind descriptorpb.FieldDescriptorProto_Type, typeName string) *descriptorpb.FieldDescriptorProto {
		f := &descriptorpb.FieldDescriptorProto{
			Name: &name, Number: &number, Type: kind.Enum(), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
		}
		if typeName != "" {
			f.TypeName = &typeName
		}
		return f
	}
	list := field("list", 7, descriptorpb.FieldDescriptorProto_TYPE_STRING, "")
	list.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
	options := new(descriptorpb.MessageOptions)
	proto.SetExtension(options, optionsv1.E_Event, &optionsv1.EventOptions{Topic: "things", Key: key})
	return &descriptorpb.FileDescriptorProto{
		Name: new("test/thing.proto"), Package: new("test"), Syntax: new("proto3"),
		Dependency: []string{"tidings/options/v1/options.proto"},
		MessageType: []*descriptorpb.DescriptorProto{{
			Name: new("Thing"), Options: options,
			Field: []*descriptorpb.FieldDescriptorProto{
				field("text", 1, descriptorpb.FieldDescriptorProto_TYPE_STRING, ""),
				field("number", 2, descriptorpb.FieldDescriptorProto_TYPE_SINT64, ""),
				field("yes", 3, descriptorpb.FieldDescriptorProto_TYPE_BOOL, ""),
				field("kind", 4, descriptorpb.FieldDescriptorProto_TYPE_ENUM, ".test.Kind"),
				field("inner", 5, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE, ".test.Thing"),
				field("data", 6, descriptorpb.FieldDescriptorProto_TYPE_BYTES, ""),
				list,
				field("ratio", 8, descriptorpb.FieldDescriptorProto_TYPE_DOUBLE, ""),
			},
		}},
		EnumType: []*descriptorpb.EnumDescriptorProto{{Name: new("Kind"), Value: []*descriptorpb.EnumValueDescriptorProto{
			{Name: new("KIND_UNSPECIFIED"), Number: proto.Int32(0)}, {Name: new("KIND_GOOD"), Number: proto.Int32(1)},
		}}},
	}
}

// image encodes files with what they import.
func image(t *testing.T, files ...*descriptorpb.FileDescriptorProto) []byte {
	t.Helper()
	encoded, err := proto.Marshal(imageSet(files...))
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

func imageSet(files ...*descriptorpb.FileDescriptorProto) *descriptorpb.FileDescriptorSet {
	all := new(Set).FileDescriptorSet(&Type{descriptor: (&optionsv1.EventOptions{}).ProtoReflect().Descriptor()})
	all.File = append(all.File, files...)
	return all
}

func examples(tb testing.TB) *Set {
	tb.Helper()
	encoded, err := os.ReadFile("../../../examples/events/events.binpb")
	if err != nil {
		tb.Fatal(err)
	}
	set, err := Parse(encoded)
	if err != nil {
		tb.Fatal(err)
	}
	return set
}

func TestKeyPath(t *testing.T) {
	for key, want := range map[string]string{
		"": "", "text": "a text", "number": "-7", "yes": "true", "kind": "KIND_GOOD",
		"inner.text": "an inner text", "inner.inner.text": "", "inner.kind": "9", "inner.number": "",
	} {
		set, err := Parse(image(t, keyed(key)))
		if err != nil {
			t.Errorf("%q: %v", key, err)
			continue
		}
		thing, err := set.Type("test.Thing")
		if err != nil {
			t.Fatal(err)
		}
		payload := dynamicpb.NewMessage(thing.descriptor)
		if err := protojson.Unmarshal([]byte(`{"text":"a text","number":"-7","yes":true,"kind":"KIND_GOOD","inner":{"text":"an inner text","kind":9}}`), payload); err != nil {
			t.Fatal(err)
		}
		encoded, err := proto.Marshal(payload)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := thing.Check(context.Background(), encoded); err != nil || got != want {
			t.Errorf("%q gives %q, %v; want %q", key, got, err, want)
		}
		if got, err := thing.Check(context.Background(), nil); err != nil || got != "" {
			t.Errorf("%q of an empty payload gives %q, %v", key, got, err)
		}
	}
	for key, why := range map[string]string{
		"nothing": "no field", "text.more": "not a message", "list": "repeated", "inner": "message", "data": "bytes",
		"ratio": "double", "inner.list": "repeated", ".": "no field", "inner.": "no field", "Text": "no field",
	} {
		if _, err := Parse(image(t, keyed(key))); err == nil || !strings.Contains(err.Error(), why) || !strings.Contains(err.Error(), "test.Thing") {
			t.Errorf("%q: %v, want %q", key, err, why)
		}
	}
}

func TestParse(t *testing.T) {
	plain := image(t, keyed("text"))
	json, err := protojson.Marshal(imageSet(keyed("text")))
	if err != nil {
		t.Fatal(err)
	}
	commented := keyed("text")
	commented.SourceCodeInfo = &descriptorpb.SourceCodeInfo{Location: []*descriptorpb.SourceCodeInfo_Location{
		{Path: []int32{4, 0}, Span: []int32{0, 0, 0}, LeadingComments: new(" Thing is a thing.\n")},
	}}
	// Buf's own field of a file in an image, 8042.
	commented.ProtoReflect().SetUnknown([]byte{0xd2, 0xf6, 0x03, 0x02, 0x08, 0x00})
	for name, images := range map[string][][]byte{
		"binary": {plain}, "JSON": {json}, "the same twice": {plain, plain}, "with comments and without": {image(t, commented), plain},
		"without the options":        {alone(t, keyed("text"))},
		"JSON with Buf's own fields": {[]byte(strings.Replace(string(json), `"package":`, `"bufExtension":{"isImport":false},"package":`, 1))},
	} {
		set, err := Parse(images...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !slices.Equal(set.Names(true), []string{"test.Thing"}) || !slices.Equal(set.Topics(), []string{"things"}) {
			t.Errorf("%s: types %q, topics %q", name, set.Names(true), set.Topics())
		}
		if _, err := set.Type("tidings.options.v1.EventOptions"); !errors.Is(err, ErrUnknownType) {
			t.Errorf("%s: what describes only is a type: %v", name, err)
		}
		if thing, err := set.Type("test.Thing"); err != nil || (thing.Description != "") != strings.HasPrefix(name, "with comments") {
			t.Errorf("%s: described as %q, %v", name, thing.Description, err)
		}
	}
	badTopic := keyed("text")
	proto.SetExtension(badTopic.GetMessageType()[0].GetOptions(), optionsv1.E_Event, &optionsv1.EventOptions{Topic: "Things"})
	importing := keyed("text")
	importing.Dependency = append(importing.Dependency, "test/missing.proto")
	sameNames := keyed("text")
	sameNames.Name = new("test/other.proto")
	for name, images := range map[string][][]byte{
		"nothing": {nil}, "garbage": {[]byte("garbage")}, "empty JSON": {[]byte("{}")}, "cut off": {plain[:len(plain)-1]},
		"two files of a name": {plain, image(t, keyed("number"))}, "imports missing": {alone(t, importing)}, "topic name": {image(t, badTopic)},
		"one message in two files": {plain, image(t, sameNames)},
	} {
		if set, err := Parse(images...); err == nil {
			t.Errorf("%s: %q", name, set.Names(true))
		}
	}
}

// TestParseNothing: a server without schemas has what schemas import, and no types.
func TestParseNothing(t *testing.T) {
	set, err := Parse()
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Names(true)) > 0 || len(set.Topics()) > 0 {
		t.Errorf("types %q, topics %q", set.Names(true), set.Topics())
	}
	for _, name := range []string{"tidings/options/v1/options.proto", "buf/validate/validate.proto", "google/protobuf/any.proto"} {
		if !set.Image().Has(name) {
			t.Errorf("%s isn't there", name)
		}
	}
}

// alone encodes a file without what it imports.
func alone(t *testing.T, file *descriptorpb.FileDescriptorProto) []byte {
	t.Helper()
	encoded, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{file}})
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

func TestFileDescriptorSet(t *testing.T) {
	set := examples(t)
	for _, name := range set.Names(true) {
		thing, err := set.Type(name)
		if err != nil {
			t.Fatal(err)
		}
		files, err := protodesc.NewFiles(set.FileDescriptorSet(thing))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := files.FindDescriptorByName(thing.descriptor.FullName()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzCheck holds Check, which decides in one pass where it can, against Go's own protobuf:
// it takes what Go's takes, and says the same of it.
func FuzzCheck(f *testing.F) {
	set := examples(f)
	types := []string{"shop.orders.v1.OrderPlaced", "shop.orders.v1.OrderCancelled", "github.webhooks.v1.PushEvent"}
	for i, name := range types {
		thing, err := set.Type(name)
		if err != nil {
			f.Fatal(err)
		}
		payload := dynamicpb.NewMessage(thing.descriptor)
		if i == 0 {
			if err := protojson.Unmarshal([]byte(`{"orderId":"o","email":"a@example.com","items":[{"sku":"TEA","quantity":1,`+
				`"unitPrice":{"currencyCode":"EUR","minorUnits":"1"}}],"total":{"currencyCode":"EUR"},"placedAt":"2026-01-02T03:04:05Z"}`), payload); err != nil {
				f.Fatal(err)
			}
		}
		encoded, err := proto.Marshal(payload)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), encoded)
		f.Add(uint8(i), append(slices.Clone(encoded), encoded...))
	}
	f.Add(uint8(0), []byte{0x0a, 0x02, 0xff, 0xfe})             // Not UTF-8.
	f.Add(uint8(0), []byte{0x0a, 0x05, 'a'})                    // Cut off.
	f.Add(uint8(0), []byte{0x08, 0x01})                         // The wrong wire type.
	f.Add(uint8(0), []byte{0xa3, 0x06, 0x08, 0x01, 0xa4, 0x06}) // A group that isn't known.
	f.Add(uint8(0), []byte{0xa3, 0x06})                         // Begun only.
	f.Add(uint8(0), []byte{0xa4, 0x06})                         // Ended only.
	f.Add(uint8(0), []byte{0x00})                               // Field 0.
	f.Add(uint8(0), []byte{0x8a, 0x80, 0x00, 0x01, 'a'})        // A long tag.
	f.Add(uint8(1), []byte{0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Add(uint8(1), []byte{0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, which uint8, payload []byte) {
		thing, err := set.Type(types[int(which)%len(types)])
		if err != nil {
			t.Fatal(err)
		}
		key, err := thing.Check(context.Background(), slices.Clone(payload))
		other := dynamicpb.NewMessage(thing.descriptor)
		otherErr := (proto.UnmarshalOptions{RecursionLimit: MaxDepth}).Unmarshal(payload, other)
		if errors.Is(err, ErrMalformed) != (otherErr != nil) {
			t.Fatalf("Check: %v; dynamicpb: %v", err, otherErr)
		}
		if otherErr != nil {
			return
		}
		var invalid *InvalidError
		validErr := thing.shared.validator.Validate(other)
		switch {
		case err == nil && validErr != nil:
			t.Fatalf("Check accepts what is invalid: %v", validErr)
		case err == nil:
			if want := thing.keyOf(other); key != want {
				t.Fatalf("the key is %q, want %q", key, want)
			}
		case errors.As(err, &invalid) && strings.HasPrefix(invalid.Violations.GetViolations()[0].GetRuleId(), "tidings."):
			// A rule of this package's own.
		case !errors.As(err, &invalid) || validErr == nil:
			t.Fatalf("Check refuses with %v; protovalidate says %v", err, validErr)
		}
	})
}
