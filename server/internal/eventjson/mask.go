package eventjson

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
)

// protojson refuses the path `*` in a field mask, which AIP-134 has for everything.
// It is hidden from it as a path of one letter, and put back afterwards.

// wildcard is that path.
const wildcard = "*"

// hiddenPaths are the indexes of the paths of a mask that were wildcards.
type hiddenPaths struct {
	field   protoreflect.FieldDescriptor
	indexes []int
}

// hideWildcards returns a text whose places are the same, in which the field masks
// of the message itself have no wildcard. A text that isn't JSON is left to
// protojson.
func hideWildcards(data []byte, root protoreflect.MessageDescriptor) ([]byte, []hiddenPaths) {
	if len(masksOf(root)) == 0 {
		return data, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	if begin, err := decoder.Token(); err != nil || begin != json.Delim('{') {
		return data, nil
	}
	var hidden []hiddenPaths
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return data, nil
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return data, nil
		}
		name, _ := key.(string)
		field := maskOf(root, name)
		if field == nil {
			continue
		}
		without, indexes := withoutWildcards(value)
		if indexes == nil {
			continue
		}
		if hidden == nil {
			data = slices.Clone(data)
		}
		end := int(decoder.InputOffset())
		copy(data[end-len(value):end], without)
		hidden = append(hidden, hiddenPaths{field, indexes})
	}
	return data, hidden
}

// masksOf returns the fields of a message that are field masks.
func masksOf(root protoreflect.MessageDescriptor) (masks []protoreflect.FieldDescriptor) {
	for i := range root.Fields().Len() {
		field := root.Fields().Get(i)
		if field.Cardinality() != protoreflect.Repeated && field.Message() != nil &&
			field.Message().FullName() == (*fieldmaskpb.FieldMask)(nil).ProtoReflect().Descriptor().FullName() {
			masks = append(masks, field)
		}
	}
	return masks
}

// maskOf returns the mask with a key in JSON, or nil.
func maskOf(root protoreflect.MessageDescriptor, key string) protoreflect.FieldDescriptor {
	for _, field := range masksOf(root) {
		if field.JSONName() == key || field.TextName() == key {
			return field
		}
	}
	return nil
}

// withoutWildcards returns a text of the same size in place of that of a mask, and
// the indexes of the paths that were wildcards.
func withoutWildcards(value []byte) (without []byte, indexes []int) {
	var text string
	if json.Unmarshal(value, &text) != nil {
		return value, nil
	}
	paths := strings.Split(text, ",")
	for i, path := range paths {
		if path == wildcard {
			paths[i] = "a"
			indexes = append(indexes, i)
		}
	}
	without, err := json.Marshal(strings.Join(paths, ","))
	if err != nil || len(without) > len(value) {
		return value, nil // It holds what JSON has several forms of, so that it is no mask.
	}
	return append(without, bytes.Repeat([]byte(" "), len(value)-len(without))...), indexes
}

// showWildcards puts them back.
func showWildcards(message proto.Message, hidden []hiddenPaths) {
	for _, h := range hidden {
		mask, ok := message.ProtoReflect().Mutable(h.field).Message().Interface().(*fieldmaskpb.FieldMask)
		if !ok {
			continue
		}
		for _, index := range h.indexes {
			mask.Paths[index] = wildcard
		}
	}
}
