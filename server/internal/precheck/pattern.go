package precheck

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"unicode/utf8"
)

// automaton finds a pattern in a text of ASCII, a step a byte.
type automaton struct {
	class  [utf8.RuneSelf]uint8 // Bytes that the pattern doesn't tell apart have one.
	width  int                  // The number of classes.
	next   []uint16             // By state × width + class: the next state × width.
	accept []bool               // States after which nothing has to come.
}

const (
	// maxStates and maxSteps bound an automaton.
	maxStates = 512
	maxSteps  = 1 << 13
	// found is the state in which the rest doesn't matter, and lost the one from
	// which nothing is found.
	found, lost, begin = 0, 1, 2
)

func (a *automaton) matches(text []byte) bool {
	last := lost * a.width
	next, at := a.next, begin*a.width
	for _, b := range text {
		at = int(next[at+int(a.class[b&(utf8.RuneSelf-1)])])
		if at <= last {
			return at == found
		}
	}
	return a.accept[at/a.width]
}

// newPattern returns the check that a text holds a pattern.
func newPattern(pattern string) (textCheck, error) {
	compiled, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("pattern: %w", err)
	}
	matches := compiled.Match
	if s := newShape(pattern); s != nil {
		matches = s.matches
	} else if a := newAutomaton(pattern); a != nil {
		matches = a.matches
	}
	return func(text []byte, ascii bool) bool {
		if ascii {
			return matches(text)
		}
		return compiled.Match(text)
	}, nil
}

// automatonMaker makes an automaton of the program of a pattern: each of its states
// is a set of the program's instructions.
type automatonMaker struct {
	program *syntax.Prog
	states  map[string]int
	sets    [][]uint32
	loose   bool // It may begin anywhere.
}

// newAutomaton returns nil where a pattern has too many states, or looks at what is
// around a byte.
func newAutomaton(pattern string) *automaton {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil || len(program.Inst) > maxStates {
		return nil
	}
	for i := range program.Inst {
		inst := &program.Inst[i]
		if inst.Op == syntax.InstEmptyWidth && syntax.EmptyOp(inst.Arg)&^(syntax.EmptyBeginText|syntax.EmptyEndText) != 0 {
			return nil
		}
	}
	m := &automatonMaker{program: program, states: make(map[string]int), loose: program.StartCond()&syntax.EmptyBeginText == 0}
	a := &automaton{}
	samples := m.classes(a)
	m.sets = [][]uint32{found: nil, lost: nil, begin: m.close(nil, uint32(program.Start), syntax.EmptyBeginText)}
	if m.matched(m.sets[begin], 0) {
		return nil // Anything matches, which isn't worth an automaton.
	}
	for state := 0; state < len(m.sets); state++ { //nolint:intrange // There come to be more on the way.
		a.accept = append(a.accept, state == found || m.matched(m.sets[state], m.endOf(state)))
		for _, sample := range samples {
			next, ok := m.step(state, sample)
			if !ok || len(a.next) == maxSteps {
				return nil
			}
			a.next = append(a.next, uint16(next*a.width))
		}
	}
	return a
}

// endOf is what holds at the end of a text after a state.
func (m *automatonMaker) endOf(state int) syntax.EmptyOp {
	if state == begin { // The text is empty.
		return syntax.EmptyBeginText | syntax.EmptyEndText
	}
	return syntax.EmptyEndText
}

// classes tells the bytes apart that the program does, and returns one of each.
func (m *automatonMaker) classes(a *automaton) (samples []byte) {
	known := make(map[string]uint8)
	for b := range utf8.RuneSelf {
		taken := make([]byte, 0, len(m.program.Inst))
		for i := range m.program.Inst {
			switch inst := &m.program.Inst[i]; inst.Op {
			case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
				if inst.MatchRune(rune(b)) {
					taken = append(taken, 1)
				} else {
					taken = append(taken, 0)
				}
			default:
			}
		}
		class, ok := known[string(taken)]
		if !ok {
			class = uint8(len(known))
			known[string(taken)] = class
			samples = append(samples, byte(b))
		}
		a.class[b] = class
	}
	a.width = len(samples)
	return samples
}

// step returns the state after a byte. It is false where there are too many.
func (m *automatonMaker) step(state int, b byte) (int, bool) {
	if state <= lost {
		return state, true
	}
	var after []uint32
	for _, at := range m.sets[state] {
		inst := &m.program.Inst[at]
		switch inst.Op {
		case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
			if inst.MatchRune(rune(b)) {
				after = m.close(after, inst.Out, 0)
			}
		default:
		}
	}
	if m.loose {
		after = m.close(after, uint32(m.program.Start), 0)
	}
	if m.matched(after, 0) {
		return found, true
	}
	if len(after) == 0 {
		return lost, true
	}
	slices.Sort(after)
	name := fmt.Sprint(after)
	next, ok := m.states[name]
	if !ok {
		next = len(m.sets)
		m.states[name] = next
		m.sets = append(m.sets, after)
	}
	return next, next < maxStates
}

// close adds an instruction, and those that follow without a byte, where only what
// is given holds. Ends of the text are kept for matched.
func (m *automatonMaker) close(set []uint32, at uint32, holds syntax.EmptyOp) []uint32 {
	if slices.Contains(set, at) {
		return set
	}
	inst := &m.program.Inst[at]
	switch inst.Op {
	case syntax.InstAlt, syntax.InstAltMatch:
		return m.close(m.close(append(set, at), inst.Out, holds), inst.Arg, holds)
	case syntax.InstCapture, syntax.InstNop:
		return m.close(append(set, at), inst.Out, holds)
	case syntax.InstEmptyWidth:
		if syntax.EmptyOp(inst.Arg)&^holds == 0 {
			return m.close(append(set, at), inst.Out, holds)
		}
		if syntax.EmptyOp(inst.Arg)&syntax.EmptyEndText != 0 {
			return append(set, at)
		}
		return set
	case syntax.InstFail:
		return set
	default:
		return append(set, at)
	}
}

// matched reports whether a set has found the pattern, where what is given holds.
func (m *automatonMaker) matched(set []uint32, holds syntax.EmptyOp) bool {
	var all []uint32
	for _, at := range set {
		all = m.close(all, at, holds)
	}
	return slices.ContainsFunc(all, func(at uint32) bool { return m.program.Inst[at].Op == syntax.InstMatch })
}
