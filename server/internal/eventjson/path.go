package eventjson

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// level is an object or an array that is being read.
type level struct {
	array    bool
	index    int    // Of the array's present element; -1 before the first.
	name     string // Of the object's present member; empty before the first.
	nameNext bool   // Whether the object's next token is a name.
	typeURL  string // The object's member @type, wherever it is.
}

// pathAt returns the path of what covers the byte at an offset of a text, its
// member's name or its value. Where the text is malformed before that, it is the
// path of the last value before.
func pathAt(text []byte, offset int, root protoreflect.MessageDescriptor, types Resolver) string {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var levels, covering []*level
	var found []level // The covering ones as they were at the offset.
	for reached := false; !reached || len(levels) > 0; {
		token, err := decoder.Token()
		delim, _ := token.(json.Delim)
		switch {
		case err != nil:
		case delim == '}' || delim == ']':
			levels = levels[:len(levels)-1]
		case len(levels) > 0:
			levels[len(levels)-1].take(token)
		}
		if !reached && (err != nil || int(decoder.InputOffset()) > offset) {
			reached, covering = true, slices.Clone(levels)
			for _, l := range covering {
				found = append(found, *l)
			}
		}
		if err != nil {
			break
		}
		if delim == '{' || delim == '[' {
			levels = append(levels, &level{array: delim == '[', index: -1, nameNext: delim == '{'})
		}
	}
	for i, l := range covering {
		found[i].typeURL = l.typeURL
	}
	return join(found, root, types)
}

// take takes a token other than the end of the object or the array.
func (l *level) take(token json.Token) {
	switch {
	case l.array:
		l.index++
	case l.nameNext:
		l.name, _ = token.(string)
		l.nameNext = false
	default:
		if text, ok := token.(string); ok && l.name == "@type" {
			l.typeURL = text
		}
		l.nameNext = true
	}
}

// join makes a path of levels, of which the first is a message.
func join(levels []level, message protoreflect.MessageDescriptor, types Resolver) string {
	var path strings.Builder
	var inMap protoreflect.FieldDescriptor // Whose keys come next.
	for _, l := range levels {
		switch {
		case l.array && l.index >= 0:
			fmt.Fprintf(&path, "[%d]", l.index)
		case l.array || l.name == "":
		case inMap != nil:
			path.WriteString(subscript(inMap, l.name))
			message, inMap = inMap.MapValue().Message(), nil
		default:
			if path.Len() > 0 {
				path.WriteByte('.')
			}
			path.WriteString(l.name)
			message, inMap = memberOf(message, l.name, l.typeURL, types)
		}
	}
	return path.String()
}

// subscript is what a key of a map adds to a path.
func subscript(field protoreflect.FieldDescriptor, key string) string {
	if field.MapKey().Kind() == protoreflect.StringKind {
		key = strconv.Quote(key)
	}
	return "[" + key + "]"
}

// memberOf returns what a member of an object holds: a message, also in an array,
// or a map. Both are nil for anything else, and for what isn't known.
func memberOf(message protoreflect.MessageDescriptor, name, typeURL string, types Resolver) (protoreflect.MessageDescriptor, protoreflect.FieldDescriptor) {
	if message != nil && message.FullName() == "google.protobuf.Any" {
		if name == "@type" {
			return nil, nil
		}
		message = contentOf(typeURL, types)
		if message != nil && hasOwnForm(message) {
			return message, nil // It is the member "value".
		}
	}
	if message == nil || hasOwnForm(message) {
		return nil, nil
	}
	field := fieldOf(message, name, types)
	switch {
	case field == nil:
		return nil, nil
	case field.IsMap():
		return nil, field
	default:
		return field.Message(), nil
	}
}

// contentOf returns the message in an Any, or nil.
func contentOf(typeURL string, types Resolver) protoreflect.MessageDescriptor {
	found, err := types.FindMessageByURL(typeURL)
	if err != nil {
		return nil
	}
	return found.Descriptor()
}

// hasOwnForm reports whether a message isn't an object of its fields in JSON.
func hasOwnForm(message protoreflect.MessageDescriptor) bool {
	return message.FullName().Parent() == "google.protobuf" && message.FullName() != "google.protobuf.Any"
}

// fieldOf returns the field that a member's name stands for, or nil.
func fieldOf(message protoreflect.MessageDescriptor, name string, types Resolver) protoreflect.FieldDescriptor {
	if inner, ok := strings.CutPrefix(name, "["); ok {
		extension, err := types.FindExtensionByName(protoreflect.FullName(strings.TrimSuffix(inner, "]")))
		if err != nil {
			return nil
		}
		return extension.TypeDescriptor()
	}
	if field := message.Fields().ByJSONName(name); field != nil {
		return field
	}
	return message.Fields().ByTextName(name)
}
