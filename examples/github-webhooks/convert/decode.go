package convert

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// FieldError says that an event can't hold what a payload has at one place.
type FieldError struct {
	// Path is the place: `pull_request.labels[0].colour`.
	Path string
	// Problem is what is wrong there, as half a sentence.
	Problem string
}

// Error gives the place and the problem.
func (e *FieldError) Error() string { return e.Path + ": " + e.Problem }

// decoder fills messages from JSON documents. It goes on after a problem, so
// that whoever extends the schema sees all that is missing at once.
type decoder struct {
	problems []error
}

func (d *decoder) failf(path, format string, args ...any) {
	d.problems = append(d.problems, &FieldError{Path: path, Problem: fmt.Sprintf(format, args...)})
}

// message fills a message from an object. The path names the object; it is
// empty for the payload as a whole.
func (d *decoder) message(m protoreflect.Message, object map[string]any, path string) {
	for _, name := range slices.Sorted(maps.Keys(object)) {
		at := join(path, name)
		field := fieldByGithubName(m.Descriptor(), name)
		if field == nil {
			d.failf(at, "unknown field: %s has no such field", m.Descriptor().FullName())
			continue
		}
		d.field(m, field, object[name], at)
	}
}

// field sets one field of a message, unless the value is null.
func (d *decoder) field(m protoreflect.Message, field protoreflect.FieldDescriptor, value any, path string) {
	if value == nil && !holdsNull(field) {
		return
	}
	if field.IsList() {
		d.list(m.Mutable(field).List(), field, value, path)
		return
	}
	if field.IsMap() {
		// Not in the schema: an empty map could not be told from none. A test
		// holds that, and this is for who adds one before running the tests.
		d.failf(path, "fields that are maps are not converted")
		return
	}
	v, ok := d.value(m.NewField(field), field, value, path)
	if !ok {
		return
	}
	if !field.HasPresence() && v.Equal(field.Default()) {
		d.failf(path, "is empty, which %s doesn't tell from no field", field.FullName())
		return
	}
	m.Set(field, v)
}

// list appends the elements of a list. Null is no element: a list can't hold it.
func (d *decoder) list(list protoreflect.List, field protoreflect.FieldDescriptor, value any, path string) {
	elements, ok := value.([]any)
	if !ok {
		d.failf(path, "is %s, not a list", typeName(value))
		return
	}
	for i, element := range elements {
		at := fmt.Sprintf("%s[%d]", path, i)
		if v, ok := d.value(list.NewElement(), field, element, at); ok {
			list.Append(v)
		}
	}
}

// value converts one value and reports whether that worked. The empty value is
// what a message is filled into.
func (d *decoder) value(empty protoreflect.Value, field protoreflect.FieldDescriptor, value any, path string) (protoreflect.Value, bool) {
	switch kind := field.Kind(); kind {
	case protoreflect.StringKind:
		if text, ok := value.(string); ok {
			return protoreflect.ValueOfString(text), true
		}
		d.failf(path, "is %s, not text", typeName(value))
	case protoreflect.BoolKind:
		if b, ok := value.(bool); ok {
			return protoreflect.ValueOfBool(b), true
		}
		d.failf(path, "is %s, not true or false", typeName(value))
	case protoreflect.Int32Kind, protoreflect.Int64Kind:
		return d.integer(kind, value, path)
	case protoreflect.MessageKind:
		return empty, d.messageValue(empty.Message(), value, path)
	default:
		// Only a schema that grew a new kind of field comes here, as a test
		// of all of them shows.
		d.failf(path, "fields of kind %v are not converted", kind)
	}
	return protoreflect.Value{}, false
}

func (d *decoder) integer(kind protoreflect.Kind, value any, path string) (protoreflect.Value, bool) {
	number, ok := value.(json.Number)
	if !ok {
		d.failf(path, "is %s, not a number", typeName(value))
		return protoreflect.Value{}, false
	}
	bits := 64
	if kind == protoreflect.Int32Kind {
		bits = 32
	}
	n, err := strconv.ParseInt(number.String(), 10, bits)
	if err != nil {
		d.failf(path, "is %s, not a whole number of %d bits", number, bits)
		return protoreflect.Value{}, false
	}
	if bits == 32 {
		return protoreflect.ValueOfInt32(int32(n)), true
	}
	return protoreflect.ValueOfInt64(n), true
}

// messageValue fills a message from a value of any form: the well-known types
// take others than objects.
func (d *decoder) messageValue(m protoreflect.Message, value any, path string) bool {
	switch target := m.Interface().(type) {
	case *timestamppb.Timestamp:
		t, err := parseTime(value)
		if err != nil {
			d.failf(path, "%v", err)
			return false
		}
		target.Seconds, target.Nanos = t.Unix(), int32(t.Nanosecond())
		return true
	case *structpb.Value:
		v, ok := d.anything(value, path)
		target.Kind = v.GetKind()
		return ok
	case *structpb.Struct:
		v, ok := d.anything(value, path)
		if ok && v.GetStructValue() == nil {
			d.failf(path, "is %s, not an object", typeName(value))
			return false
		}
		target.Fields = v.GetStructValue().GetFields()
		return ok
	}
	object, ok := value.(map[string]any)
	if !ok {
		d.failf(path, "is %s, not an object", typeName(value))
		return false
	}
	d.message(m, object, path)
	return true
}

// anything converts a value of no fixed form. Its numbers are float64, so an
// integer that those can't hold is a problem.
func (d *decoder) anything(value any, path string) (*structpb.Value, bool) {
	before := len(d.problems)
	d.checkNumbers(value, path)
	if len(d.problems) > before {
		return nil, false
	}
	v, err := structpb.NewValue(value)
	if err != nil {
		d.failf(path, "%v", err)
		return nil, false
	}
	return v, true
}

func (d *decoder) checkNumbers(value any, path string) {
	switch v := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			d.checkNumbers(v[name], join(path, name))
		}
	case []any:
		for i, element := range v {
			d.checkNumbers(element, fmt.Sprintf("%s[%d]", path, i))
		}
	case json.Number:
		f, err := v.Float64()
		whole := !strings.ContainsAny(v.String(), ".eE")
		if err != nil || whole && strconv.FormatFloat(f, 'f', -1, 64) != v.String() {
			d.failf(path, "is %s, a number too large to be kept exactly", v)
		}
	}
}

// errTime says that a value is none of the forms of parseTime.
var errTime = errors.New("not a time: neither RFC 3339, nor 2006-01-02 15:04:05, nor whole seconds since 1970")

// parseTime reads a time in any form that GitHub writes: RFC 3339, with or
// without a fraction of a second and with any offset; the same without `T` and
// offset, in UTC, in old apps; and seconds since 1970, for the repository of a
// push.
func parseTime(value any) (time.Time, error) {
	switch v := value.(type) {
	case json.Number:
		seconds, err := strconv.ParseInt(v.String(), 10, 64)
		if err != nil {
			return time.Time{}, fmt.Errorf("is %s, %w", v, errTime)
		}
		return checkTime(time.Unix(seconds, 0), v.String())
	case string:
		_, fraction, _ := strings.Cut(v, ".")
		if len(fraction)-len(strings.TrimLeft(fraction, "0123456789")) > 9 {
			return time.Time{}, fmt.Errorf("is %q, finer than a nanosecond", v)
		}
		for _, layout := range []string{time.RFC3339, time.DateTime} {
			if t, err := time.Parse(layout, v); err == nil {
				return checkTime(t, v)
			}
		}
		return time.Time{}, fmt.Errorf("is %q, %w", v, errTime)
	default:
		return time.Time{}, fmt.Errorf("is %s, %w", typeName(value), errTime)
	}
}

// checkTime refuses a time that Timestamp doesn't reach.
func checkTime(t time.Time, text string) (time.Time, error) {
	if err := timestamppb.New(t).CheckValid(); err != nil {
		return time.Time{}, fmt.Errorf("is %s, %w", text, err)
	}
	return t.UTC(), nil
}

// holdsNull reports whether null is a value of the field.
func holdsNull(field protoreflect.FieldDescriptor) bool {
	return !field.IsList() && field.Message() != nil && field.Message().FullName() == "google.protobuf.Value"
}

// typeName names the type of a JSON value, for people.
func typeName(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "true or false"
	case json.Number:
		return "a number"
	case string:
		return "text"
	case []any:
		return "a list"
	default:
		return "an object"
	}
}

// join appends a name to a path.
func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
