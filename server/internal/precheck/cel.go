package precheck

import (
	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	pvcel "buf.build/go/protovalidate/cel"
	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// Rules in CEL are made functions over frames, from the expressions that CEL has
// checked. What isn't known here, and whatever CEL makes an error, is in doubt: an
// expression that is sure has the value that CEL gives it.

// expr is an expression. It is false where its value isn't sure.
type expr[T any] func(r *run) (value T, ok bool)

// maxVars is how many loops nest at most.
const maxVars = 3

// celRules compiles the rules of one element of a schema.
type celRules struct {
	compiler *compiler
	this     place
	// Of the rule that is being compiled.
	checked *ast.AST
	vars    []variable
}

// variable is that of a loop.
type variable struct {
	name string
	of   place
}

func expressionsOf(rules []*validate.Rule, expressions []string) []string {
	for _, rule := range rules {
		expressions = append(expressions, rule.GetExpression())
	}
	return expressions
}

// messageRules adds the rules that a message has in CEL.
func (c *compiler) messageRules(m *message, rules *validate.MessageRules) {
	of := &celRules{compiler: c, this: place{message: m, get: func(r *run) (slot, bool) { return r.this, true }}}
	all, ok := of.all(m.descriptor, cel.ObjectType(string(m.descriptor.FullName())), expressionsOf(rules.GetCel(), rules.GetCelExpression()))
	m.rules = append(m.rules, all...)
	m.doubtful = m.doubtful || !ok
}

// fieldRules adds the rules that a field has in CEL. They are applied when the whole
// message has been read, and not to a field that may be absent and is.
func (c *compiler) fieldRules(m *message, d protoreflect.FieldDescriptor, rules *validate.FieldRules, mayBeAbsent bool) {
	f := m.find(uint32(d.Number()))
	if f.form == formNone || !d.IsMap() && d.Message() != nil && isWrapper(d.Message()) {
		m.doubtful = true
		return
	}
	this := place{message: m, get: func(r *run) (slot, bool) { return r.this, true }}.field(d)
	of := &celRules{compiler: c, this: this}
	all, ok := of.all(d.Message(), pvcel.ProtoFieldToType(d, false, false), expressionsOf(rules.GetCel(), rules.GetCelExpression()))
	m.doubtful = m.doubtful || !ok
	for _, rule := range all {
		m.rules = append(m.rules, func(r *run) (bool, bool) {
			if s, ok := this.get(r); mayBeAbsent && ok && !s.set {
				return true, true
			}
			return rule(r)
		})
	}
}

// elementRules adds the rules that the elements of a field have in CEL.
func (c *compiler) elementRules(f *field, d protoreflect.FieldDescriptor, rules *validate.FieldRules) {
	if !celOf(rules) {
		return
	}
	this := place{descriptor: d, element: true, get: func(r *run) (slot, bool) { return r.this, true }}
	of := &celRules{compiler: c, this: this}
	all, ok := of.all(nil, pvcel.ProtoFieldToType(d, false, true), expressionsOf(rules.GetCel(), rules.GetCelExpression()))
	if !ok || rules.GetIgnore() == validate.Ignore_IGNORE_IF_ZERO_VALUE {
		f.doubt()
		return
	}
	f.rules = all
}

// apply checks a value against the rules in CEL of its field.
func (r *run) apply(rules []expr[bool], this slot) bool {
	for _, rule := range rules {
		r.this = this
		if value, ok := rule(r); !ok || !value {
			return false
		}
	}
	return true
}

// all compiles expressions over a message, or nil, that is called this. It is false
// where one can never be sure.
func (c *celRules) all(message protoreflect.MessageDescriptor, this *cel.Type, expressions []string) ([]expr[bool], bool) {
	if c.compiler.rules == nil {
		return nil, false
	}
	c.compiler.looped = true
	options := []cel.EnvOption{cel.Variable("this", this)}
	if message != nil {
		options = append(options, cel.Types(dynamicpb.NewMessage(message)))
	}
	env, err := c.compiler.rules.Extend(options...)
	if err != nil {
		return nil, false
	}
	var all []expr[bool]
	for _, expression := range expressions {
		compiled, issues := env.Compile(expression)
		if issues.Err() != nil {
			return nil, false
		}
		c.checked = compiled.NativeRep()
		rule, ok := c.rule(c.checked.Expr())
		if !ok {
			return nil, false
		}
		all = append(all, rule)
	}
	return all, true
}

// rule compiles a whole rule: it holds where it is true, or no text.
func (c *celRules) rule(e ast.Expr) (expr[bool], bool) {
	if c.checked.GetType(e.ID()).IsExactType(cel.BoolType) {
		made := c.compile(e)
		return made.bool, made.bool != nil
	}
	if e.Kind() == ast.CallKind && e.AsCall().FunctionName() == conditional {
		args := e.AsCall().Args()
		when := c.compile(args[0]).bool
		if when == nil {
			return nil, false
		}
		return choose(when, c.noText(args[1]), c.noText(args[2])), true
	}
	made := c.compile(e)
	return c.noText(e), made.text != nil
}

// noText is whether a text is empty. One that isn't known is in doubt.
func (c *celRules) noText(e ast.Expr) expr[bool] {
	if e.Kind() == ast.CallKind && e.AsCall().FunctionName() == conditional {
		if rule, ok := c.rule(e); ok {
			return rule
		}
	}
	text := c.compile(e).text
	if text == nil {
		return unsure
	}
	return func(r *run) (bool, bool) {
		value, ok := text(r)
		return len(value) == 0, ok
	}
}

func unsure(*run) (value, ok bool) { return false, false }
