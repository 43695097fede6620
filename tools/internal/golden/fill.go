package golden

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// maxOnPath is how often a message may be within itself.
const maxOnPath = 2

// A filler gives fields their values. Every value of a vector is another one, so
// that two fields that were taken for each other show.
type filler struct {
	count int64                         // of the values given
	path  map[protoreflect.FullName]int // how often a message is around the present field
	depth int
}

// fill returns a message with a value in every field. Of a oneof, it sets the
// member of the number choice, counted around.
func (f *filler) fill(descriptor protoreflect.MessageDescriptor, choice int) protoreflect.Message {
	message := dynamicpb.NewMessage(descriptor)
	if f.fillKnown(message) {
		return message
	}
	f.path[descriptor.FullName()]++
	f.depth++
	defer func() {
		f.path[descriptor.FullName()]--
		f.depth--
	}()
	for i := range descriptor.Fields().Len() {
		field := descriptor.Fields().Get(i)
		if oneof := field.ContainingOneof(); oneof != nil && !oneof.IsSynthetic() {
			if oneof.Fields().Get(choice%oneof.Fields().Len()) != field {
				continue
			}
		}
		if of := field.Message(); of != nil && f.path[of.FullName()] >= maxOnPath {
			continue
		}
		f.set(message, field)
	}
	return message
}

// set gives a field its value.
func (f *filler) set(message protoreflect.Message, field protoreflect.FieldDescriptor) {
	switch {
	case field.IsMap():
		entries := message.Mutable(field).Map()
		for range 2 {
			key := f.scalar(field.MapKey()).MapKey()
			entries.Set(key, f.value(field.MapValue(), 0))
		}
	case field.IsList():
		list := message.Mutable(field).List()
		for i := range f.elements(field) {
			list.Append(f.value(field, i))
		}
	default:
		message.Set(field, f.value(field, 0))
	}
}

// elements returns how many elements a repeated field gets: two, or one where it
// is deep within, or one for each member of the oneof that its messages have.
func (f *filler) elements(field protoreflect.FieldDescriptor) int {
	count := 2
	if of := field.Message(); of != nil {
		if f.depth > 1 {
			count = 1
		}
		for i := range of.Oneofs().Len() {
			if oneof := of.Oneofs().Get(i); !oneof.IsSynthetic() {
				count = max(count, oneof.Fields().Len())
			}
		}
	}
	return count
}

// value returns a value for a field, or for an element of it.
func (f *filler) value(field protoreflect.FieldDescriptor, choice int) protoreflect.Value {
	if of := field.Message(); of != nil {
		return protoreflect.ValueOfMessage(f.fill(of, choice))
	}
	return f.scalar(field)
}

// scalar returns a value that isn't the default of its kind. Those of 64 bits
// don't fit into a double, which shows what goes through one.
func (f *filler) scalar(field protoreflect.FieldDescriptor) protoreflect.Value {
	f.count++
	switch field.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.EnumKind:
		values := field.Enum().Values()
		// The first is the default, and may be the only one.
		return protoreflect.ValueOfEnum(values.Get(min(1+int(f.count)%max(values.Len()-1, 1), values.Len()-1)).Number())
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(int32(f.count))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(uint32(f.count))
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return protoreflect.ValueOfInt64(1<<53 + 2*f.count + 1)
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(1<<53 + 2*uint64(f.count) + 1)
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(float32(f.count) + 0.5)
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(float64(f.count) + 0.5)
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte{0xff, byte(f.count)})
	default: // Text. Groups are not in proto3.
		return protoreflect.ValueOfString(fmt.Sprintf("%s %d", field.Name(), f.count))
	}
}

// fillKnown fills a message of a type that JSON has a form of its own for, or that
// would be too large, and reports whether it is one.
func (f *filler) fillKnown(message protoreflect.Message) bool {
	var value proto.Message
	f.count++
	switch message.Descriptor().FullName() {
	case "google.protobuf.Timestamp":
		value = timestamppb.New(time.Unix(1_800_000_000+f.count, 123_456_789))
	case "google.protobuf.Duration":
		value = durationpb.New(time.Duration(f.count)*time.Second + 500*time.Millisecond)
	case "google.protobuf.FieldMask":
		value = &fieldmaskpb.FieldMask{Paths: []string{"first_field", fmt.Sprintf("second_field.part%d", f.count)}}
	case "google.protobuf.Any":
		value = f.any()
	case "google.protobuf.FileDescriptorProto":
		value = &descriptorpb.FileDescriptorProto{
			Name: new(fmt.Sprintf("golden%d.proto", f.count)), Package: new("golden"), Syntax: new("proto3"),
			MessageType: []*descriptorpb.DescriptorProto{{Name: new("Golden")}},
		}
	default:
		f.count--
		return false
	}
	copyFields(message, value)
	return true
}

// any holds a message of a type that every runtime knows.
func (f *filler) any() proto.Message {
	held, err := anypb.New(wrapperspb.String(fmt.Sprintf("any %d", f.count)))
	if err != nil {
		panic(err) // A text can be marshalled.
	}
	return held
}

// copyFields copies a message to one of the same type that is made from another
// copy of the descriptor.
func copyFields(to protoreflect.Message, from proto.Message) {
	data, err := proto.Marshal(from)
	if err == nil {
		err = proto.Unmarshal(data, to.Interface())
	}
	if err != nil {
		panic(err) // It is a message of this file.
	}
}
