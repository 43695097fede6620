package filter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
	"google.golang.org/protobuf/proto"

	"example.com/tidings/server/internal/schema"
)

// maxTime ends a loop whose steps take longer than their costs say.
const maxTime = time.Second

// errLate is why a loop was ended.
var errLate = errors.New("took too long")

// program evaluates an expression for the events of one type, or for those of
// all types where it doesn't use the payload. It is safe for concurrent use.
type program struct {
	payload  *schema.Type // nil: the expression doesn't use it.
	loops    bool
	patience time.Duration // maxTime, except in tests.
	// plan makes what is evaluated, once there is an event: it takes a while.
	plan func() (cel.Program, error)
}

func newProgram(env *cel.Env, checked *cel.Ast, payload *schema.Type) *program {
	return &program{
		payload:  payload,
		loops:    schema.Loops(checked.NativeRep().Expr()) > 0,
		patience: maxTime,
		plan: sync.OnceValues(func() (cel.Program, error) {
			return env.Program(checked,
				cel.EvalOptions(cel.OptOptimize, cel.OptTrackCost),
				cel.CostLimit(maxCost),
				cel.CostTracking(costsOf(checked.NativeRep())),
				markIterations(checked.NativeRep()),
				cel.InterruptCheckFrequency(1),
			)
		}),
	}
}

// plans reports whether the program can be planned: that takes steps whose operands
// are literals.
func (p *program) plans() error {
	if _, err := p.plan(); err != nil {
		return &Error{Field: "cel", Description: err.Error()}
	}
	return nil
}

// verdict is what came of an evaluation.
type verdict struct {
	holds   bool
	failure error // Why it can't be said whether the event meets the expression: then it doesn't.
	cost    int64 // At most maxCost.
}

// evaluate reports whether an event meets the expression. The error is that of
// bytes that are no event.
func (p *program) evaluate(ctx context.Context, e *event) (verdict, error) {
	var v verdict
	planned, failure := p.plan()
	vars := &variables{payload: p.payload, encoded: e}
	var value ref.Val
	if failure == nil {
		value, v.cost, failure = p.run(ctx, planned, vars)
	}
	if v.failure = failure; v.failure == nil {
		var ok bool
		if v.holds, ok = value.Value().(bool); !ok {
			v.failure = fmt.Errorf("the result is a %s", value.Type().TypeName())
		}
	}
	return v, vars.err
}

func (p *program) run(ctx context.Context, planned cel.Program, v *variables) (value ref.Val, cost int64, err error) {
	var details *cel.EvalDetails
	if !p.loops { // Its time is bounded by its length.
		value, details, err = planned.Eval(v)
		return value, costOf(details), err
	}
	ctx, cancel := context.WithTimeout(ctx, p.patience)
	defer cancel()
	value, details, err = planned.ContextEval(ctx, v)
	if ctx.Err() != nil { // Even if there is a value: || may have taken the end of a loop for a failure.
		return nil, maxCost, errLate
	}
	return value, costOf(details), err
}

// costOf is what an evaluation cost; where nothing says it, it was ended because
// it cost too much.
func costOf(details *cel.EvalDetails) int64 {
	if cost := details.ActualCost(); cost != nil {
		return int64(min(*cost, maxCost))
	}
	return maxCost
}

// variables are those of one evaluation. They are decoded when they are first
// used.
type variables struct {
	payload *schema.Type
	encoded *event

	event any
	data  any
	err   error // Why the event's bytes are none.
}

var _ interpreter.Activation = (*variables)(nil)

// Parent implements interpreter.Activation.
func (*variables) Parent() interpreter.Activation { return nil }

// ResolveName implements interpreter.Activation.
func (v *variables) ResolveName(name string) (any, bool) {
	switch name {
	case eventVariable:
		if v.event == nil {
			v.event, v.err = orError(v.encoded.message())
		}
		return v.event, true
	case dataVariable:
		if v.data == nil { // Where it can't be decoded, the schema has changed since it was stored.
			v.data, _ = orError(v.payload.Parse(v.encoded.Payload))
		}
		return v.data, true
	default:
		return nil, false
	}
}

// orError is a variable's value, or the error that it stands for in CEL.
func orError[M proto.Message](message M, err error) (any, error) {
	if err != nil {
		return types.WrapErr(err), err
	}
	return message, nil
}
