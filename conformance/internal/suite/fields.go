package suite

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/structpb"

	"example.com/tidings/conformance/internal/match"
)

// message checks that a message of a case has the fields of its type only. A
// misspelt field in a request would be noticed when it is sent; one in a response
// would never match.
func (k *checker) message(message *structpb.Struct, descriptor protoreflect.MessageDescriptor, expected bool) {
	f := &fields{k, k.lines.of(message), expected}
	f.object("", message.AsMap(), descriptor)
}

type fields struct {
	*checker
	place    string
	expected bool
}

// otherForm reports whether a message has another form in JSON than its fields.
func otherForm(descriptor protoreflect.MessageDescriptor) bool {
	if descriptor.ParentFile().Package() != "google.protobuf" {
		return false
	}
	switch descriptor.Name() {
	case "Timestamp", "Duration", "FieldMask", "Struct", "Value", "ListValue":
		return true
	default:
		return strings.HasSuffix(string(descriptor.Name()), "Value") // A wrapper of a scalar.
	}
}

func (f *fields) object(path string, object map[string]any, descriptor protoreflect.MessageDescriptor) {
	if otherForm(descriptor) {
		f.anything(object)
		return
	}
	if descriptor.FullName() == "google.protobuf.Any" {
		descriptor = f.payload(path, object)
		if descriptor == nil {
			return
		}
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if strings.HasPrefix(name, "$") || name == "@type" {
			f.anything(object[name])
			continue
		}
		field := descriptor.Fields().ByJSONName(name)
		if field == nil {
			f.fail(f.place, fmt.Errorf("%s has no field %q in JSON", descriptor.FullName(), join(path, name)))
			continue
		}
		f.value(join(path, name), object[name], field)
	}
}

// payload returns the type of the content of an Any, or nil where it isn't known.
func (f *fields) payload(path string, object map[string]any) protoreflect.MessageDescriptor {
	if _, opaque := object["$type"]; opaque {
		return nil
	}
	url, _ := object["@type"].(string)
	if url == "" && f.expected {
		// Without a type, what is expected can't be checked.
		f.anything(object)
		return nil
	}
	values := match.Values{"every_kind": EveryKindURL, "part": PartURL}
	maps.Copy(values, f.Values)
	expanded, err := values.ExpandText(url)
	if err != nil || url == "" {
		f.fail(f.place, fmt.Errorf("%s.@type: %q is no type", path, url))
		return nil
	}
	found, err := protoregistry.GlobalTypes.FindMessageByURL(expanded)
	if err != nil {
		f.anything(object) // A type that the case registers.
		return nil
	}
	return found.Descriptor()
}

func (f *fields) value(path string, value any, field protoreflect.FieldDescriptor) {
	switch value := value.(type) {
	case string:
		f.text(f.place, value, f.expected)
	case []any:
		for i, element := range value {
			f.value(fmt.Sprintf("%s[%d]", path, i), element, field)
		}
	case map[string]any:
		switch {
		case field.IsMap():
			for key, element := range value {
				f.text(f.place, key, false)
				f.value(path+"."+key, element, field.MapValue())
			}
		case field.Message() == nil && match.Repeats(value) != nil:
			f.repeated(value, func() { f.value(path, match.Repeats(value), field) })
		case field.Message() != nil:
			f.repeated(value, func() { f.object(path, value, field.Message()) })
		default:
			f.fail(f.place, fmt.Errorf("%s isn't a message", path))
		}
	}
}

// repeated gives the elements of a list that is repeated their index.
func (f *fields) repeated(object map[string]any, check func()) {
	if _, ok := object["$repeat"]; ok && !f.known["n"] {
		f.known["n"] = true
		defer delete(f.known, "n")
	}
	check()
}

// anything checks the texts of a value of which nothing else is known.
func (f *fields) anything(value any) {
	switch value := value.(type) {
	case string:
		f.text(f.place, value, f.expected)
	case []any:
		for _, element := range value {
			f.anything(element)
		}
	case map[string]any:
		for _, element := range value {
			f.anything(element)
		}
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
