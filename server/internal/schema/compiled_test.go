package schema

import (
	"context"
	"fmt"
	"testing"

	"google.golang.org/protobuf/types/descriptorpb"
)

// The programs of types that hold each other aren't compiled of more than there is
// room for. What there is none for is checked all the same.
func TestProgramsHaveABound(t *testing.T) {
	const depth = 400 // Their programs together would hold 80,200 messages.
	file := &descriptorpb.FileDescriptorProto{Name: new("x.proto"), Package: new("x"), Syntax: new("proto3")}
	for i := range depth {
		message := &descriptorpb.DescriptorProto{Name: new(fmt.Sprint("M", i))}
		if i+1 < depth {
			message.Field = []*descriptorpb.FieldDescriptorProto{{
				Name: new("next"), JsonName: new("next"), Number: new(int32(1)), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
				Type: descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum(), TypeName: new(fmt.Sprint(".x.M", i+1)),
			}}
		}
		file.MessageType = append(file.MessageType, message)
	}
	set, err := Parse(image(t, file))
	if err != nil {
		t.Fatal(err)
	}
	compiled := 0
	for i := range depth - 1 {
		one, err := set.Type(fmt.Sprint("x.M", i))
		if err != nil {
			t.Fatal(err)
		}
		empty := []byte{0x0a, 0x00}
		if _, err := one.Check(context.Background(), empty); err != nil {
			t.Errorf("%s: %v", one.Name, err)
		}
		if one.program() != nil {
			compiled += depth - i
		}
	}
	if compiled > maxCompiled || compiled < maxCompiled-depth {
		t.Errorf("%d messages are compiled, and there is room for %d", compiled, maxCompiled)
	}
}
