package tightening

import (
	"slices"

	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/parser"
)

// conditions are what expressions demand together. Each is a list of alternatives,
// of which one has to hold, written in the one way that a parser writes it.
type conditions [][]string

// readConditions takes expressions apart at && and at ||. What doesn't parse counts
// as it stands.
func readConditions(expressions ...string) conditions {
	var all conditions
	for _, expression := range expressions {
		all = append(all, readCondition(expression)...)
	}
	return all
}

func readCondition(expression string) conditions {
	p, err := parser.NewParser() // Without macros, so that all is written back as it was.
	if err != nil {
		return conditions{{expression}}
	}
	tree, problems := p.Parse(common.NewTextSource(expression))
	if len(problems.GetErrors()) > 0 {
		return conditions{{expression}}
	}
	var all conditions
	for _, part := range operands(tree.Expr(), operators.LogicalAnd) {
		var alternatives []string
		for _, alternative := range operands(part, operators.LogicalOr) {
			text, err := parser.Unparse(alternative, tree.SourceInfo())
			if err != nil {
				return conditions{{expression}}
			}
			alternatives = append(alternatives, text)
		}
		all = append(all, alternatives)
	}
	return all
}

// operands returns what an operator joins, however deep, or the expression itself.
func operands(expression ast.Expr, operator string) []ast.Expr {
	if expression.Kind() != ast.CallKind || expression.AsCall().FunctionName() != operator {
		return []ast.Expr{expression}
	}
	var list []ast.Expr
	for _, operand := range expression.AsCall().Args() {
		list = append(list, operands(operand, operator)...)
	}
	return list
}

// imply reports whether an expression holds wherever the conditions do: each of its
// own allows at least the alternatives of one of them.
func (c conditions) imply(expression string) bool {
	return !slices.ContainsFunc(readCondition(expression), func(demanded []string) bool {
		return !slices.ContainsFunc(c, func(held []string) bool { return subset(held, demanded) })
	})
}
