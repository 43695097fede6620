package compat

import (
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"example.com/tidings/server/internal/schema"
)

// pair is schemas of two times.
type pair struct{ older, newer *protoregistry.Files }

func newPair(older, newer *schema.Image) (p pair, err error) {
	if p.older, err = older.Descriptors(); err == nil {
		p.newer, err = newer.Descriptors()
	}
	return p, err
}

// felt reports whether some event shows what a rule found about an element of the
// newer schemas. Some of Buf's rules are about generated code too, or don't know
// that schemas say the same in other words, as in another edition.
func (p pair) felt(rule, element string) bool {
	found, err := p.newer.FindDescriptorByName(protoreflect.FullName(element))
	if err != nil {
		return true
	}
	if rule == "MESSAGE_SAME_REQUIRED_FIELDS" {
		newer, ok := found.(protoreflect.MessageDescriptor)
		if !ok {
			newer, ok = found.Parent().(protoreflect.MessageDescriptor)
		}
		return !ok || requiredDiffer(p.message(newer), newer)
	}
	if rule == "ENUM_SAME_TYPE" {
		newer, ok := found.(protoreflect.EnumDescriptor)
		// Who reads with an open enum sees every number.
		return !ok || newer.IsClosed()
	}
	newer, ok := found.(protoreflect.FieldDescriptor)
	if !ok {
		return true
	}
	older := p.field(newer)
	if older == nil {
		return true
	}
	switch rule {
	case "FIELD_SAME_CARDINALITY":
		return cardinalityDiffers(older, newer)
	case "FIELD_SAME_ONEOF":
		return exclusionDiffers(older, newer)
	case "FIELD_SAME_TYPE":
		return typeDiffers(older, newer)
	case "FIELD_SAME_DEFAULT":
		return older.HasDefault() != newer.HasDefault() || !older.Default().Equal(newer.Default())
	default:
		return true
	}
}

// message returns what a message was, or nil.
func (p pair) message(newer protoreflect.MessageDescriptor) protoreflect.MessageDescriptor {
	if found, err := p.older.FindDescriptorByName(newer.FullName()); err == nil {
		older, _ := found.(protoreflect.MessageDescriptor)
		return older
	}
	return nil
}

// field returns what a field was, or nil.
func (p pair) field(newer protoreflect.FieldDescriptor) protoreflect.FieldDescriptor {
	if newer.IsExtension() {
		if found, err := p.older.FindDescriptorByName(newer.FullName()); err == nil {
			older, _ := found.(protoreflect.FieldDescriptor)
			return older
		}
		return nil
	}
	if older := p.message(newer.ContainingMessage()); older != nil {
		return older.Fields().ByNumber(newer.Number())
	}
	return nil
}

// requiredDiffer reports whether other fields are required.
func requiredDiffer(older, newer protoreflect.MessageDescriptor) bool {
	if older == nil || older.RequiredNumbers().Len() != newer.RequiredNumbers().Len() {
		return true
	}
	for i := range older.RequiredNumbers().Len() {
		if !newer.RequiredNumbers().Has(older.RequiredNumbers().Get(i)) {
			return true
		}
	}
	return false
}

// cardinalityDiffers reports whether a field holds more or fewer values, or no longer
// tells an empty one from none. Without presence before, an empty one wasn't
// stored.
func cardinalityDiffers(older, newer protoreflect.FieldDescriptor) bool {
	return older.Cardinality() != newer.Cardinality() || older.IsMap() != newer.IsMap() || older.HasPresence() && !newer.HasPresence()
}

// exclusionDiffers reports whether a field excludes other fields than before. The
// name of a oneof is nowhere in an event.
func exclusionDiffers(older, newer protoreflect.FieldDescriptor) bool {
	siblings := older.ContainingMessage().Fields()
	for i := range siblings.Len() {
		before := siblings.Get(i)
		after := newer.ContainingMessage().Fields().ByNumber(before.Number())
		if after != nil && before != older && exclude(older, before) != exclude(newer, after) {
			return true
		}
	}
	return false
}

func exclude(a, b protoreflect.FieldDescriptor) bool {
	return a.ContainingOneof() != nil && a.ContainingOneof() == b.ContainingOneof()
}

// typeDiffers reports whether a value has another type, for which an enum counts by
// its values and not by its name.
func typeDiffers(older, newer protoreflect.FieldDescriptor) bool {
	if older.Kind() != newer.Kind() {
		return true
	}
	if older.Enum() != nil {
		return len(changedValues(older.Enum(), newer.Enum())) > 0 || newer.Enum().IsClosed() && !older.Enum().IsClosed()
	}
	return older.Message() != nil && older.Message().FullName() != newer.Message().FullName()
}

// changedValues returns the values of an enum that a newer one doesn't have, has
// under another number, or shows by another name: of several names for a number
// the first is shown.
func changedValues(older, newer protoreflect.EnumDescriptor) (changed []protoreflect.EnumValueDescriptor) {
	for i := range older.Values().Len() {
		value := older.Values().Get(i)
		same := newer.Values().ByName(value.Name())
		if same == nil || same.Number() != value.Number() {
			changed = append(changed, value)
			continue
		}
		shown := older.Values().ByNumber(value.Number()) == value
		if shown && newer.Values().ByNumber(value.Number()).Name() != value.Name() {
			changed = append(changed, value)
		}
	}
	return changed
}
