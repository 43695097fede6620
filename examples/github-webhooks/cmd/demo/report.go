package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// tally counts the deliveries of one kind.
type tally struct {
	payloads, published, refused, equal int
}

func (t *tally) count(d *delivery) {
	t.payloads++
	if d.sequence != 0 {
		t.published++
	}
	if d.refused != nil {
		t.refused++
	}
	if d.intact() {
		t.equal++
	}
}

// report prints the table and what went wrong, and fails if anything did.
func report(out io.Writer, all *deliveries) error {
	kinds := make(map[string]*tally)
	total := new(tally)
	for _, d := range all.modelled {
		if kinds[d.kind] == nil {
			kinds[d.kind] = new(tally)
		}
		kinds[d.kind].count(d)
		total.count(d)
	}
	fmt.Fprintf(out, "%-28s%10s%11s%9s%17s\n", "event type", "payloads", "published", "refused", "read back equal")
	row := func(name string, t *tally) {
		fmt.Fprintf(out, "%-28s%10d%11d%9d%17d\n", name, t.payloads, t.published, t.refused, t.equal)
	}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		row(kind, kinds[kind])
	}
	row("total", total)
	reportProblems(out, all.modelled)
	reportUnmodelled(out, all.unmodelled)
	if total.equal != total.payloads {
		return fmt.Errorf("of %d payloads %d were refused and %d lost or altered",
			total.payloads, total.refused, total.payloads-total.refused-total.equal)
	}
	return nil
}

// reportProblems prints a line for each thing that went wrong.
func reportProblems(out io.Writer, all []*delivery) {
	for _, d := range all {
		switch {
		case d.refused != nil:
			for line := range strings.SplitSeq(d.refused.Error(), "\n") {
				fmt.Fprintf(out, "%s refused: %s\n", d.name(), line)
			}
		case d.seen != 1:
			fmt.Fprintf(out, "%s was stored once and read back %d times\n", d.name(), d.seen)
		}
		for _, difference := range d.altered {
			fmt.Fprintf(out, "%s altered: %s\n", d.name(), difference)
		}
	}
}

// reportUnmodelled names the kinds that have no event, so that nobody takes the
// table for the whole package.
func reportUnmodelled(out io.Writer, kinds map[string]int) {
	if len(kinds) == 0 {
		return
	}
	var names []string
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		names = append(names, fmt.Sprintf("%s (%d)", kind, kinds[kind]))
	}
	fmt.Fprintf(out, "\nNot published, because github.webhooks.v1 has no event for these kinds (payloads):\n%s.\n",
		strings.Join(names, ", "))
}
