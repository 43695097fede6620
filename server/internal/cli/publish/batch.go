package publish

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// batch is the events of one request, in order.
type batch struct {
	topic  string
	events []*tidingsv1.Event
	lines  []int64 // The line of each event.
	bytes  int     // The encoded size of the events in a request.
}

// line returns the line of an event of the batch, or 0 if there is none.
func (b *batch) line(index int64) int64 {
	if index < 0 || index >= int64(len(b.lines)) {
		return 0
	}
	return b.lines[index]
}

// span says which lines the batch is from.
func (b *batch) span() string { return span(b.lines[0], b.lines[len(b.lines)-1]) }

func span(from, to int64) string {
	if from == to {
		return fmt.Sprintf("line %d", from)
	}
	return fmt.Sprintf("lines %d to %d", from, to)
}

// cutter cuts lines into batches: each run of maxLines lines gives one batch
// for each topic in it. A topic's batch ends earlier where the next event would
// take it over maxBytes.
//
// A line counts whether or not its event is valid, so the same input is always
// cut in the same places, and still is, after its bad lines were mended. Only
// so does a server recognise the batches of a second try.
type cutter struct {
	maxLines, maxBytes int

	lines int
	open  []*batch
}

// add takes a line and returns the batches that are whole now. event is nil if
// the line was refused.
func (c *cutter) add(event *tidingsv1.Event, topic string, number int64) []*batch {
	var whole []*batch
	if event != nil {
		size := eventSize(event)
		at := c.find(topic)
		if len(c.open[at].events) > 0 && c.open[at].bytes+size > c.maxBytes {
			whole = append(whole, c.open[at])
			c.open[at] = &batch{topic: topic}
		}
		b := c.open[at]
		b.events, b.lines, b.bytes = append(b.events, event), append(b.lines, number), b.bytes+size
	}
	c.lines++
	if c.lines == c.maxLines {
		whole = append(whole, c.flush()...)
	}
	return whole
}

// find returns the place of the open batch of a topic.
func (c *cutter) find(topic string) int {
	for i, b := range c.open {
		if b.topic == topic {
			return i
		}
	}
	c.open = append(c.open, &batch{topic: topic})
	return len(c.open) - 1
}

// flush returns the batches that are open, and starts anew.
func (c *cutter) flush() []*batch {
	whole := c.open
	c.open, c.lines = nil, 0
	return whole
}

// eventSize returns what an event adds to the size of a request.
func eventSize(event *tidingsv1.Event) int {
	const tagAndLength = 1 + 5
	return proto.Size(event) + tagAndLength
}
