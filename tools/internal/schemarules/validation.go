package schemarules

import (
	"fmt"

	"buf.build/go/bufplugin/check"
	"google.golang.org/protobuf/reflect/protoreflect"

	"example.com/tidings/tools/internal/tightening"
)

func validationNoTighten() *check.RuleSpec {
	return breaking("TIDINGS_VALIDATION_NO_TIGHTEN",
		"Checks that rules of protovalidate take everything that they took.",
		onChange(func(c change) error {
			return c.compareValidation(func(is protoreflect.Descriptor, finding tightening.Finding) string {
				if finding.Incomparable {
					return ""
				}
				return fmt.Sprintf("%s is tighter: %s. What was valid would be refused.", describe(is), finding)
			})
		}))
}

func validationComparable() *check.RuleSpec {
	return breaking("TIDINGS_VALIDATION_COMPARABLE",
		"Checks that rules of protovalidate are changed only where it can be told what they take.",
		onChange(func(c change) error {
			return c.compareValidation(func(is protoreflect.Descriptor, finding tightening.Finding) string {
				if !finding.Incomparable {
					return ""
				}
				return fmt.Sprintf("%s can't be compared: %s. What was valid may be refused.", describe(is), finding)
			})
		}))
}

// compareValidation compares all rules of protovalidate. A finding of which say has
// nothing to say isn't reported.
func (c change) compareValidation(say func(is protoreflect.Descriptor, finding tightening.Finding) string) error {
	rules, err := tightening.NewFields(c.was.all, c.is.all)
	if err != nil {
		return err
	}
	report := func(is, was protoreflect.Descriptor, findings []tightening.Finding) {
		for _, finding := range findings {
			if message := say(is, finding); message != "" {
				c.AddAnnotation(check.WithMessage(message), at(is, finding.Path), check.WithAgainstDescriptor(was))
			}
		}
	}
	for field := range pairs[protoreflect.FieldDescriptor](c.was.files, c.is.files) {
		findings, err := rules.Compare(field.was, field.is)
		if err != nil {
			return err
		}
		report(field.is, field.was, findings)
		if !field.is.IsExtension() {
			continue
		}
		if findings, err = tightening.Predefined(field.was, field.is); err != nil {
			return err
		}
		report(field.is, field.was, findings)
	}
	for message := range pairs[protoreflect.MessageDescriptor](c.was.files, c.is.files) {
		findings, err := rules.Message(message.was, message.is)
		if err != nil {
			return err
		}
		report(message.is, message.was, findings)
		oneofs := message.is.Oneofs() // One may be new in a message.
		for i := range oneofs.Len() {
			oneof := oneofs.Get(i)
			if findings, err = tightening.Oneof(message.was.Oneofs().ByName(oneof.Name()), oneof); err != nil {
				return err
			}
			report(oneof, message.was, findings)
		}
	}
	return nil
}

func addedFieldOptional() *check.RuleSpec {
	return breaking("TIDINGS_ADDED_FIELD_OPTIONAL",
		"Checks that a message stays valid without a field that is new in it.",
		onChange(func(c change) error {
			rules, err := tightening.NewFields(c.was.all, c.is.all)
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
