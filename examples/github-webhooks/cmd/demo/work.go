package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
)

// work is what a team had to do and what it did.
type work struct {
	workers     []string            // their names
	events      map[int64]*delivery // to be handled, by sequence
	killed      string              // the worker that was
	lines       []line              // what the workers wrote, in that order
	deadLetters int64
}

// newWork is that of some workers with the events that are stored.
func newWork(all []*delivery, workers ...string) *work {
	w := &work{workers: workers, events: make(map[int64]*delivery)}
	for _, d := range all {
		if d.sequence != 0 {
			w.events[d.sequence] = d
		}
	}
	return w
}

// problems says what is not as it should be.
func (w *work) problems() []string {
	var found []string
	problem := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }

	type attempt struct {
		sequence int64
		number   int32
	}
	attempts := make(map[attempt]bool)
	handled := make(map[int64]bool)
	latest := make(map[string]*delivery) // the first deliveries, by repository
	for _, l := range w.lines {
		d := w.events[l.Sequence]
		if d == nil {
			problem("%s handled an event at sequence %d, where none is stored", l.Worker, l.Sequence)
			continue
		}
		if l.Repository != repository(d) {
			problem("%s came with the key %q, not %q", d.name(), l.Repository, repository(d))
		}
		if l.Attempt < 1 {
			problem("%s was handled as attempt %d", d.name(), l.Attempt)
		}
		// An event may be handled again, but not as if it were the first time.
		a := attempt{l.Sequence, l.Attempt}
		if attempts[a] {
			problem("%s was handled again as attempt %d", d.name(), l.Attempt)
		}
		attempts[a] = true
		handled[l.Sequence] = true
		if l.Attempt == 1 && l.Repository != "" {
			if before := latest[l.Repository]; before != nil && before.sequence > d.sequence {
				problem("%s came after %s of the same repository", d.name(), before.name())
			}
			latest[l.Repository] = d
		}
	}
	for _, sequence := range slices.Sorted(maps.Keys(w.events)) {
		if !handled[sequence] {
			problem("%s was handled by nobody", w.events[sequence].name())
		}
	}
	if w.deadLetters != 0 {
		problem("%d events are dead letters", w.deadLetters)
	}
	return append(found, w.idle()...)
}

// idle says which workers did nothing.
func (w *work) idle() []string {
	var found []string
	for _, name := range w.workers {
		if !slices.ContainsFunc(w.lines, func(l line) bool { return l.Worker == name }) {
			found = append(found, name+" handled nothing")
		}
	}
	return found
}

// report prints who did what and what went wrong, and fails if anything did.
func (w *work) report(out io.Writer) error {
	fmt.Fprintf(out, "\n%-28s%10s%14s%14s\n", "worker", "events", "of them again", "repositories")
	row := func(name string, of func(line) bool, remark string) {
		events, again, repositories := 0, 0, make(map[string]bool)
		for _, l := range w.lines {
			if !of(l) {
				continue
			}
			events++
			if l.Attempt > 1 {
				again++
			}
			if l.Repository != "" {
				repositories[l.Repository] = true
			}
		}
		fmt.Fprintf(out, "%-28s%10d%14d%14d%s\n", name, events, again, len(repositories), remark)
	}
	for _, name := range w.workers {
		remark := ""
		if name == w.killed {
			remark = "  killed"
		}
		row(name, func(l line) bool { return l.Worker == name }, remark)
	}
	row("total", func(line) bool { return true }, "")

	problems := w.problems()
	for _, problem := range problems {
		fmt.Fprintln(out, problem)
	}
	if len(problems) > 0 {
		return fmt.Errorf("the workers' handling of %d events has %d problems", len(w.events), len(problems))
	}
	fmt.Fprintf(out, "\nAll %d events are handled and acknowledged, those of each repository in order.\n", len(w.events))
	return nil
}
