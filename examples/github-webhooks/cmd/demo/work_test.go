package main

import (
	"slices"
	"strings"
	"testing"
)

// workOf is the work of two workers, of whom a was killed, with the deliveries
// of testdata.
func workOf(t *testing.T, written ...line) *work {
	t.Helper()
	all := examples(t).modelled
	for i, d := range all {
		d.sequence = int64(4096 + i)
	}
	w := newWork(all, "a", "b")
	w.killed, w.lines = "a", written
	return w
}

// good is how they do it: star[0], which a had when it was killed, comes again.
func good() []line {
	const kettle = "tea-works/kettle"
	return []line{
		{"a", 4096, 1, kettle},
		{"b", 4098, 1, ""},
		{"b", 4096, 2, kettle},
		{"b", 4097, 1, kettle},
		{"b", 4099, 1, kettle},
	}
}

func TestWork(t *testing.T) {
	var out strings.Builder
	if err := workOf(t, good()...).report(&out); err != nil {
		t.Error(err)
	}
	want := `
worker                          events of them again  repositories
a                                    1             0             1  killed
b                                    4             1             1
total                                5             1             1

All 4 events are handled and acknowledged, those of each repository in order.
`
	if out.String() != want {
		t.Errorf("got %s\nwant %s", out.String(), want)
	}
}

func TestEveryProblemOfWorkIsNoticed(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(*work)
		want  []string
	}{
		{"an event that nobody handled", func(w *work) { w.lines = w.lines[:4] }, []string{"issues[0] was handled by nobody"}},
		{"a worker without work", func(w *work) { w.lines = w.lines[1:] }, []string{"a handled nothing"}},
		{"the same attempt again", func(w *work) { w.lines[2].Attempt = 1 }, []string{"star[0] was handled again as attempt 1"}},
		{"no attempt", func(w *work) { w.lines[1].Attempt = 0 }, []string{"ping[0] was handled as attempt 0"}},
		{"another order", func(w *work) { w.lines[3], w.lines[4] = w.lines[4], w.lines[3] }, []string{"star[1] came after issues[0] of the same repository"}},
		{"a redelivery in another order", func(w *work) { w.lines[2], w.lines[4] = w.lines[4], w.lines[2] }, []string{"star[1] came after issues[0] of the same repository"}},
		{"an event that isn't stored", func(w *work) { w.lines = append(w.lines, line{"b", 5000, 1, ""}) }, []string{"b handled an event at sequence 5000, where none is stored"}},
		{"another key", func(w *work) { w.lines[1].Repository = "tea-works/cup" }, []string{`ping[0] came with the key "tea-works/cup", not ""`}},
		{"dead letters", func(w *work) { w.deadLetters = 2 }, []string{"2 events are dead letters"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := workOf(t, good()...)
			test.spoil(w)
			if got := w.problems(); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
			var out strings.Builder
			if err := w.report(&out); err == nil || !strings.Contains(out.String(), test.want[0]) {
				t.Errorf("got %v\n%s", err, out.String())
			}
		})
	}
}

// Attempts that come in any order are no repetition: a slow worker may write its
// line after the one that took over.
func TestRedeliveriesMayOvertake(t *testing.T) {
	w := workOf(t, good()...)
	w.lines[0].Attempt, w.lines[2].Attempt = 2, 1
	if got := w.problems(); len(got) > 0 {
		t.Errorf("got %q", got)
	}
}

func TestLines(t *testing.T) {
	read := readLines(strings.NewReader(`{"worker":"a","sequence":4096,"attempt":1,"repository":"x/y","text":"…"}
{"worker":"b","sequence":4097,"attempt":2}
{"worker":"a","sequence":4098,"attempt":1}
`), 2)
	if nth := <-read.nth; nth != "b" {
		t.Errorf("the second line is of %q", nth)
	}
	all, err := read.all()
	if want := []line{{"a", 4096, 1, "x/y"}, {"b", 4097, 2, ""}, {"a", 4098, 1, ""}}; err != nil || !slices.Equal(all, want) {
		t.Errorf("got %v, %v", all, err)
	}
	for _, broken := range []string{"{\"worker\":\"a\"}\n{\"wor\n{}\n", "{\"worker\":\"a\"}\n{\"wor"} {
		if _, err := readLines(strings.NewReader(broken), 9).all(); err == nil || !strings.Contains(err.Error(), `"{\"wor`) {
			t.Errorf("%q: got %v", broken, err)
		}
	}
}
