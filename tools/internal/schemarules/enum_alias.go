package schemarules

import (
	"buf.build/go/bufplugin/check"
	"google.golang.org/protobuf/reflect/protoreflect"
)

func enumValueSameJSONName() *check.RuleSpec {
	return breaking("TIDINGS_ENUM_VALUE_SAME_JSON_NAME",
		"Checks that a number with several names in an enum is shown by the one that it was shown by.",
		onChange(func(c change) error {
			for enum := range pairs[protoreflect.EnumDescriptor](c.was.files, c.is.files) {
				values := enum.was.Values()
				for i := range values.Len() {
					was := values.Get(i)
					if values.ByNumber(was.Number()) != was {
						continue // Another name is shown.
					}
					is := enum.is.Values().ByNumber(was.Number())
					kept := enum.is.Values().ByName(was.Name())
					// A name that is gone, or has another number, is a matter of Buf's own rules.
					if is == nil || is.Name() == was.Name() || kept == nil || kept.Number() != was.Number() {
						continue
					}
					c.AddAnnotation(
						check.WithMessagef("%s was the first name of the number %d, and now %q is. JSON shows the first name, "+
							"so stored events would be shown otherwise than before.", describe(kept), was.Number(), is.Name()),
						check.WithDescriptor(is), check.WithAgainstDescriptor(was))
				}
			}
			return nil
		}))
}
