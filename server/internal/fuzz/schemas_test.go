package fuzz

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
)

type (
	fileSet      = descriptorpb.FileDescriptorSet
	fileProto    = descriptorpb.FileDescriptorProto
	messageProto = descriptorpb.DescriptorProto
	fieldProto   = descriptorpb.FieldDescriptorProto
	fieldType    = descriptorpb.FieldDescriptorProto_Type
)

const (
	messageType = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE
	groupType   = descriptorpb.FieldDescriptorProto_TYPE_GROUP
	enumType    = descriptorpb.FieldDescriptorProto_TYPE_ENUM
	stringType  = descriptorpb.FieldDescriptorProto_TYPE_STRING
	bytesType   = descriptorpb.FieldDescriptorProto_TYPE_BYTES
)

// wellKnown are messages of the libraries that fields may have.
var wellKnown = []string{"Any", "Timestamp", "Duration", "Struct", "Value", "ListValue", "FieldMask", "Empty", "StringValue", "Int64Value", "DoubleValue", "BoolValue", "BytesValue"}

// libraries are the files that every schema here imports, dependencies first.
var libraries = sync.OnceValue(func() []*fileProto {
	var list []*fileProto
	for _, name := range []string{"descriptor", "any", "timestamp", "duration", "struct", "field_mask", "empty", "wrappers"} {
		list = append(list, library("google/protobuf/"+name+".proto"))
	}
	for _, path := range []string{
		"buf/validate/validate.proto", "tidings/options/v1/field_behavior.proto", "tidings/options/v1/options.proto",
		"tidings/v1/error.proto", "tidings/v1/event.proto",
	} {
		list = append(list, library(path))
	}
	return list
})

func library(path string) *fileProto {
	file, err := protoregistry.GlobalFiles.FindFileByPath(path)
	if err != nil {
		panic(err)
	}
	return protodesc.ToFileDescriptorProto(file)
}

// image encodes a file with all that it imports.
func image(file *fileProto) []byte {
	return encode(&descriptorpb.FileDescriptorSet{File: append(slices.Clone(libraries()), file)})
}

// schema makes a random file, which fits together. Rules of protovalidate may be
// nonsense where odd ones are wanted.
func (g *generator) schema(pkg, topic string, odd bool) *fileProto {
	const most = 10_000 // Then it isn't the file that doesn't fit.
	for range most {
		if file := g.file(pkg, topic, odd); fits(file) {
			return file
		}
	}
	panic("no random schema fits together")
}

// fits reports whether Go's own library takes a file.
func fits(file *fileProto) bool {
	_, err := newUniverse(image(file))
	return err == nil
}

func (g *generator) file(pkg, topic string, odd bool) *fileProto {
	file := &fileProto{Name: new(pkg + ".proto"), Package: new(pkg), Syntax: new(pick(g, "proto2", "proto3", "editions"))}
	if file.GetSyntax() == "editions" {
		file.Edition = descriptorpb.Edition_EDITION_2023.Enum()
		file.Options = &descriptorpb.FileOptions{Features: g.features(file)}
	}
	for _, imported := range libraries() {
		file.Dependency = append(file.Dependency, imported.GetName())
	}
	for i := range 1 + g.IntN(2) {
		file.EnumType = append(file.EnumType, g.enumOf(file, i))
	}
	for i := range 1 + g.IntN(3) {
		file.MessageType = append(file.MessageType, &messageProto{Name: new(fmt.Sprintf("M%d", i))})
	}
	for i, message := range file.GetMessageType() {
		for range 1 + g.IntN(9) {
			g.addField(file, message, odd)
		}
		message.Options = new(descriptorpb.MessageOptions)
		if i == 0 {
			proto.SetExtension(message.GetOptions(), optionsv1.E_Event, &optionsv1.EventOptions{Topic: topic, Key: g.key(message)})
		}
		if rules := pick(g, messageRules...); rules != "" && g.one(4) && (odd || rules == messageRules[0]) {
			proto.SetExtension(message.GetOptions(), validate.E_Message, &validate.MessageRules{Cel: []*validate.Rule{{Id: new("m.rule"), Expression: &rules}}})
		}
		if file.GetSyntax() != "proto3" {
			message.ExtensionRange = []*descriptorpb.DescriptorProto_ExtensionRange{{Start: new(int32(1000)), End: new(int32(2000))}}
			g.addExtension(file, message)
		}
	}
	return file
}

func (g *generator) key(message *messageProto) string {
	for _, f := range message.GetField() {
		if f.GetLabel() != descriptorpb.FieldDescriptorProto_LABEL_REPEATED && slices.Contains([]fieldType{stringType, enumType, descriptorpb.FieldDescriptorProto_TYPE_INT64}, f.GetType()) {
			return f.GetName()
		}
	}
	return ""
}

// messageRules are expressions about a message, the first of which always holds.
var messageRules = []string{"this == this", "1 / 0 > this.f1", "this.f1 / this.f2 > 0", "this.f1.all(a, this.f1.all(b, a == b))", "this.nope", "this ==", "size(this.f2) > 1", "'x'"}

func (g *generator) features(file *fileProto) *descriptorpb.FeatureSet {
	if file.GetSyntax() != "editions" {
		return nil
	}
	f := new(descriptorpb.FeatureSet)
	f.FieldPresence = pick(g, nil, descriptorpb.FeatureSet_EXPLICIT.Enum(), descriptorpb.FeatureSet_IMPLICIT.Enum())
	f.EnumType = pick(g, nil, descriptorpb.FeatureSet_CLOSED.Enum(), descriptorpb.FeatureSet_OPEN.Enum())
	f.Utf8Validation = pick(g, nil, descriptorpb.FeatureSet_NONE.Enum(), descriptorpb.FeatureSet_VERIFY.Enum())
	f.RepeatedFieldEncoding = pick(g, nil, descriptorpb.FeatureSet_EXPANDED.Enum())
	f.MessageEncoding = pick(g, nil, descriptorpb.FeatureSet_DELIMITED.Enum())
	return f
}

func (g *generator) enumOf(file *fileProto, i int) *descriptorpb.EnumDescriptorProto {
	enum := &descriptorpb.EnumDescriptorProto{Name: new(fmt.Sprintf("E%d", i))}
	for n := range int32(1 + g.IntN(4)) {
		enum.Value = append(enum.Value, &descriptorpb.EnumValueDescriptorProto{Name: new(fmt.Sprintf("E%d_V%d", i, n)), Number: &n})
	}
	if file.GetSyntax() != "proto3" && g.one(3) {
		enum.Value[0].Number = new(int32(7))
	}
	if g.one(4) {
		enum.Options = &descriptorpb.EnumOptions{AllowAlias: new(true)}
		enum.Value = append(enum.Value, &descriptorpb.EnumValueDescriptorProto{Name: new(fmt.Sprintf("E%d_ALIAS", i)), Number: new(enum.GetValue()[0].GetNumber())})
	}
	return enum
}

// addField gives a message another field.
func (g *generator) addField(file *fileProto, message *messageProto, odd bool) {
	number := int32(1)
	for _, f := range message.GetField() {
		number = max(number, f.GetNumber()+1)
	}
	if g.one(10) {
		number += pick[int32](g, 10, 100)
	}
	f := &fieldProto{Name: new(fmt.Sprintf("f%d", number)), JsonName: new(fmt.Sprintf("f%d", number)), Number: &number, Options: new(descriptorpb.FieldOptions)}
	f.Label = pick(g, descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL, descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL, descriptorpb.FieldDescriptorProto_LABEL_REPEATED).Enum()
	if file.GetSyntax() == "proto2" && g.one(6) {
		f.Label = descriptorpb.FieldDescriptorProto_LABEL_REQUIRED.Enum()
	}
	g.retype(file, message, f)
	switch {
	case f.GetLabel() == descriptorpb.FieldDescriptorProto_LABEL_REPEATED:
		if f.GetType() != stringType && f.GetType() != bytesType && f.GetType() < groupType && g.one(3) {
			f.Options.Packed = new(g.one(2))
		}
	case g.one(4) && f.GetLabel() == descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL:
		if len(message.GetOneofDecl()) == 0 {
			message.OneofDecl = []*descriptorpb.OneofDescriptorProto{{Name: new("o0")}}
		}
		f.OneofIndex = new(int32(0))
	}
	if g.one(5) && file.GetSyntax() == "editions" {
		f.Options.Features = &descriptorpb.FeatureSet{FieldPresence: pick(g, descriptorpb.FeatureSet_LEGACY_REQUIRED, descriptorpb.FeatureSet_EXPLICIT).Enum()}
	}
	if g.one(3) {
		g.rule(f, odd)
	}
	message.Field = append(message.Field, f)
}

// retype gives a field a type.
func (g *generator) retype(file *fileProto, message *messageProto, f *fieldProto) {
	f.TypeName, f.DefaultValue = nil, nil
	pkg := "." + file.GetPackage() + "."
	switch g.IntN(8) {
	case 0:
		f.Type, f.TypeName = messageType.Enum(), new(pkg+pick(g, file.GetMessageType()...).GetName())
	case 1:
		f.Type, f.TypeName = messageType.Enum(), new(".google.protobuf."+pick(g, wellKnown...))
	case 2:
		f.Type, f.TypeName = enumType.Enum(), new(pkg+pick(g, file.GetEnumType()...).GetName())
	case 3:
		g.mapOf(file, message, f)
	case 4:
		f.Type = stringType.Enum()
	default:
		f.Type = fieldType(1 + g.IntN(18)).Enum()
		switch f.GetType() {
		case messageType:
			f.TypeName = new(pkg + pick(g, file.GetMessageType()...).GetName())
		case enumType:
			f.TypeName = new(pkg + pick(g, file.GetEnumType()...).GetName())
		case groupType:
			if file.GetSyntax() != "proto2" {
				f.Type = stringType.Enum()
				break
			}
			name := strings.ToUpper(f.GetName()) + "G" + message.GetName()
			f.Name, f.JsonName, f.TypeName = new(strings.ToLower(name)), nil, new(pkg+message.GetName()+"."+name)
			message.NestedType = append(message.NestedType, &messageProto{Name: &name, Field: []*fieldProto{
				{Name: new("inner"), Number: new(int32(1)), Label: f.Label, Type: pick(g, stringType, bytesType).Enum()},
			}})
		default:
		}
	}
}

func (g *generator) mapOf(file *fileProto, message *messageProto, f *fieldProto) {
	name := strings.ToUpper(f.GetName()) + "Entry"
	value := &fieldProto{Name: new("value"), Number: new(int32(2)), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(), Type: pick(g, stringType, bytesType, messageType, enumType).Enum()}
	switch value.GetType() {
	case messageType:
		value.TypeName = new(pick(g, ".google.protobuf.Value", ".google.protobuf.Any", "."+file.GetPackage()+"."+file.GetMessageType()[0].GetName()))
	case enumType:
		value.TypeName = new("." + file.GetPackage() + "." + file.GetEnumType()[0].GetName())
	default:
	}
	key := pick(g, stringType, descriptorpb.FieldDescriptorProto_TYPE_BOOL, descriptorpb.FieldDescriptorProto_TYPE_SINT64, descriptorpb.FieldDescriptorProto_TYPE_FIXED32)
	message.NestedType = append(message.NestedType, &messageProto{
		Name: &name, Options: &descriptorpb.MessageOptions{MapEntry: new(true)},
		Field: []*fieldProto{{Name: new("key"), Number: new(int32(1)), Label: value.Label, Type: key.Enum()}, value},
	})
	f.Type, f.TypeName, f.Label = messageType.Enum(), new("."+file.GetPackage()+"."+message.GetName()+"."+name), descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
}

// addExtension extends a message.
func (g *generator) addExtension(file *fileProto, message *messageProto) {
	number := int32(1000 + len(file.GetExtension()))
	f := &fieldProto{Name: new(fmt.Sprintf("x%d", number)), Number: &number, Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(), Extendee: new("." + file.GetPackage() + "." + message.GetName())}
	switch g.IntN(3) {
	case 0:
		f.Type = stringType.Enum()
	case 1:
		f.Type, f.TypeName = messageType.Enum(), new(".google.protobuf."+pick(g, wellKnown...))
	default:
		f.Type, f.TypeName = enumType.Enum(), new("."+file.GetPackage()+"."+file.GetEnumType()[0].GetName())
	}
	file.Extension = append(file.Extension, f)
}

// expressions are rules of a field, the first of which always holds.
var expressions = []string{"true", "this == this", "1 / this > 0", "size(this) < 5", "this.all(x, x == this[0])", "this > 0", "this.startsWith('a')", "has(this.f1)", "this ==", "dyn(this).f1 == 1", "'no'", "this.matches('(')"}

// rule gives a field a rule of protovalidate.
func (g *generator) rule(f *fieldProto, odd bool) {
	rules := new(validate.FieldRules)
	kind := f.GetType()
	if odd && g.one(4) {
		kind = pick(g, stringType, bytesType, descriptorpb.FieldDescriptorProto_TYPE_INT64)
	}
	switch {
	case odd && g.one(3):
		rules.Cel = []*validate.Rule{{Id: new("f.rule"), Expression: new(pick(g, expressions...))}}
	case g.one(3):
		rules.Required = new(true)
	case f.GetLabel() == descriptorpb.FieldDescriptorProto_LABEL_REPEATED && f.GetTypeName() != "" && strings.HasSuffix(f.GetTypeName(), "Entry"):
		rules.Type = &validate.FieldRules_Map{Map: &validate.MapRules{MaxPairs: new(uint64(2))}}
	case f.GetLabel() == descriptorpb.FieldDescriptorProto_LABEL_REPEATED:
		rules.Type = &validate.FieldRules_Repeated{Repeated: &validate.RepeatedRules{MinItems: new(uint64(g.IntN(3)))}}
	case kind == stringType && odd && g.one(3):
		rules.Type = &validate.FieldRules_String_{String_: &validate.StringRules{Pattern: new("(")}}
	case kind == stringType:
		rules.Type = &validate.FieldRules_String_{String_: pick(g, &validate.StringRules{MinLen: new(uint64(1))}, &validate.StringRules{WellKnown: &validate.StringRules_Email{Email: true}},
			&validate.StringRules{Pattern: new(pick(g, "^[a-z]*$", "^(a|b)+$"))})}
	case kind == bytesType:
		rules.Type = &validate.FieldRules_Bytes{Bytes: &validate.BytesRules{MaxLen: new(uint64(10))}}
	case kind == descriptorpb.FieldDescriptorProto_TYPE_INT64:
		rules.Type = &validate.FieldRules_Int64{Int64: &validate.Int64Rules{GreaterThan: &validate.Int64Rules_Gte{Gte: -1}}}
	case kind == enumType:
		rules.Type = &validate.FieldRules_Enum{Enum: &validate.EnumRules{DefinedOnly: new(true)}}
	case f.GetTypeName() == ".google.protobuf.Any":
		rules.Type = &validate.FieldRules_Any{Any: &validate.AnyRules{NotIn: []string{typePrefix + "x.Y"}}}
	case f.GetTypeName() == ".google.protobuf.Timestamp":
		rules.Type = &validate.FieldRules_Timestamp{Timestamp: &validate.TimestampRules{GreaterThan: &validate.TimestampRules_GtNow{GtNow: true}}}
	default:
		rules.Ignore = validate.Ignore_IGNORE_IF_ZERO_VALUE.Enum()
	}
	proto.SetExtension(f.GetOptions(), validate.E_Field, rules)
}
