package filter

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// The end of a context ends an evaluation and counts as no failure of it.
func TestMatchEnds(t *testing.T) {
	set := things(t)
	raw := encoded(t, set, bareEvent, thing, `{"json":{"a":[`+list(`1`, 30_000)+`]}, "parts":[`+list(`{}`, 1000)+`]}`)
	m, err := Compile(&tidingsv1.EventFilter{EventTypes: []string{thing}, Cel: "data.parts.all(p, data.json.a.size() > 3)"}, set, nil)
	if err != nil {
		t.Fatal(err)
	}
	m.expression.programFor(thing).patience = time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	before := Failures()
	if _, err := m.Match(ctx, raw); !errors.Is(err, context.DeadlineExceeded) || Failures() != before {
		t.Errorf("%v, %d failures", err, Failures()-before)
	}
}

// Where the slots are taken, an expression that needs one waits, as long as its
// context lasts. Others don't.
func TestSlots(t *testing.T) {
	set := things(t)
	raw := encoded(t, set, bareEvent, thing, `{"number":"7"}`)
	compile := func() *Matcher {
		t.Helper()
		m, err := Compile(&tidingsv1.EventFilter{EventTypes: []string{thing}, Cel: "data.number == 7"}, set, nil)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	quick, unknown := compile(), compile()
	if _, err := quick.Match(t.Context(), raw); err != nil {
		t.Fatal(err)
	}
	count := int64(max(1, runtime.GOMAXPROCS(0)/2))
	if err := slots.Acquire(t.Context(), count); err != nil {
		t.Fatal(err)
	}
	defer slots.Release(count)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if holds, err := quick.Match(ctx, raw); !holds || err != nil {
		t.Errorf("a quick expression waited for a slot: %v", err)
	}
	before := Failures()
	if _, err := unknown.Match(ctx, raw); !errors.Is(err, context.DeadlineExceeded) || Failures() != before {
		t.Errorf("nothing is known of an expression, and it didn't wait: %v, %d failures", err, Failures()-before)
	}
}

// Whether an expression needs a slot is decided by what its evaluations cost in
// the mean.
func TestPace(t *testing.T) {
	p := newPace()
	evaluate := func(cost int64) bool {
		t.Helper()
		held, err := p.begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p.end(held, cost)
		return held
	}
	const large = 10 * allowance
	if !evaluate(0) || evaluate(large) {
		t.Fatal("the first evaluation needs a slot, and the one after a cheap one doesn't")
	}
	held := 0
	for evaluate(0) {
		held++
	}
	if held != 9 {
		t.Errorf("after one that cost ten times the allowance, %d that cost nothing needed a slot", held)
	}
	for range 1000 {
		evaluate(maxCost)
	}
	if p.debt.Load() != maxCost {
		t.Errorf("the debt is %d", p.debt.Load())
	}
}
