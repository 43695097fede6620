package publish

import (
	"sort"
)

// lineIndex maps the events of a stream to their lines. It holds an entry only
// where lines without an event lie between two events.
type lineIndex struct {
	events int64
	runs   []lineRun
}

// lineRun is events on successive lines.
type lineRun struct{ event, line int64 }

// add appends the events of a batch.
func (x *lineIndex) add(lines []int64) {
	for _, line := range lines {
		if n := len(x.runs); n == 0 || line-x.runs[n-1].line != x.events-x.runs[n-1].event {
			x.runs = append(x.runs, lineRun{x.events, line})
		}
		x.events++
	}
}

// line returns the line of an event, or 0 if there is no such event.
func (x *lineIndex) line(event int64) int64 {
	if event < 0 || event >= x.events {
		return 0
	}
	run := x.runs[sort.Search(len(x.runs), func(n int) bool { return x.runs[n].event > event })-1]
	return run.line + event - run.event
}
