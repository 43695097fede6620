// Package schematest makes schemas for tests.
package schematest

import (
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
)

// Event returns a file `things/PACKAGE.proto` with one event type, Noted. Its
// fields are given as `name type`, of the type string, int64 or int32, and
// numbered from 1 on. The topic may be empty: then the event declares none.
func Event(pkg, topic string, fields ...string) *descriptorpb.FileDescriptorProto {
	message := &descriptorpb.DescriptorProto{Name: new("Noted")}
	if topic != "" {
		message.Options = new(descriptorpb.MessageOptions)
		proto.SetExtension(message.GetOptions(), optionsv1.E_Event, &optionsv1.EventOptions{Topic: topic})
	}
	for i, field := range fields {
		name, kind, _ := strings.Cut(field, " ")
		number := descriptorpb.FieldDescriptorProto_Type_value["TYPE_"+strings.ToUpper(kind)]
		message.Field = append(message.Field, &descriptorpb.FieldDescriptorProto{
			Name: &name, JsonName: &name, Number: new(int32(i + 1)),
			Type:  descriptorpb.FieldDescriptorProto_Type(number).Enum(),
			Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
		})
	}
	return &descriptorpb.FileDescriptorProto{
		Name: new("things/" + pkg + ".proto"), Package: &pkg, Syntax: new("proto3"),
		Dependency:  []string{"tidings/options/v1/options.proto"},
		MessageType: []*descriptorpb.DescriptorProto{message},
	}
}

// Image encodes files.
func Image(files ...*descriptorpb.FileDescriptorProto) []byte {
	encoded, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: files})
	if err != nil {
		panic(err) // Only if a string isn't UTF-8.
	}
	return encoded
}

// Declaring adds declarations of topics to a file, in place of those that it has,
// and returns it.
func Declaring(file *descriptorpb.FileDescriptorProto, topics ...*optionsv1.TopicOptions) *descriptorpb.FileDescriptorProto {
	if len(topics) > 0 {
		if file.GetOptions() == nil {
			file.Options = new(descriptorpb.FileOptions)
		}
		proto.SetExtension(file.GetOptions(), optionsv1.E_Topic, topics)
	}
	return file
}
