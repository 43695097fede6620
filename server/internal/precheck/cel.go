package precheck

import (
	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
)

// expr is an expression. It is false where its value isn't certain.
type expr[T any] func(r *run) (value T, ok bool)

func (*compiler) messageRules(m *message, _ *validate.MessageRules) { m.doubtful = true }

func (*compiler) fieldRules(m *message) { m.doubtful = true }

func (*compiler) elementRules(f *field, rules *validate.FieldRules) {
	if celOf(rules) {
		f.doubt()
	}
}
