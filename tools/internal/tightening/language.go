package tightening

import (
	"encoding/binary"
	"errors"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
)

// A language is the texts that a pattern takes, or all others. Patterns are those of
// Go's package regexp, which is what CEL has.
type language struct {
	program *syntax.Prog
	// Whether it is the texts that the pattern doesn't take.
	others bool
	// Whether the pattern can begin after the beginning of a text.
	anywhere bool
}

var (
	errBoundary = errors.New("the pattern has boundaries of words or lines")
	errTooLarge = errors.New("the patterns are too large")
)

// languageOf compiles a pattern.
func languageOf(pattern string) (language, error) {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return language{}, err
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return language{}, err
	}
	l := language{program: program}
	for _, inst := range program.Inst {
		if inst.Op == syntax.InstEmptyWidth && syntax.EmptyOp(inst.Arg)&^(syntax.EmptyBeginText|syntax.EmptyEndText) != 0 {
			return language{}, errBoundary
		}
	}
	later, matched := l.expand([]uint32{uint32(program.Start)}, syntax.EmptyEndText)
	l.anywhere = matched || len(later) > 0
	return l, nil
}

// A state is how far a text has come in a pattern: the instructions that may go on,
// or that the pattern was found already.
type state struct {
	at    []uint32
	where syntax.EmptyOp // EmptyBeginText, as long as the text is empty.
	found bool
}

func (l language) start() state {
	return state{at: []uint32{uint32(l.program.Start)}, where: syntax.EmptyBeginText}
}

// dead reports whether no text that goes on from a state is in the language.
func (l language) dead(s state) bool {
	return s.found && l.others || !s.found && !l.others && len(s.at) == 0
}

// expand follows instructions to those that take a rune. It reports whether the
// pattern ends there.
func (l language) expand(from []uint32, where syntax.EmptyOp) (runes []uint32, found bool) {
	seen := make(map[uint32]bool, len(from))
	open := slices.Clone(from)
	for len(open) > 0 {
		at := open[len(open)-1]
		open = open[:len(open)-1]
		if seen[at] {
			continue
		}
		seen[at] = true
		switch inst := l.program.Inst[at]; inst.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			open = append(open, inst.Out, inst.Arg)
		case syntax.InstCapture, syntax.InstNop:
			open = append(open, inst.Out)
		case syntax.InstEmptyWidth:
			if syntax.EmptyOp(inst.Arg)&^where == 0 {
				open = append(open, inst.Out)
			}
		case syntax.InstMatch:
			found = true
		case syntax.InstFail:
		default:
			runes = append(runes, at)
		}
	}
	return runes, found
}

// next returns the state after a rune.
func (l language) next(s state, r rune) state {
	runes, found := l.expand(s.at, s.where)
	if s.found || found {
		return state{found: true}
	}
	var to state
	for _, at := range runes {
		if inst := l.program.Inst[at]; inst.MatchRune(r) {
			to.at = append(to.at, inst.Out)
		}
	}
	if l.anywhere {
		to.at = append(to.at, uint32(l.program.Start))
	}
	slices.Sort(to.at)
	to.at = slices.Compact(to.at)
	return to
}

// takes reports whether a text that ends in a state is in the language.
func (l language) takes(s state) bool {
	_, found := l.expand(s.at, s.where|syntax.EmptyEndText)
	return (s.found || found) != l.others
}

// maxStates bounds the work of comparing patterns.
const maxStates = 4096

// counterexample returns a shortest text that all of several languages have and
// another one lacks. False: there is none.
func counterexample(was []language, is language) (example string, found bool, err error) {
	all := append(slices.Clone(was), is)
	letters := alphabet(all)
	type node struct {
		states []state
		text   string
	}
	first := node{}
	for _, l := range all {
		first.states = append(first.states, l.start())
	}
	known := map[string]bool{keyOf(first.states): true}
	for open := []node{first}; len(open) > 0; open = open[1:] {
		n := open[0]
		taken := true
		for i, l := range was {
			taken = taken && l.takes(n.states[i])
		}
		if taken && !is.takes(n.states[len(was)]) {
			return n.text, true, nil
		}
		for _, r := range letters {
			to := node{text: n.text + string(r)}
			dead := false
			for i, l := range all {
				to.states = append(to.states, l.next(n.states[i], r))
				dead = dead || i < len(was) && l.dead(to.states[i])
			}
			if key := keyOf(to.states); !dead && !known[key] {
				known[key] = true
				open = append(open, to)
			}
		}
		if len(known) > maxStates {
			return "", false, errTooLarge
		}
	}
	return "", false, nil
}

// keyOf tells states from others.
func keyOf(states []state) string {
	var key []byte
	for _, s := range states {
		key = binary.AppendUvarint(key, uint64(len(s.at)))
		for _, at := range s.at {
			key = binary.AppendUvarint(key, uint64(at))
		}
		key = append(key, byte(s.where))
		if s.found {
			key = append(key, '!')
		}
	}
	return string(key)
}

// alphabet returns a rune for each set of runes that no instruction tells apart, a
// legible one if there is one.
func alphabet(languages []language) []rune {
	edges := []rune{0, 0xD800, 0xE000, unicode.MaxRune + 1}
	for _, r := range legible {
		edges = append(edges, r)
	}
	edge := func(low, high rune) { edges = append(edges, low, high+1) }
	for _, l := range languages {
		for _, inst := range l.program.Inst {
			switch {
			case inst.Op == syntax.InstRuneAnyNotNL:
				edge('\n', '\n')
			case !isRune(inst.Op):
			case len(inst.Rune) == 1:
				edge(inst.Rune[0], inst.Rune[0])
				for r := unicode.SimpleFold(inst.Rune[0]); r != inst.Rune[0]; r = unicode.SimpleFold(r) {
					edge(r, r)
				}
			default:
				for i := 0; i+1 < len(inst.Rune); i += 2 {
					edge(inst.Rune[i], inst.Rune[i+1])
				}
			}
		}
	}
	slices.Sort(edges)
	edges = slices.Compact(edges)
	var letters []rune
	sets := map[string]bool{}
	slices.SortStableFunc(edges, func(a, b rune) int { return strings.IndexRune(legible, b) - strings.IndexRune(legible, a) })
	for _, r := range edges {
		if r < 0 || r > unicode.MaxRune || r >= 0xD800 && r < 0xE000 {
			continue
		}
		var takers []byte // The instructions that take it.
		for _, l := range languages {
			for at := range l.program.Inst {
				if inst := &l.program.Inst[at]; isRune(inst.Op) && inst.MatchRune(r) {
					takers = binary.AppendUvarint(takers, uint64(at))
				}
			}
			takers = append(takers, '|', 0)
		}
		if !sets[string(takers)] {
			sets[string(takers)] = true
			letters = append(letters, r)
		}
	}
	return letters
}

func isRune(op syntax.InstOp) bool {
	return op == syntax.InstRune || op == syntax.InstRune1 || op == syntax.InstRuneAny || op == syntax.InstRuneAnyNotNL
}

// legible are the runes for examples, the last first.
const legible = "é~-_. zZ90Aa"
