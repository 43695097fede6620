package filter

import (
	"cel.dev/cel-go/checker"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

// maxCost is what an evaluation may cost, in CEL's units: one for a step, one
// for ten characters that are looked at.
const maxCost = 1_000_000

// costs are those of the steps that CEL itself takes for cheaper than they are.
type costs struct {
	// patterns are the sizes of the regular expressions, in instructions.
	patterns map[string]int
}

// costsOf returns the costs of an expression's steps.
func costsOf(checked *ast.AST) costs {
	c := costs{patterns: make(map[string]int)}
	ast.PostOrderVisit(checked.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if pattern, ok := patternOf(e); ok {
			c.patterns[pattern], _ = instructions(pattern)
		}
	}))
	return c
}

var _ interpreter.ActualCostEstimator = costs{}

// sizer counts the parts of a value, ten characters as one, and says 2^32-1
// where there are more than may be paid for.
var sizer = types.NewSizeCalculator(
	types.SizeCalculatorMaxDepth(1000),
	types.SizeCalculatorMaxTraversal(maxCost),
)

// CallCost implements interpreter.ActualCostEstimator. nil leaves it to CEL.
func (c costs) CallCost(_, overload string, args []ref.Val, _ ref.Val) *uint64 {
	switch overload {
	case overloads.Equals, overloads.NotEquals:
		if isScalar(args[0]) || isScalar(args[1]) {
			return nil
		}
		return new(1 + uint64(min(sizer.AggregateSize(args[0]), sizer.AggregateSize(args[1]))))
	case overloads.InList:
		if isScalar(args[0]) {
			return nil
		}
		return new(1 + uint64(sizer.AggregateSize(args[1])))
	case overloads.SizeString, overloads.SizeStringInst: // Characters are counted.
		return new(1 + uint64(sizer.AggregateSize(args[0])))
	case overloads.MatchesString: // CEL goes by the length of the pattern, however much it repeats.
		pattern, _ := args[1].Value().(string)
		return new(1 + uint64(sizer.AggregateSize(args[0]))*uint64(c.patterns[pattern])/4)
	case iterationFunction:
		return new(uint64(0))
	default:
		return nil
	}
}

// isScalar reports whether a value has no parts.
func isScalar(value ref.Val) bool {
	switch value.(type) {
	case types.Bool, types.Bytes, types.Double, types.Duration, types.Int, types.Null, types.String, types.Timestamp, types.Uint, *types.Type:
		return true
	default:
		return false
	}
}

// sizes is what is known before an event comes of how large its parts are:
// nothing.
type sizes struct{}

var _ checker.CostEstimator = sizes{}

// EstimateSize implements checker.CostEstimator.
func (sizes) EstimateSize(checker.AstNode) *checker.SizeEstimate { return nil }

// EstimateCallCost implements checker.CostEstimator.
func (sizes) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate { //nolint:gocritic // The interface has it so.
	return nil
}
