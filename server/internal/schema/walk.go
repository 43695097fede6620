package schema

import (
	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// walk visits what has to be looked at in a decoded message: values that may
// lack a form in JSON, fields that have to be set, and what an Any holds. It is
// that of one message, and nil where a message has none of these.
type walk struct {
	check    func(protoreflect.Message) string // What is wrong, or empty. nil: nothing to check here.
	required []protoreflect.FieldDescriptor
	any      bool
	extended bool // It may have extensions.
	fields   []walkField
}

type walkField struct {
	descriptor protoreflect.FieldDescriptor
	message    *walk
}

// walkOf returns the walk of a message.
func (s *shared) walkOf(message protoreflect.MessageDescriptor) *walk {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.newWalk(message)
}

// newWalk is walkOf while the walks are locked. Messages that hold themselves
// are why hasWalk is asked first.
func (s *shared) newWalk(message protoreflect.MessageDescriptor) *walk {
	if made, ok := s.walks[message]; ok {
		return made
	}
	if !hasWalk(message) {
		s.walks[message] = nil
		return nil
	}
	made := &walk{
		check: checkOf(message), any: message.FullName() == anyName, extended: message.ExtensionRanges().Len() > 0,
	}
	s.walks[message] = made
	fields := message.Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if field.Cardinality() == protoreflect.Required {
			made.required = append(made.required, field)
		}
		if held := heldMessage(field); held != nil {
			if below := s.newWalk(held); below != nil {
				made.fields = append(made.fields, walkField{field, below})
			}
		}
	}
	return made
}

const anyName = "google.protobuf.Any"

// hasWalk reports whether there is something to look at in a message or below.
func hasWalk(message protoreflect.MessageDescriptor) bool {
	seen := map[protoreflect.MessageDescriptor]bool{message: true}
	for queue := []protoreflect.MessageDescriptor{message}; len(queue) > 0; queue = queue[1:] {
		next := queue[0]
		if checkOf(next) != nil || next.FullName() == anyName || next.RequiredNumbers().Len() > 0 || next.ExtensionRanges().Len() > 0 {
			return true
		}
		fields := next.Fields()
		for i := range fields.Len() {
			if held := heldMessage(fields.Get(i)); held != nil && !seen[held] {
				seen[held] = true
				queue = append(queue, held)
			}
		}
	}
	return false
}

// heldMessage is the message that a field holds, in a list or as the values of
// a map too, or nil.
func heldMessage(field protoreflect.FieldDescriptor) protoreflect.MessageDescriptor {
	if field.IsMap() {
		return field.MapValue().Message()
	}
	return field.Message()
}

// visit is what one walk over a payload needs.
type visit struct {
	shared *shared
	path   []step
	anys   []held                       // Found, and not looked into yet.
	base   []*validate.FieldPathElement // Leads to the Any that is looked into, its last element first.
}

// step leads from a message to one that it holds.
type step struct {
	field protoreflect.FieldDescriptor
	index int
	key   protoreflect.MapKey
}

// of returns what is wrong in a payload, or nil.
func (v *visit) of(s *shared, w *walk, payload protoreflect.Message) *refusal {
	v.shared, v.path, v.anys, v.base = s, v.path[:0], v.anys[:0], nil
	if r := v.message(w, payload, 1); r != nil {
		return r
	}
	if len(v.anys) == 0 {
		return nil
	}
	r := v.lookInto()
	v.anys = nil // As many as the payload had room for.
	return r
}

// message returns what is wrong with a message or below it, or nil. It is nested
// so deep in the payload.
func (v *visit) message(w *walk, m protoreflect.Message, depth int) *refusal {
	if w == nil {
		return nil
	}
	for _, field := range w.required {
		if !m.Has(field) {
			r := v.refuse(requiredRule, "is required by the schema")
			r.path = append([]*validate.FieldPathElement{elementOf(field)}, r.path...)
			return r
		}
	}
	if w.check != nil {
		if wrong := w.check(m); wrong != "" {
			return v.refuse(readableRule, wrong)
		}
	}
	if w.any {
		v.hold(m, depth)
	}
	for _, field := range w.fields {
		if m.Has(field.descriptor) {
			if r := v.field(field, m.Get(field.descriptor), depth); r != nil {
				return r
			}
		}
	}
	if w.extended {
		return v.extensions(m, depth)
	}
	return nil
}

func (v *visit) extensions(m protoreflect.Message, depth int) (r *refusal) {
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if field.IsExtension() && field.Message() != nil {
			r = v.field(walkField{field, v.shared.walkOf(field.Message())}, value, depth)
		}
		return r == nil
	})
	return r
}

func (v *visit) field(field walkField, value protoreflect.Value, depth int) (r *refusal) {
	v.path = append(v.path, step{field: field.descriptor})
	last := len(v.path) - 1
	switch {
	case field.descriptor.IsList():
		list := value.List()
		for i := 0; i < list.Len() && r == nil; i++ {
			v.path[last].index = i
			r = v.message(field.message, list.Get(i).Message(), depth+1)
		}
	case field.descriptor.IsMap():
		r = v.entries(field.message, value.Map(), depth)
	default:
		r = v.message(field.message, value.Message(), depth+1)
	}
	v.path = v.path[:last]
	return r
}

// entries is a function of its own so that only maps pay for what it captures.
func (v *visit) entries(w *walk, entries protoreflect.Map, depth int) (r *refusal) {
	last := len(v.path) - 1
	entries.Range(func(key protoreflect.MapKey, value protoreflect.Value) bool {
		v.path[last].key = key
		r = v.message(w, value.Message(), depth+2) // Its entry is a message too.
		return r == nil
	})
	return r
}

// refuse makes a refusal of the message that the walk is at.
func (v *visit) refuse(rule, message string) *refusal {
	return &refusal{rule: rule, message: message, path: v.place()}
}

// place is the path to the message that the walk is at, its last element first.
func (v *visit) place() []*validate.FieldPathElement {
	var path []*validate.FieldPathElement
	for i := range v.path {
		s := v.path[len(v.path)-1-i]
		element := elementOf(s.field)
		switch {
		case s.field.IsList():
			element.Subscript = &validate.FieldPathElement_Index{Index: uint64(s.index)}
		case s.field.IsMap():
			setKey(element, s.field, s.key)
		}
		path = append(path, element)
	}
	return append(path, v.base...)
}
