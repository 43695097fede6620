package precheck

import (
	"math"
	"regexp/syntax"
	"unicode/utf8"
)

// shape is a pattern of which each byte is looked at by itself: some bytes of given
// classes and then any number, within bounds, of another class, from the begin of a
// text to its end. Most patterns of identifiers are such.
type shape struct {
	fixed    []*byteClass
	rest     *byteClass
	min, max int // Of the rest.
}

// byteClass is 0 for the bytes that are in it.
type byteClass [utf8.RuneSelf]uint8

func (s *shape) matches(text []byte) bool {
	if len(text) < len(s.fixed)+s.min || len(text)-len(s.fixed) > s.max {
		return false
	}
	var missed uint8
	for i, class := range s.fixed {
		missed |= class[text[i]&(utf8.RuneSelf-1)]
	}
	if s.rest != nil {
		for _, b := range text[len(s.fixed):] {
			missed |= s.rest[b&(utf8.RuneSelf-1)]
		}
	}
	return missed == 0
}

// newShape returns nil for other patterns.
func newShape(pattern string) *shape {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil || parsed.Op != syntax.OpConcat {
		return nil
	}
	parts := parsed.Sub
	if len(parts) < 3 || parts[0].Op != syntax.OpBeginText || parts[len(parts)-1].Op != syntax.OpEndText {
		return nil
	}
	s := &shape{}
	for _, part := range parts[1 : len(parts)-1] {
		if s.rest != nil || !s.add(part) {
			return nil
		}
	}
	return s
}

// add adds a part of a pattern.
func (s *shape) add(part *syntax.Regexp) bool {
	atLeast, atMost := 1, 1
	switch part.Op {
	case syntax.OpLiteral:
		for _, letter := range part.Rune {
			if part.Flags&syntax.FoldCase != 0 || letter >= utf8.RuneSelf {
				return false
			}
			s.fixed = append(s.fixed, classOf([]rune{letter, letter}))
		}
		return true
	case syntax.OpStar:
		atLeast, atMost = 0, math.MaxInt
	case syntax.OpPlus:
		atMost = math.MaxInt
	case syntax.OpQuest:
		atLeast = 0
	case syntax.OpRepeat:
		if atLeast, atMost = part.Min, part.Max; atMost < 0 {
			atMost = math.MaxInt
		}
	default:
	}
	of := part
	if len(part.Sub) == 1 {
		of = part.Sub[0]
	}
	if of.Op != syntax.OpCharClass {
		return false
	}
	class := classOf(of.Rune)
	if atLeast == atMost && part.Op == syntax.OpCharClass {
		s.fixed = append(s.fixed, class)
		return true
	}
	s.rest, s.min, s.max = class, atLeast, atMost
	return true
}

// classOf is the class of ranges, as far as they are ASCII.
func classOf(ranges []rune) *byteClass {
	class := new(byteClass)
	for b := range class {
		class[b] = 1
		for i := 0; i+1 < len(ranges); i += 2 {
			if rune(b) >= ranges[i] && rune(b) <= ranges[i+1] {
				class[b] = 0
			}
		}
	}
	return class
}
