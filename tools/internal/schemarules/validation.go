package schemarules

import (
	"buf.build/go/bufplugin/check"
	"google.golang.org/protobuf/reflect/protoreflect"

	"example.com/tidings/tools/internal/tightening"
)

func validationNoTighten() *check.RuleSpec {
	return breaking("TIDINGS_VALIDATION_NO_TIGHTEN",
		"Checks that rules of protovalidate take everything that they took.",
		onChange(func(c change) error {
			for _, compare := range []func(change) error{tightenedFields, tightenedMessages, tightenedOneofs} {
				if err := compare(c); err != nil {
					return err
				}
			}
			return nil
		}))
}

func tightenedFields(c change) error {
	fields, err := tightening.NewFields(c.is.all)
	if err != nil {
		return err
	}
	for field := range pairs[protoreflect.FieldDescriptor](c.was.files, c.is.files) {
		findings, err := fields.Compare(field.was, field.is)
		if err != nil {
			return err
		}
		c.addTightened(field.is, field.was, findings)
		if !field.is.IsExtension() {
			continue
		}
		if findings, err = tightening.Predefined(field.was, field.is); err != nil {
			return err
		}
		c.addTightened(field.is, field.was, findings)
	}
	return nil
}

func tightenedMessages(c change) error {
	for message := range pairs[protoreflect.MessageDescriptor](c.was.files, c.is.files) {
		findings, err := tightening.Message(message.was, message.is)
		if err != nil {
			return err
		}
		c.addTightened(message.is, message.was, findings)
	}
	return nil
}

// tightenedOneofs looks at the oneofs of messages that were there before; a oneof
// may be new in one.
func tightenedOneofs(c change) error {
	for message := range pairs[protoreflect.MessageDescriptor](c.was.files, c.is.files) {
		oneofs := message.is.Oneofs()
		for i := range oneofs.Len() {
			oneof := oneofs.Get(i)
			findings, err := tightening.Oneof(message.was.Oneofs().ByName(oneof.Name()), oneof)
			if err != nil {
				return err
			}
			c.addTightened(oneof, message.was, findings)
		}
	}
	return nil
}

func (c change) addTightened(is, was protoreflect.Descriptor, findings []tightening.Finding) {
	for _, finding := range findings {
		c.AddAnnotation(
			check.WithMessagef("%s is tighter: %s. What was valid would be refused.", describe(is), finding),
			at(is, finding.Path),
			check.WithAgainstDescriptor(was),
		)
	}
}

func addedFieldOptional() *check.RuleSpec {
	return breaking("TIDINGS_ADDED_FIELD_OPTIONAL",
		"Checks that a message stays valid without a field that is new in it.",
		onChange(func(c change) error {
			rules, err := tightening.NewFields(c.is.all)
			if err != nil {
				return err
			}
			for message := range pairs[protoreflect.MessageDescriptor](c.was.files, c.is.files) {
				fields := message.is.Fields()
				for i := range fields.Len() {
					field := fields.Get(i)
					if message.was.Fields().ByNumber(field.Number()) != nil {
						continue
					}
					for _, finding := range rules.Added(field) {
						c.AddAnnotation(
							check.WithMessagef("%s is new, and without it the message is refused: %s.", describe(field), finding.Text),
							at(field, finding.Path),
							check.WithAgainstDescriptor(message.was),
						)
					}
				}
			}
			return nil
		}))
}
