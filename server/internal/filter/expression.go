package filter

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"

	"example.com/tidings/server/internal/schema"
)

const (
	// boundedCost is what the worst estimate stays below where it rests on known
	// sizes alone.
	boundedCost = 1 << 50
	// maxMistakes is how many mistakes of an expression are told.
	maxMistakes = 3
)

// failures are those that Failures counts.
var failures atomic.Int64

// Failures is how often an expression of any matcher has failed on an event,
// which then didn't match.
func Failures() int64 { return failures.Load() }

// expression is a compiled condition in CEL. It is safe for concurrent use.
type expression struct {
	source      string
	environment *environment
	pace        *pace
	// untyped serves every event of an expression that doesn't use the payload.
	// nil for others.
	untyped *program

	mu    sync.RWMutex
	typed map[string]*program // By type. nil: it doesn't suit the type.
}

// compileExpression checks an expression for some types and compiles it.
func compileExpression(source string, set *schema.Set, names []string) (*expression, error) {
	environment, err := environmentOf(set)
	if err != nil {
		return nil, err
	}
	parsed, issues := environment.untyped.Parse(source)
	if issues.Err() != nil {
		return nil, &Error{Field: "cel", Description: mistakes(issues)}
	}
	broken := cel.NewIssuesWithSourceInfo(common.NewErrors(parsed.Source()), parsed.NativeRep().SourceInfo())
	checkParsed(parsed.NativeRep(), func(id int64, wrong string) { broken.ReportErrorAtID(id, "%s", wrong) })
	if broken.Err() != nil {
		return nil, &Error{Field: "cel", Description: mistakes(broken)}
	}
	x := &expression{source: source, environment: environment, pace: newPace(), typed: make(map[string]*program)}
	if !uses(parsed.NativeRep().Expr(), dataVariable) {
		if x.untyped, err = x.compile(nil); err != nil {
			return nil, err
		}
		return x, x.untyped.plans()
	}
	for _, name := range names {
		t, err := set.Type(name)
		if err != nil {
			continue // A topic may hold events of types that are unknown by now.
		}
		p, err := x.compile(t)
		if err != nil {
			return nil, err
		}
		if len(x.typed) == 0 { // What it finds is the same for all types.
			if err := p.plans(); err != nil {
				return nil, err
			}
		}
		x.typed[name] = p
	}
	if len(x.typed) == 0 {
		return nil, &Error{Field: "cel", Description: "data is not available, since nothing says what types the events have: name them in event_types"}
	}
	return x, nil
}

// uses reports whether an expression names a variable.
func uses(e ast.Expr, variable string) bool {
	found := false
	ast.PostOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		found = found || e.Kind() == ast.IdentKind && strings.TrimPrefix(e.AsIdent(), ".") == variable
	}))
	return found
}

// compile makes the program for the payloads of a type or, where that is nil,
// for an expression that doesn't use the payload.
func (x *expression) compile(t *schema.Type) (*program, error) {
	env, name := x.environment.untyped, ""
	if t != nil {
		var err error
		if env, err = x.environment.of(t); err != nil {
			return nil, err
		}
		name = t.Name
	}
	refuse := func(description string) error {
		if name != "" {
			description = fmt.Sprintf("for %s: %s", name, description)
		}
		return &Error{Field: "cel", Description: description, Type: name}
	}
	checked, issues := env.Compile(x.source)
	if issues.Err() != nil {
		return nil, refuse(mistakes(issues))
	}
	if result := checked.OutputType(); result.Kind() != types.BoolKind {
		return nil, refuse(fmt.Sprintf("must be a bool, not %s", cel.FormatCELType(result)))
	}
	estimate, err := env.EstimateCost(checked, sizes{})
	if err != nil {
		return nil, err
	}
	if estimate.Min > maxCost || estimate.Max > maxCost && estimate.Max < boundedCost {
		return nil, refuse(fmt.Sprintf("may cost %d, at most %d is allowed", estimate.Max, maxCost))
	}
	return newProgram(env, checked, t), nil
}

// mistakes are what CEL found, each with its line and column.
func mistakes(issues *cel.Issues) string {
	var list []string
	for _, issue := range issues.Errors() {
		if len(list) == maxMistakes {
			break
		}
		text := issue.Message
		if line := issue.Location.Line(); line > 0 {
			text = fmt.Sprintf("%d:%d: %s", line, issue.Location.Column()+1, text)
		}
		list = append(list, text)
	}
	return strings.Join(list, "; ")
}

// programFor returns the program for a type, or nil where the expression
// doesn't suit it.
func (x *expression) programFor(name string) *program {
	if x.untyped != nil {
		return x.untyped
	}
	x.mu.RLock()
	p, ok := x.typed[name]
	x.mu.RUnlock()
	if ok {
		return p
	}
	t, err := x.environment.set.Type(name)
	if err != nil {
		return nil // Not remembered: there is no bound on names that aren't types.
	}
	p, err = x.compile(t)
	if err != nil {
		p = nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.typed[t.Name] = p
	return p
}

// holds reports whether an event meets the expression. It returns an error only
// where the event's bytes are none, and that of the context.
func (x *expression) holds(ctx context.Context, e *event) (bool, error) {
	p := x.programFor(e.TypeName())
	if p == nil {
		return false, nil
	}
	held, err := x.pace.begin(ctx)
	if err != nil {
		return false, err
	}
	cost := int64(maxCost)
	defer func() { x.pace.end(held, cost) }() // Whatever comes.
	v, err := p.evaluate(ctx, e)
	cost = v.cost
	if ctx.Err() != nil { // What an evaluation says that was ended doesn't count.
		return false, ctx.Err()
	}
	if err != nil {
		return false, err
	}
	if v.failure != nil {
		failures.Add(1)
	}
	return v.holds, nil
}
