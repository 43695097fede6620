package schema

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// An inspection says why an encoding is refused: it is broken or nests too deep,
// has a field that the schema lacks, text that isn't UTF-8, or a number that a
// closed enum lacks. It sees extensions and groups as it sees fields, and takes
// time linear in the size and no memory. What was decided about in one pass needs
// none.
//
// A field that the schema lacks is refused because nobody has checked it: a
// schema that gains the field later would turn stored events into ones that
// can't be read.

const (
	// maxLength is how many bytes a tag and a length have at most: not every
	// library takes more, even where they say the same.
	maxLength = 5
	// The numbers of the fields of a map's entry.
	entryKey   = 1
	entryValue = 2
)

const (
	broken      = "the encoding is broken"
	invalidUTF8 = "text that is not UTF-8"
)

// inspect looks at an encoded message nested at most so deep.
func (s *shared) inspect(message protoreflect.MessageDescriptor, data []byte, depth int) *refusal {
	_, r := s.inspectFields(message, data, depth, 0)
	return r
}

// inspectFields looks at the fields of a message, or of a group up to its end
// where group is its number. It returns what follows.
func (s *shared) inspectFields(message protoreflect.MessageDescriptor, data []byte, depth int, group protowire.Number) ([]byte, *refusal) {
	if depth <= 0 {
		return nil, malformed(TooDeep)
	}
	all := data
	for len(data) > 0 {
		number, wire, n := protowire.ConsumeTag(data)
		if n < 0 || n > maxLength || number > protowire.MaxValidNumber || longLength(wire, data[n:]) {
			return nil, malformed(broken)
		}
		data = data[n:]
		if wire == protowire.EndGroupType {
			if number != group {
				return nil, malformed("a group ends that didn't begin")
			}
			return data, nil
		}
		field := s.field(message, number)
		rest, r := s.inspectValue(field, number, wire, data, depth)
		if r != nil {
			if field != nil {
				r.belowField(field, data, occurrences(all[:len(all)-len(data)], number)-1)
			}
			return nil, r
		}
		data = rest
	}
	if group != 0 {
		return nil, malformed("a group doesn't end")
	}
	return nil, nil
}

// longLength reports whether a value begins with a length of too many bytes.
func longLength(wire protowire.Type, data []byte) bool {
	if wire != protowire.BytesType {
		return false
	}
	_, n := protowire.ConsumeVarint(data)
	return n > maxLength
}

// field returns the field or extension of a message with a number, or nil.
func (s *shared) field(message protoreflect.MessageDescriptor, number protowire.Number) protoreflect.FieldDescriptor {
	if field := message.Fields().ByNumber(number); field != nil {
		return field
	}
	if !message.ExtensionRanges().Has(number) {
		return nil
	}
	extension, err := s.types.FindExtensionByNumber(message.FullName(), number)
	if err != nil {
		return nil
	}
	return extension.TypeDescriptor()
}

// inspectValue looks at the value that follows a tag and returns what follows.
func (s *shared) inspectValue(field protoreflect.FieldDescriptor, number protowire.Number, wire protowire.Type, data []byte, depth int) ([]byte, *refusal) {
	if field == nil {
		if n := protowire.ConsumeFieldValue(number, wire, data); n < 0 {
			return nil, malformed(broken)
		}
		return nil, unknownField(number, "the server's schema has no field "+strconv.Itoa(int(number))+
			"; register the new schema before producers use it")
	}
	if field.Kind() == protoreflect.GroupKind && wire == protowire.StartGroupType {
		return s.inspectFields(field.Message(), data, depth-1, number)
	}
	n := protowire.ConsumeFieldValue(number, wire, data)
	if n < 0 {
		return nil, malformed(broken)
	}
	value, rest := data[:n], data[n:]
	expected, _ := wireType(field.Kind())
	switch {
	case wire == protowire.BytesType && expected != protowire.BytesType && field.IsList() && field.Kind() != protoreflect.GroupKind:
		packed, _ := protowire.ConsumeBytes(value)
		return rest, inspectPacked(field, expected, packed)
	case wire != expected || field.Kind() == protoreflect.GroupKind:
		return nil, &refusal{rule: unknownFieldRule, message: fmt.Sprintf("is encoded with wire type %d, not as the %s that the server's schema has", wire, field.Kind())}
	case field.Kind() == protoreflect.EnumKind:
		return rest, inspectEnum(field, value)
	case field.Kind() == protoreflect.StringKind:
		text, _ := protowire.ConsumeBytes(value)
		return rest, inspectText(field, text)
	case field.Message() != nil:
		inner, _ := protowire.ConsumeBytes(value)
		return rest, s.inspect(field.Message(), inner, depth-1)
	default:
		return rest, nil
	}
}

func inspectPacked(field protoreflect.FieldDescriptor, wire protowire.Type, values []byte) *refusal {
	for index := 0; len(values) > 0; index++ {
		n := protowire.ConsumeFieldValue(1, wire, values)
		if n < 0 {
			return malformed(broken)
		}
		if field.Kind() == protoreflect.EnumKind {
			if r := inspectEnum(field, values[:n]); r != nil {
				r.index = index
				return r
			}
		}
		values = values[n:]
	}
	return nil
}

func inspectEnum(field protoreflect.FieldDescriptor, value []byte) *refusal {
	number, _ := protowire.ConsumeVarint(value)
	if !field.Enum().IsClosed() || field.Enum().Values().ByNumber(enumNumber(number)) != nil {
		return nil
	}
	return &refusal{rule: closedEnumRule, message: fmt.Sprintf("%s has no number %d, and is closed", field.Enum().FullName(), enumNumber(number))}
}

func enumNumber(varint uint64) protoreflect.EnumNumber {
	return protoreflect.EnumNumber(int32(varint))
}

func inspectText(field protoreflect.FieldDescriptor, text []byte) *refusal {
	switch {
	case utf8.Valid(text):
		return nil
	case enforcesUTF8(field):
		return malformed(invalidUTF8)
	default:
		return &refusal{rule: readableRule, message: invalidUTF8}
	}
}

// enforcesUTF8 reports whether protobuf's parsers refuse a text that isn't UTF-8.
func enforcesUTF8(field protoreflect.FieldDescriptor) bool {
	if f, ok := field.(interface{ EnforceUTF8() bool }); ok {
		return f.EnforceUTF8()
	}
	return field.ParentFile().Syntax() == protoreflect.Proto3
}

func unknownField(number protowire.Number, message string) *refusal {
	r := &refusal{rule: unknownFieldRule, message: message}
	return r.below(&validate.FieldPathElement{FieldNumber: new(int32(number)), FieldName: new(strconv.Itoa(int(number)))})
}

// elementOf is a field as an element of a path.
func elementOf(field protoreflect.FieldDescriptor) *validate.FieldPathElement {
	element := &validate.FieldPathElement{
		FieldNumber: new(int32(field.Number())),
		FieldName:   new(string(field.Name())),
		FieldType:   descriptorpb.FieldDescriptorProto_Type(field.Kind()).Enum(),
	}
	if field.IsExtension() {
		element.FieldName = new(field.TextName())
	}
	return element
}

// setKey makes the element of a map one of its entry with a key.
func setKey(element *validate.FieldPathElement, field protoreflect.FieldDescriptor, key protoreflect.MapKey) {
	element.KeyType = descriptorpb.FieldDescriptorProto_Type(field.MapKey().Kind()).Enum()
	element.ValueType = descriptorpb.FieldDescriptorProto_Type(field.MapValue().Kind()).Enum()
	switch key := key.Interface().(type) {
	case bool:
		element.Subscript = &validate.FieldPathElement_BoolKey{BoolKey: key}
	case int32:
		element.Subscript = &validate.FieldPathElement_IntKey{IntKey: int64(key)}
	case int64:
		element.Subscript = &validate.FieldPathElement_IntKey{IntKey: key}
	case uint32:
		element.Subscript = &validate.FieldPathElement_UintKey{UintKey: uint64(key)}
	case uint64:
		element.Subscript = &validate.FieldPathElement_UintKey{UintKey: key}
	case string:
		element.Subscript = &validate.FieldPathElement_StringKey{StringKey: strings.ToValidUTF8(strings.Clone(key), "\uFFFD")}
	}
}

// belowField adds a field to the path of what is wrong with a value of it, which
// data begins with. Of a list it is the element with an index.
func (r *refusal) belowField(field protoreflect.FieldDescriptor, data []byte, index int) {
	element := elementOf(field)
	switch {
	case field.IsList():
		element.Subscript = &validate.FieldPathElement_Index{Index: uint64(index + r.index)}
		r.index = 0
	case field.IsMap() && len(r.path) > 0:
		// The entry is no element of a path: its key is a part of that of the map.
		last := len(r.path) - 1
		switch r.path[last].GetFieldNumber() {
		case entryKey:
			r.path, r.message = r.path[:last], "a key: "+r.message
		case entryValue:
			entry, _ := protowire.ConsumeBytes(data)
			r.path = r.path[:last]
			setKey(element, field, keyOfEntry(field, entry))
		}
	}
	r.below(element)
}

// occurrences counts the fields with a number in what has been looked at.
func occurrences(data []byte, number protowire.Number) int {
	count := 0
	for len(data) > 0 {
		found, wire, n := protowire.ConsumeTag(data)
		if n < 0 {
			break
		}
		if found == number {
			count++
		}
		data = data[n:]
		if n = protowire.ConsumeFieldValue(found, wire, data); n < 0 {
			break
		}
		data = data[n:]
	}
	return count
}

// keyOfEntry returns the key of a map's encoded entry.
func keyOfEntry(field protoreflect.FieldDescriptor, entry []byte) protoreflect.MapKey {
	var key []byte
	for len(entry) > 0 {
		number, wire, n := protowire.ConsumeTag(entry)
		if n < 0 {
			break
		}
		m := protowire.ConsumeFieldValue(number, wire, entry[n:])
		if m < 0 {
			break
		}
		if number == entryKey {
			key = entry[:n+m]
		}
		entry = entry[n+m:]
	}
	message := dynamicpb.NewMessage(field.Message())
	if proto.Unmarshal(key, message) != nil {
		message.Reset()
	}
	return message.Get(field.MapKey()).MapKey()
}

func wireType(kind protoreflect.Kind) (protowire.Type, bool) {
	switch kind {
	case protoreflect.GroupKind:
		return 0, false
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind:
		return protowire.BytesType, true
	case protoreflect.DoubleKind, protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind:
		return protowire.Fixed64Type, true
	case protoreflect.FloatKind, protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind:
		return protowire.Fixed32Type, true
	default:
		return protowire.VarintType, true
	}
}
