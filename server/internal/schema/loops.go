package schema

import (
	"fmt"
	"math"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	pvcel "buf.build/go/protovalidate/cel"
	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// protovalidate evaluates rules in CEL to their end, whatever that costs. A rule
// whose loops nest k deep takes n^k steps for a payload of n parts, and builds
// lists as long. So a payload has no more parts than give maxSteps for the rules
// of its type: any number where no loop is in another.

const (
	// maxSteps bounds the steps of the innermost loop for one payload: some
	// tenths of a second.
	maxSteps = 1_000_000
	// maxRuleLoops is how deep the loops of a rule nest at most.
	maxRuleLoops = 4
)

// partsRule is the rule id of a payload with more parts.
const partsRule = "tidings.loop_cost"

// Loops returns how deep the loops of an expression nest.
func Loops(e ast.Expr) int {
	deepest := 0
	var visit func(e ast.NavigableExpr, depth int)
	visit = func(e ast.NavigableExpr, depth int) {
		if e.Kind() != ast.ComprehensionKind {
			deepest = max(deepest, depth)
			for _, child := range e.Children() {
				visit(child, depth)
			}
			return
		}
		loop := e.AsComprehension()
		visit(ast.NavigateExpr(nil, loop.IterRange()), depth) // What one loop gives may go into another.
		visit(ast.NavigateExpr(nil, loop.LoopStep()), depth+1)
	}
	visit(ast.NavigateExpr(nil, e), 0)
	return deepest
}

// ruleLoops finds how deep the loops of rules nest. It is safe for concurrent
// use.
type ruleLoops struct {
	env *cel.Env
	// predefined is that of the rules which the schemas declare for others to
	// use. They count everywhere.
	predefined int
}

func newRuleLoops(files *protoregistry.Files) (*ruleLoops, error) {
	env, err := cel.NewEnv(cel.Lib(pvcel.NewLibrary()))
	if err != nil {
		return nil, err
	}
	l := &ruleLoops{env: env}
	files.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if !Describes(file.Package()) {
			l.predefined = max(l.predefined, l.declared(file))
		}
		return true
	})
	return l, nil
}

// extensions is what declares extensions.
type extensions interface {
	Extensions() protoreflect.ExtensionDescriptors
	Messages() protoreflect.MessageDescriptors
}

// declared is that of the predefined rules in a file or a message.
func (l *ruleLoops) declared(in extensions) (deepest int) {
	for i := range in.Extensions().Len() {
		rules, _ := proto.GetExtension(in.Extensions().Get(i).Options(), validate.E_Predefined).(*validate.PredefinedRules)
		deepest = max(deepest, l.of(rules.GetCel(), nil))
	}
	for i := range in.Messages().Len() {
		deepest = max(deepest, l.declared(in.Messages().Get(i)))
	}
	return deepest
}

// of is that of some rules. What can't be parsed is refused elsewhere.
func (l *ruleLoops) of(rules []*validate.Rule, expressions []string) (deepest int) {
	for _, rule := range rules {
		expressions = append(expressions, rule.GetExpression())
	}
	for _, expression := range expressions {
		if parsed, issues := l.env.Parse(expression); issues.Err() == nil {
			deepest = max(deepest, Loops(parsed.NativeRep().Expr()))
		}
	}
	return deepest
}

// ofField is that of the rules of a field and of what it holds.
func (l *ruleLoops) ofField(rules *validate.FieldRules) int {
	if rules == nil {
		return 0
	}
	deepest := l.of(rules.GetCel(), rules.GetCelExpression())
	for _, held := range []*validate.FieldRules{rules.GetRepeated().GetItems(), rules.GetMap().GetKeys(), rules.GetMap().GetValues()} {
		deepest = max(deepest, l.ofField(held))
	}
	return deepest
}

// ofMessage is that of the rules of a message and of its fields.
func (l *ruleLoops) ofMessage(message protoreflect.MessageDescriptor) int {
	rules, _ := proto.GetExtension(message.Options(), validate.E_Message).(*validate.MessageRules)
	deepest := l.of(rules.GetCel(), rules.GetCelExpression())
	fields := message.Fields()
	for i := range fields.Len() {
		rules, _ := proto.GetExtension(fields.Get(i).Options(), validate.E_Field).(*validate.FieldRules)
		deepest = max(deepest, l.ofField(rules))
	}
	return deepest
}

// ofPayload is that of all rules that apply to a message, at any depth.
func (l *ruleLoops) ofPayload(message protoreflect.MessageDescriptor) int {
	deepest := l.predefined
	seen := map[protoreflect.MessageDescriptor]bool{message: true}
	for queue := []protoreflect.MessageDescriptor{message}; len(queue) > 0; queue = queue[1:] {
		deepest = max(deepest, l.ofMessage(queue[0]))
		fields := queue[0].Fields()
		for i := range fields.Len() {
			if held := heldMessage(fields.Get(i)); held != nil && !seen[held] {
				seen[held] = true
				queue = append(queue, held)
			}
		}
	}
	return deepest
}

// errTooManyLoops is why schemas are refused.
var errTooManyLoops = fmt.Errorf("loops of a CEL expression nest more than %d deep", maxRuleLoops)

// partsFor is how many parts a payload may have for rules whose loops nest so
// deep.
func partsFor(loops int) int {
	if loops < 2 {
		return math.MaxInt
	}
	return int(math.Pow(maxSteps, 1/float64(loops)) + 1e-6)
}

// checkParts returns an *InvalidError where a payload of a size has more parts
// than the rules of its type are applied to. Every part takes at least a byte.
func checkParts(message protoreflect.Message, size, loops int) error {
	most := partsFor(loops)
	if size <= most || partsOf(message) <= most {
		return nil
	}
	rule := partsRule
	text := fmt.Sprintf("has more than %d fields and elements of lists and maps, the most that rules with loops in loops are applied to", most)
	return newRefused(&validate.Violation{Field: new(validate.FieldPath), RuleId: &rule, Message: &text})
}

// partsOf counts what loops can meet in a message: fields and elements, at any
// depth. What an Any holds counts by its bytes.
func partsOf(message protoreflect.Message) (parts int) {
	isAny := message.Descriptor().FullName() == anyName
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case isAny && field.Kind() == protoreflect.BytesKind:
			parts += len(value.Bytes())
		case field.IsList():
			list := value.List()
			parts += list.Len()
			for i := 0; field.Message() != nil && i < list.Len(); i++ {
				parts += partsOf(list.Get(i).Message())
			}
		case field.IsMap():
			parts += value.Map().Len()
			if field.MapValue().Message() != nil {
				value.Map().Range(func(_ protoreflect.MapKey, value protoreflect.Value) bool {
					parts += partsOf(value.Message())
					return true
				})
			}
		case field.Message() != nil:
			parts += 1 + partsOf(value.Message())
		default:
			parts++
		}
		return true
	})
	return parts
}
