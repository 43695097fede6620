package schema

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

// An image holds at most so much, and what it holds is counted before it is
// decoded.
func TestReadBoundedImage(t *testing.T) {
	file := func(change func(*descriptorpb.FileDescriptorProto)) []byte {
		f := &descriptorpb.FileDescriptorProto{Name: new("x.proto"), Package: new("x"), Syntax: new("proto3")}
		change(f)
		encoded, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{f}})
		if err != nil {
			t.Fatal(err)
		}
		return encoded
	}
	messages := func(n int) (list []*descriptorpb.DescriptorProto) {
		for i := range n {
			list = append(list, &descriptorpb.DescriptorProto{Name: new(fmt.Sprint("M", i))})
		}
		return list
	}
	nested := func(depth int) []byte {
		return file(func(f *descriptorpb.FileDescriptorProto) {
			for range depth {
				f.MessageType = []*descriptorpb.DescriptorProto{{Name: new("M"), NestedType: f.GetMessageType()}}
			}
		})
	}
	named := func(size int) []byte {
		return file(func(f *descriptorpb.FileDescriptorProto) {
			f.MessageType = []*descriptorpb.DescriptorProto{{Name: new(strings.Repeat("M", size-len("x.")))}}
		})
	}
	fields := func(n int) []byte {
		return file(func(f *descriptorpb.FileDescriptorProto) {
			f.MessageType = messages(1)
			for range n {
				f.MessageType[0].Field = append(f.MessageType[0].Field, new(descriptorpb.FieldDescriptorProto))
			}
		})
	}
	for name, test := range map[string]struct {
		image []byte
		says  string
	}{
		"the messages there may be": {file(func(f *descriptorpb.FileDescriptorProto) { f.MessageType = messages(maxMessages) }), ""},
		"a message more":            {file(func(f *descriptorpb.FileDescriptorProto) { f.MessageType = messages(maxMessages + 1) }), "20001 messages: at most 20000 can be registered at once"},
		"the fields there may be":   {fields(maxFields), ""},
		"a field more":              {fields(maxFields + 1), "200001 fields and values of enums: at most 200000 can be registered at once"},
		"as deep as it may be":      {nested(maxNesting), ""},
		"one deeper":                {nested(maxNesting + 1), "messages are declared in each other more than 32 deep"},
		"far too deep":              {nested(11_000), "neither a Buf image nor a FileDescriptorSet"},
		"the longest name":          {named(maxName), ""},
		"a longer one":              {named(maxName + 1), "a full name is longer than 512 bytes"},
		"many empty files":          {[]byte(strings.Repeat("\x0a\x00", maxParts+1)), "more than 1000000 "},
		"many empty files, in JSON": {[]byte(`{"file":[` + strings.Repeat("{},", maxParts+1) + "{}]}"), "more than 1000000 "},
		"not an image":              {[]byte("\x0a\xffx"), "neither a Buf image nor a FileDescriptorSet"},
	} {
		_, err := ReadBoundedImage(test.image)
		if test.says == "" && err != nil || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
			t.Errorf("%s: %v, want %q", name, err, test.says)
		}
	}
}
