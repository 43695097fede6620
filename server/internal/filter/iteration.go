package filter

import (
	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/interpreter"
)

// iteration is what a loop does with each element.
//
// CEL's cost tracker keeps the results of steps until the step that they go
// into. It keeps those of iterations until the end of their loop, and looks
// through all that it keeps at nearly every step, so that a loop takes the
// square of its length. An iteration shows itself to the tracker as a call
// whose argument is the one before, which makes it forget that.
type iteration struct {
	interpreter.InterpretableV2

	args     []interpreter.InterpretableV2
	overload string
}

var _ interpreter.InterpretableCall = iteration{}

// iterationFunction is the name of that call, which costs nothing by itself.
const iterationFunction = "@iteration"

// Function implements interpreter.InterpretableCall.
func (iteration) Function() string { return iterationFunction }

// OverloadID implements interpreter.InterpretableCall.
func (i iteration) OverloadID() string { return i.overload }

// Args implements interpreter.InterpretableCall.
func (i iteration) Args() []interpreter.InterpretableV2 { return i.args }

// markIterations makes iterations of those of an expression.
func markIterations(checked *ast.AST) cel.ProgramOption {
	steps := make(map[int64]bool)
	ast.PostOrderVisit(checked.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() == ast.ComprehensionKind {
			steps[e.AsComprehension().LoopStep().ID()] = true
		}
	}))
	return cel.CustomDecoratorV2(func(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
		if steps[i.ID()] {
			// The iterations of a loop have one id.
			x := iteration{i, []interpreter.InterpretableV2{i}, iterationFunction}
			if call, ok := i.(interpreter.InterpretableCall); ok { // map adds to a list.
				x.args, x.overload = append(x.args, call.Args()...), call.OverloadID()
			}
			return x, nil
		}
		return i, nil
	})
}
