package filter

import (
	"fmt"
	"regexp/syntax"
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/parser"

	"example.com/tidings/server/internal/schema"
)

const (
	// maxLoops is how deep `all`, `exists`, `map` and their like nest.
	maxLoops = 4
	// maxPattern is the size of a regular expression in instructions.
	maxPattern = 256
	// maxJSON is how often an expression takes JSON out of a message, for which
	// CEL copies all of it each time.
	maxJSON = 16
)

// The rules are what an expression has to keep to beyond being right. CEL
// charges for a step when it is done, and as if values didn't share their
// parts: the rules keep every step as small as what it works on, the event and
// the expression. What has no place in a filter is left out too, and what
// depends on the machine, like time zones.

var (
	// times are the functions that take apart a time or a duration.
	times = []string{
		"getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getFullYear", "getHours", "getMilliseconds",
		"getMinutes", "getMonth", "getSeconds",
	}
	// additions are the functions that aren't CEL's own.
	additions = []string{"charAt", "lowerAscii", "split", "substring", "trim", "upperAscii"}
	// functions are all that an expression may call.
	functions = slices.Concat(times, additions, []string{
		operators.Conditional, operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot,
		operators.Equals, operators.NotEquals, operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals,
		operators.Add, operators.Subtract, operators.Multiply, operators.Divide, operators.Modulo, operators.Negate,
		operators.Index, operators.In, operators.NotStrictlyFalse,
		"bool", "bytes", "double", "duration", "int", "string", "timestamp", "type", "uint",
		"contains", "endsWith", "matches", "size", "startsWith",
	})
)

// checkParsed reports which rules an expression breaks whatever the types in it
// are.
func checkParsed(parsed *ast.AST, report func(id int64, wrong string)) {
	if schema.Loops(parsed.Expr()) > maxLoops {
		report(parsed.Expr().ID(), fmt.Sprintf("all, exists, exists_one, filter and map nest deeper than %d", maxLoops))
	}
	ast.PostOrderVisit(parsed.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.StructKind:
			report(e.ID(), "messages can't be made in a filter")
		case ast.CallKind:
			name, args := e.AsCall().FunctionName(), e.AsCall().Args()
			switch {
			case !slices.Contains(functions, name):
				report(e.ID(), fmt.Sprintf("there is no function %s in a filter", name))
			case slices.Contains(times, name) && len(args) > 0:
				report(e.ID(), fmt.Sprintf("%s takes no time zone in a filter: its result is in UTC", name))
			case name == overloads.Matches:
				if wrong := checkPattern(e); wrong != "" {
					report(e.ID(), wrong)
				}
			}
		default:
		}
	}))
}

// checkPattern says what is wrong with a call of matches, or nothing.
func checkPattern(call ast.Expr) string {
	pattern, ok := patternOf(call)
	if !ok {
		return "the pattern of matches has to be a literal in a filter"
	}
	size, err := instructions(pattern)
	switch {
	case err != nil:
		return err.Error()
	case size > maxPattern:
		return fmt.Sprintf("the pattern has %d instructions, at most %d are allowed in a filter", size, maxPattern)
	default:
		return ""
	}
}

// patternOf returns the literal pattern of a call of matches.
func patternOf(e ast.Expr) (pattern string, ok bool) {
	if e.Kind() != ast.CallKind || e.AsCall().FunctionName() != overloads.Matches || len(e.AsCall().Args()) == 0 {
		return "", false
	}
	args := e.AsCall().Args()
	last := args[len(args)-1]
	if last.Kind() != ast.LiteralKind {
		return "", false
	}
	pattern, ok = last.AsLiteral().Value().(string)
	return pattern, ok
}

// instructions is the size of a regular expression. CEL's own count of them
// doesn't expect repetitions, and panics.
func instructions(pattern string) (int, error) {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0, err
	}
	compiled, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return 0, err
	}
	return len(compiled.Inst), nil
}

// typeRules are those that depend on the types in an expression.
type typeRules struct{}

var _ cel.ASTValidator = typeRules{}

// Name implements cel.ASTValidator.
func (typeRules) Name() string { return "tidings.filter" }

// Validate implements cel.ASTValidator.
func (typeRules) Validate(_ *cel.Env, _ cel.ValidatorConfig, checked *ast.AST, issues *cel.Issues) {
	json := 0
	ast.PostOrderVisit(checked.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if wrong := checkTyped(checked, e); wrong != "" {
			issues.ReportErrorAtID(e.ID(), "%s", wrong)
		}
		if takesJSON(checked, e) {
			json++
			if json == maxJSON+1 {
				issues.ReportErrorAtID(e.ID(), "a google.protobuf.Struct, Value or ListValue is used more than %d times", maxJSON)
			}
		}
	}))
}

// takesJSON reports whether a step takes JSON, a google.protobuf.Struct, Value or
// ListValue, out of a message or out of a field with several. Steps within JSON
// have types like it, but copy nothing.
func takesJSON(checked *ast.AST, e ast.Expr) bool {
	isField := func(e ast.Expr) bool {
		return e.Kind() == ast.SelectKind && !e.AsSelect().IsTestOnly() && checked.GetType(e.AsSelect().Operand().ID()).Kind() == types.StructKind
	}
	isElement := e.Kind() == ast.CallKind && e.AsCall().FunctionName() == operators.Index && isField(e.AsCall().Args()[0])
	if !isField(e) && !isElement {
		return false
	}
	t := checked.GetType(e.ID())
	return t.Kind() == types.DynKind ||
		isAggregate(t) && t.Parameters()[len(t.Parameters())-1].Kind() == types.DynKind
}

// checkTyped says which rule one step of an expression breaks, or nothing.
func checkTyped(checked *ast.AST, e ast.Expr) string {
	typeOf := func(e ast.Expr) *types.Type { return checked.GetType(e.ID()) }
	switch {
	case e.Kind() == ast.SelectKind && e.AsSelect().FieldName() == "data" && typeOf(e.AsSelect().Operand()).TypeName() == eventType:
		return "the payload is the variable data"
	case holdsAny(typeOf(e)):
		return "a google.protobuf.Any can't be looked into by a filter"
	}
	switch e.Kind() {
	case ast.ListKind:
		for _, element := range e.AsList().Elements() {
			if isAggregate(typeOf(element)) {
				return "lists and maps can't be put into a list in a filter"
			}
		}
	case ast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			if isAggregate(typeOf(entry.AsMapEntry().Key())) || isAggregate(typeOf(entry.AsMapEntry().Value())) {
				return "lists and maps can't be put into a map in a filter"
			}
		}
	case ast.CallKind:
		args, result := e.AsCall().Args(), typeOf(e).Kind()
		switch e.AsCall().FunctionName() {
		case operators.Add:
			if (result == types.ListKind || result == types.DynKind) && !accumulates(args[0]) {
				return "lists, and values that may be lists, can't be added in a filter"
			}
		case operators.Conditional:
			if result == types.DynKind && (isAggregate(typeOf(args[1])) || isAggregate(typeOf(args[2]))) {
				return "a list or a map can't be chosen together with something else in a filter"
			}
		}
	default:
	}
	return ""
}

// accumulates reports whether this is what filter and map collect in, which has a
// name that no expression can use.
func accumulates(e ast.Expr) bool {
	return e.Kind() == ast.IdentKind && e.AsIdent() == parser.HiddenAccumulatorName
}

func isAggregate(t *types.Type) bool {
	return t.Kind() == types.ListKind || t.Kind() == types.MapKind
}

// holdsAny reports whether a value is a google.protobuf.Any, or a list or map of
// them. What one holds isn't known before the event comes.
func holdsAny(t *types.Type) bool {
	return t.Kind() == types.AnyKind || isAggregate(t) && slices.ContainsFunc(t.Parameters(), holdsAny)
}
