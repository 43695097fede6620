package filter

import (
	"errors"
	"strings"
	"testing"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// list repeats an element, with commas between.
func list(element string, count int) string {
	return strings.TrimSuffix(strings.Repeat(element+",", count), ",")
}

// Whatever the expression and the event, a verdict comes soon. Without the
// limits that they try, these would take from minutes to the age of the
// universe.
func TestHostile(t *testing.T) {
	set := things(t)
	payload := func(json string) []byte { return encoded(t, set, bareEvent, thing, json) }
	events := map[string][]byte{
		"text":  payload(`{"text":"` + strings.Repeat("a", 300_000) + `"}`),
		"words": payload(`{"words":[` + list(`"a"`, 60_000) + `]}`),
		"parts": payload(`{"parts":[` + list(`{"number":"1"}`, 50_000) + `]}`),
		"json":  payload(`{"json":{"a":[` + list(`1`, 30_000) + `]}, "parts":[` + list(`{}`, 1000) + `]}`),
	}
	const costly, late = "cost limit", "too long"
	limits := map[string]time.Duration{costly: time.Minute, late: 15 * maxTime} // A slow machine under the race detector is far below.
	for name, test := range map[string]struct {
		cel, event string
		why        string
	}{
		"loops":              {"data.words.all(a, data.words.all(b, data.words.all(c, a == b || b == c)))", "words", costly},
		"loop in a filter":   {"data.parts.exists(p, data.parts.filter(q, q.number == p.number).size() == 0)", "parts", costly},
		"loops over lists":   {"data.words.map(a, data.words.map(b, b).size()).size() == 0", "words", costly},
		"many loops":         {strings.NewReplacer(",", "||", "~", ", ").Replace(list("data.words.exists_one(a~a == 'b')", 100)), "words", costly},
		"equal messages":     {"data.parts.all(p, data.parts == data.parts)", "parts", costly},
		"equal payloads":     {strings.ReplaceAll(list("data == data", 280), ",", "&&"), "parts", costly},
		"message in list":    {"data.parts.all(p, {'a': p}['a'] in data.parts) && data.parts.all(p, p in data.parts)", "parts", costly},
		"pattern":            {"data.text.matches('" + strings.Repeat("(.*)", 40) + "[bc]')", "text", costly},
		"patterns":           {strings.ReplaceAll(list("data.text.matches('(.?){60}b')", 110), ",", "||"), "text", costly},
		"size of a text":     {"[" + list("1", 1000) + "].all(i, data.text.size() > 0)", "text", costly},
		"growing text":       {"[" + list("1", 90) + "].map(i, " + strings.ReplaceAll(list("data.text", 90), ",", "+") + ").size() == 0", "text", costly},
		"parts of a text":    {"[" + list("1", 100) + "].all(i, data.text.split('').size() > 0)", "text", costly},
		"JSON in a loop":     {"data.parts.all(p, data.json.a.size() > 3)", "json", late},
		"JSON of a loop":     {"[data].all(d, [" + list("1", 1000) + "].all(i, d.json.a.size() > i))", "json", late},
		"JSON of an element": {"[" + list("data", 100) + "].all(d, " + strings.ReplaceAll(list("d.json.a.size() > 3", 16), ",", "&&") + ")", "json", late},
	} {
		m, err := Compile(&tidingsv1.EventFilter{EventTypes: []string{thing}, Cel: test.cel}, set, nil)
		if err != nil {
			t.Errorf("%s: %.300v", name, err)
			continue
		}
		var e event
		if _, err := e.Scan(events[test.event]); err != nil {
			t.Fatal(err)
		}
		program := m.expression.programFor(thing)
		if test.why == costly { // Also where the machine is slow.
			program.patience = limits[costly]
		}
		start := time.Now()
		v, err := program.evaluate(t.Context(), &e)
		if v.holds || v.failure == nil || !strings.Contains(v.failure.Error(), test.why) || v.cost != maxCost || err != nil {
			t.Errorf("%s: %+v, %v", name, v, err)
			continue
		}
		if took := time.Since(start); took > limits[test.why] {
			t.Errorf("%s took %s", name, took)
		}
		t.Logf("%s: %v after %s", name, v.failure, time.Since(start))
	}
}

// A loop takes as long as it is: its square would be seconds.
func TestLongLoop(t *testing.T) {
	set := things(t)
	raw := encoded(t, set, bareEvent, thing, `{"words":[`+list(`"a"`, 60_000)+`]}`)
	for _, source := range []string{
		"data.words.all(w, w != 'b')",
		"data.words.map(w, w).size() == 60000",
		"data.words.filter(w, w == 'a').size() == 60000",
	} {
		m, err := Compile(&tidingsv1.EventFilter{EventTypes: []string{thing}, Cel: source}, set, nil)
		if err != nil {
			t.Fatal(err)
		}
		var e event
		if _, err := e.Scan(raw); err != nil {
			t.Fatal(err)
		}
		program := m.expression.programFor(thing)
		program.patience = 2500 * time.Millisecond
		if v, err := program.evaluate(t.Context(), &e); !v.holds || err != nil {
			t.Errorf("%s: %+v, %v", source, v, err)
		}
	}
}

// Steps that CEL takes for cheap whatever they work on cost what that is large.
func TestCosts(t *testing.T) {
	numbers := make([]ref.Val, 100)
	for i := range numbers {
		numbers[i] = types.Int(i)
	}
	list := types.NewRefValList(types.DefaultTypeAdapter, numbers)
	lists := types.NewRefValList(types.DefaultTypeAdapter, []ref.Val{list, list, list})
	text := types.String(strings.Repeat("é", 500))
	for name, test := range map[string]struct {
		overload    string
		args        []ref.Val
		least, most uint64
	}{
		"equal lists":      {overloads.Equals, []ref.Val{list, list}, 100, 110},
		"long and short":   {overloads.NotEquals, []ref.Val{lists, list}, 100, 110},
		"list in lists":    {overloads.InList, []ref.Val{list, lists}, 300, 320},
		"size of a text":   {overloads.SizeString, []ref.Val{text}, 50, 110},
		"pattern":          {overloads.MatchesString, []ref.Val{text, types.String("a{80}")}, 50 * 80 / 4, 110 * 90 / 4},
		"iteration":        {iterationFunction, nil, 0, 0},
		"what CEL charges": {overloads.Equals, []ref.Val{text, text}, 1 << 40, 1 << 40},
		"number in list":   {overloads.InList, []ref.Val{types.Int(1), list}, 1 << 40, 1 << 40},
	} {
		cost := uint64(1 << 40) // Left to CEL.
		if got := (costs{patterns: map[string]int{"a{80}": 82}}).CallCost("", test.overload, test.args, nil); got != nil {
			cost = *got
		}
		if cost < test.least || cost > test.most {
			t.Errorf("%s costs %d, want %d to %d", name, cost, test.least, test.most)
		}
	}
}

// What is known to cost too much is refused.
func TestKnownCosts(t *testing.T) {
	set := things(t)
	numbers := "[" + list("1", 150) + "]"
	loops := func(count int) string {
		text := "true"
		for i := range count {
			name := string(rune('a' + i))
			text = numbers + ".all(" + name + ", " + name + " > 0 && " + text + ")"
		}
		return text
	}
	for count, refused := range map[int]bool{1: false, 2: false, 3: true, 4: true} {
		_, err := Compile(&tidingsv1.EventFilter{Cel: loops(count)}, set, nil)
		invalid, ok := errors.AsType[*Error](err)
		if ok != refused || ok && !strings.Contains(invalid.Description, "at most 1000000 is allowed") {
			t.Errorf("%d loops: %v", count, err)
		}
	}
	// How long the lists of an event are isn't known before it comes.
	if _, err := Compile(&tidingsv1.EventFilter{EventTypes: []string{thing}, Cel: "data.words.all(a, data.words.all(b, a == b))"}, set, nil); err != nil {
		t.Error(err)
	}
}

// Making the tracker forget iterations changes no cost, except that the first
// of map's is free.
func TestIterationsCostNothing(t *testing.T) {
	set := things(t)
	raw := encoded(t, set, fullEvent, thing, richThing)
	var e event
	if _, err := e.Scan(raw); err != nil {
		t.Fatal(err)
	}
	env, err := environmentOf(set)
	if err != nil {
		t.Fatal(err)
	}
	typ, err := set.Type(thing)
	if err != nil {
		t.Fatal(err)
	}
	typed, err := env.of(typ)
	if err != nil {
		t.Fatal(err)
	}
	for source, free := range map[string]uint64{
		"data.words.map(w, w).size() == 3":                              1,
		"data.words.map(w, w + 'x').size() == 3":                        1,
		"data.words.all(w, w != 'z')":                                   0,
		"data.words.exists(w, w == 'c' || w == 'b' && data.number > 3)": 0,
		"data.words.exists_one(w, w == 'c')":                            0,
		"data.words.map(w, w > 'a', w + '!') == ['b!', 'c!']":           0,
		"data.parts.filter(p, p.words.all(w, data.words.exists(v, v + v == w + w || p.number > 1))).size() == 1": 0,
		"data.labels.all(l, data.labels[l].size() > 2) && data.words.map(w, w).exists(w, w.matches('[a-z]'))":    1,
	} {
		checked, issues := typed.Compile(source)
		if issues.Err() != nil {
			t.Fatal(issues.Err())
		}
		var actual [2]uint64
		for i, options := range [][]cel.ProgramOption{nil, {markIterations(checked.NativeRep())}} {
			program, err := typed.Program(checked, append(options, cel.EvalOptions(cel.OptOptimize, cel.OptTrackCost), cel.CostTracking(costsOf(checked.NativeRep())))...)
			if err != nil {
				t.Fatal(err)
			}
			_, details, err := program.Eval(&variables{payload: typ, encoded: &e})
			if err != nil {
				t.Fatalf("%s: %v", source, err)
			}
			actual[i] = *details.ActualCost()
		}
		if actual[0] != actual[1]+free || actual[0] < 5 {
			t.Errorf("%s costs %d, and %d where iterations are forgotten", source, actual[0], actual[1])
		}
	}
}
