// Package filter decides which events a reader or a subscription gets: by
// their type, their CloudEvents attributes and a condition in CEL. What a
// filter doesn't ask about isn't decoded.
package filter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"example.com/tidings/server/internal/schema"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// Error says what is wrong with a filter.
type Error struct {
	// Field is the path of the field in the EventFilter: `cel`,
	// `attributes.any.filters[1]`. Empty: the whole.
	Field string
	// Description says what is wrong with it.
	Description string
	// Type is the event type that it is about, or empty.
	Type string
}

func (e *Error) Error() string { return strings.TrimPrefix(e.Field+": "+e.Description, ": ") }

// UnknownTypeError says that a filter names a type that the set doesn't hold.
type UnknownTypeError struct {
	// Field is the path of the name in the EventFilter: `event_types[1]`.
	Field string
	// Name is the name.
	Name string
	// Description says what the set lacks.
	Description string
}

func (e *UnknownTypeError) Error() string { return e.Field + ": " + e.Description }

// Unwrap returns schema.ErrUnknownType.
func (*UnknownTypeError) Unwrap() error { return schema.ErrUnknownType }

// maxBytes is the size of a filter, encoded.
const maxBytes = 64 << 10

// Matcher is a compiled filter. It is safe for concurrent use.
type Matcher struct {
	types      map[string]bool // Empty: all.
	attributes *condition
	expression *expression
}

// Compile checks a filter and makes a matcher of it. nil and the empty filter
// take every event. The filter has passed the rules of its fields. Where it
// names no types, its CEL has to suit topicTypes, the types that the topic is
// known to hold.
//
// It returns an *UnknownTypeError or an *Error. The set is the one that events
// are matched with; a matcher knows nothing of types that come later.
func Compile(f *tidingsv1.EventFilter, set *schema.Set, topicTypes []string) (*Matcher, error) {
	if size := proto.Size(f); size > maxBytes {
		return nil, &Error{Description: fmt.Sprintf("has %d bytes, at most %d are allowed", size, maxBytes)}
	}
	m := &Matcher{types: make(map[string]bool, len(f.GetEventTypes()))}
	for i, name := range f.GetEventTypes() {
		if _, err := set.Type(name); err != nil {
			return nil, &UnknownTypeError{Field: fmt.Sprintf("event_types[%d]", i), Name: name, Description: set.Lacks(name)}
		}
		m.types[name] = true
	}
	var err error
	if f.GetAttributes() != nil {
		if m.attributes, err = compileAttributes(f.GetAttributes()); err != nil {
			return nil, err
		}
	}
	if f.GetCel() != "" {
		types := f.GetEventTypes()
		if len(types) == 0 {
			types = topicTypes
		}
		if m.expression, err = compileExpression(f.GetCel(), set, types); err != nil {
			if invalid, ok := errors.AsType[*Error](err); ok && invalid.Type != "" && len(f.GetEventTypes()) == 0 {
				invalid.Description += "; name in event_types the types that the expression is for"
			}
			return nil, err
		}
	}
	return m, nil
}

// TopicTypes are the types that a topic is known to hold: those that its settings
// name or, where they name none or stand for all, those that declare it.
func TopicTypes(topic string, config *storagev1.TopicConfig, set *schema.Set) []string {
	if types := config.GetEventTypes(); len(types) > 0 && !slices.Contains(types, schema.AnyType) {
		return types
	}
	return set.TypesOf(topic)
}

// All reports whether every event matches.
func (m *Matcher) All() bool {
	return len(m.types) == 0 && m.attributes == nil && m.expression == nil
}

// Match reports whether the filter takes an encoded tidings.v1.Event. It returns
// an error only where the bytes are none, and that of the context, which ends
// the evaluation of a condition in CEL.
func (m *Matcher) Match(ctx context.Context, raw []byte) (bool, error) {
	if m.All() {
		return true, nil
	}
	var e event
	if _, err := e.Scan(raw); err != nil {
		return false, err
	}
	if len(m.types) > 0 && !m.types[e.TypeName()] {
		return false, nil
	}
	if m.attributes != nil {
		holds, err := m.attributes.holds(&e)
		if !holds || err != nil {
			return false, err
		}
	}
	if m.expression != nil {
		kept := e // Only this one is on the heap, since CEL keeps a pointer to it.
		return m.expression.holds(ctx, &kept)
	}
	return true, nil
}
