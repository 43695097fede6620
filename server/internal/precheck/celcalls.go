package precheck

import (
	"bytes"
	"regexp"
	"time"
	"unicode/utf8"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
)

// call compiles an operator or a function.
func (c *celRules) call(e ast.CallExpr) typed {
	args := e.Args()
	if e.IsMemberFunction() {
		args = append([]ast.Expr{e.Target()}, args...)
	}
	switch e.FunctionName() {
	case operators.In, operators.OldIn:
		return typed{bool: c.member(args[0], args[1])}
	case operators.LogicalAnd, operators.LogicalOr:
		return typed{bool: c.logic(e.FunctionName(), args)}
	case overloads.TypeConvertDuration, overloads.TypeConvertTimestamp:
		return timeLiteral(e.FunctionName(), args[0])
	case overloads.Matches:
		return c.matches(args)
	case operators.Index:
		return c.indexed(args[0], args[1])
	default:
	}
	made := make([]typed, len(args))
	for i, arg := range args {
		made[i] = c.compile(arg)
	}
	switch len(made) {
	case 1:
		return withOne(e.FunctionName(), made[0])
	case 2:
		return withTwo(e.FunctionName(), made[0], made[1])
	case 3:
		if e.FunctionName() == conditional && made[0].bool != nil {
			return conditionalOf(made[0].bool, made[1], made[2])
		}
	default:
	}
	return typed{}
}

// logic is that of && and ||. Both sides have to be known.
func (c *celRules) logic(operator string, args []ast.Expr) expr[bool] {
	all := make([]expr[bool], len(args))
	for i, arg := range args {
		if all[i] = c.compile(arg).bool; all[i] == nil {
			all[i] = unsure // The other side may decide.
		}
	}
	decisive := operator == operators.LogicalOr
	return func(r *run) (bool, bool) {
		for _, one := range all {
			if value, ok := one(r); !ok || value == decisive {
				return value, ok
			}
		}
		return !decisive, true
	}
}

func conditionalOf(when expr[bool], then, otherwise typed) typed {
	switch {
	case then.bool != nil && otherwise.bool != nil:
		return typed{bool: choose(when, then.bool, otherwise.bool)}
	case then.int != nil && otherwise.int != nil:
		return typed{int: choose(when, then.int, otherwise.int)}
	case then.uint != nil && otherwise.uint != nil:
		return typed{uint: choose(when, then.uint, otherwise.uint)}
	case then.double != nil && otherwise.double != nil:
		return typed{double: choose(when, then.double, otherwise.double)}
	case then.text != nil && otherwise.text != nil:
		return typed{text: choose(when, then.text, otherwise.text)}
	case then.time != nil && otherwise.time != nil:
		return typed{time: choose(when, then.time, otherwise.time)}
	case then.duration != nil && otherwise.duration != nil:
		return typed{duration: choose(when, then.duration, otherwise.duration)}
	default:
		return typed{}
	}
}

// withOne compiles what has one operand.
func withOne(function string, of typed) typed {
	switch {
	case function == operators.LogicalNot && of.bool != nil:
		return typed{bool: func(r *run) (bool, bool) {
			value, ok := of.bool(r)
			return !value, ok
		}}
	case function == operators.Negate && of.int != nil:
		return typed{int: func(r *run) (int64, bool) {
			value, ok := of.int(r)
			return -value, ok && value != -value || value == 0 && ok // Not of the least number.
		}}
	case function == operators.Negate && of.double != nil:
		return typed{double: func(r *run) (float64, bool) {
			value, ok := of.double(r)
			return -value, ok
		}}
	case function == overloads.Size:
		return typed{int: size(of)}
	case of.text != nil && formatFunctions[function] != "":
		holds := formats[formatFunctions[function]]
		return typed{bool: func(r *run) (bool, bool) { // What isn't told with ease is in doubt.
			text, ok := of.text(r)
			return true, ok && holds(text, false)
		}}
	default:
		return typed{}
	}
}

// formatFunctions are the functions of protovalidate for well-known formats.
var formatFunctions = map[string]string{
	"isEmail": "email", "isHostname": "hostname", "isIp": "ip", "isUri": "uri", "isUriRef": "uri_ref",
}

// size is the number of characters, bytes, elements or entries.
func size(of typed) expr[int64] {
	switch {
	case of.text != nil:
		return func(r *run) (int64, bool) {
			text, ok := of.text(r)
			return int64(utf8.RuneCount(text)), ok
		}
	case of.bytes != nil:
		return func(r *run) (int64, bool) {
			value, ok := of.bytes(r)
			return int64(len(value)), ok
		}
	case of.place != nil && (of.place.isList() || of.place.isMap()):
		return func(r *run) (int64, bool) {
			s, ok := of.place.get(r)
			return int64(s.extra), ok
		}
	default:
		return nil
	}
}

// matches is whether a text has a pattern, which is a literal.
func (c *celRules) matches(args []ast.Expr) typed {
	text := c.compile(args[0]).text
	if text == nil || len(args) != 2 || args[1].Kind() != ast.LiteralKind {
		return typed{}
	}
	pattern, ok := args[1].AsLiteral().(types.String)
	if !ok {
		return typed{}
	}
	if _, err := regexp.Compile(string(pattern)); err != nil {
		return typed{}
	}
	holds, err := newPattern(string(pattern))
	if err != nil {
		return typed{}
	}
	return typed{bool: func(r *run) (bool, bool) {
		value, ok := text(r)
		return ok && holds(value, isASCII(value)), ok
	}}
}

// timeLiteral is a duration or a timestamp in a literal.
func timeLiteral(function string, arg ast.Expr) typed {
	if arg.Kind() != ast.LiteralKind {
		return typed{}
	}
	text, ok := arg.AsLiteral().(types.String)
	if !ok {
		return typed{}
	}
	if function == overloads.TypeConvertDuration {
		d, err := time.ParseDuration(string(text))
		if err != nil {
			return typed{}
		}
		return typed{duration: constant(instant{int64(d / time.Second), int32(d % time.Second)})}
	}
	at, err := time.Parse(time.RFC3339, string(text))
	if err != nil || !instantOf(at).readable(true) {
		return typed{}
	}
	return typed{time: constant(instantOf(at))}
}

// part is whether bytes begin or end with others, or hold them.
func part(function string, whole, of expr[[]byte]) expr[bool] {
	var holds func(whole, part []byte) bool
	switch function {
	case overloads.StartsWith:
		holds = bytes.HasPrefix
	case overloads.EndsWith:
		holds = bytes.HasSuffix
	case overloads.Contains:
		holds = bytes.Contains
	default:
		return nil
	}
	return func(r *run) (bool, bool) {
		value, ok := whole(r)
		if !ok {
			return false, false
		}
		wanted, ok := of(r)
		return ok && holds(value, wanted), ok
	}
}
