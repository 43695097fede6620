package schema

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"
)

// blockBytes is how much payload is checked in one way at once: about a
// millisecond of it, so that most blocks are free of what else the machine does.
const blockBytes = 32 << 10

// BenchmarkCost compares the ways to check a payload. They take turns, a block
// each, and one operation is a turn of all of them: so what else the machine does
// doesn't count for one way alone. The first turn warms up. A ratio is taken
// within a turn, and the table has the medians of the turns.
func BenchmarkCost(b *testing.B) {
	types := examples(b)
	var events []*costOf
	for _, event := range costEvents() {
		events = append(events, newCostOf(b, types, event))
	}
	for _, event := range events {
		event.turn(b)
		event.times, event.ratios = make([][]time.Duration, len(event.ways)), make([][]float64, len(event.ways))
	}
	for b.Loop() {
		for _, event := range events {
			event.turn(b)
		}
	}
	b.ReportMetric(0, "ns/op") // Of a turn: it says nothing.
	// Not to the benchmark's own output, of which go test shows ten lines.
	if _, err := os.Stdout.WriteString(costTables(events)); err != nil {
		b.Fatal(err)
	}
}

// way is one way to check a payload, or a part of one.
type way struct {
	name  string
	check func(payload []byte) error
}

// costOf is what the checks of one kind of event take. The first way is the
// server's.
type costOf struct {
	name     string
	payloads [][]byte
	ways     []way
	// Of each way, what the turns found for one payload.
	times  [][]time.Duration
	ratios [][]float64 // To the first way.
	// Of each way, in the last turn.
	allocations, allocated []uint64
}

func newCostOf(tb testing.TB, types *Set, event costEvent) *costOf {
	tb.Helper()
	c := &costOf{name: event.name}
	for i := range 100 {
		payload, err := proto.Marshal(event.make(i))
		if err != nil {
			tb.Fatal(err)
		}
		c.payloads = append(c.payloads, payload)
	}
	generated := event.make(0)
	t, err := types.Type(string(generated.ProtoReflect().Descriptor().FullName()))
	if err != nil {
		tb.Fatal(err)
	}
	c.ways = waysToCheck(tb, t, generated)
	c.times, c.ratios = make([][]time.Duration, len(c.ways)), make([][]float64, len(c.ways))
	c.allocations, c.allocated = make([]uint64, len(c.ways)), make([]uint64, len(c.ways))
	return c
}

func waysToCheck(tb testing.TB, t *Type, generated proto.Message) []way {
	tb.Helper()
	validator, err := protovalidate.New()
	if err != nil {
		tb.Fatal(err)
	}
	parsed := func(payload []byte, message proto.Message, then func(proto.Message) error) error {
		if err := proto.Unmarshal(payload, message); err != nil {
			return err
		}
		return then(message)
	}
	withGenerated := func(payload []byte, then func(proto.Message) error) error {
		return parsed(payload, generated.ProtoReflect().New().Interface(), then)
	}
	withDynamic := func(payload []byte, then func(proto.Message) error) error {
		return parsed(payload, dynamicpb.NewMessage(t.descriptor), then)
	}
	byDescriptor := func(message proto.Message) error { return t.shared.validator.Validate(message) }
	byCode := func(message proto.Message) error { return validator.Validate(message) }
	nothing := func(proto.Message) error { return nil }
	var copied []byte
	return []way{
		{"the server's check", func(payload []byte) error { _, err := t.Check(context.Background(), payload); return err }},
		{"what decides in doubt, with dynamicpb and protovalidate", func(payload []byte) error { _, err := t.checkParsed(context.Background(), payload); return err }},
		{"generated code and protovalidate", func(payload []byte) error { return withGenerated(payload, byCode) }},
		{"dynamicpb and protovalidate", func(payload []byte) error { return withDynamic(payload, byDescriptor) }},
		{"generated code alone", func(payload []byte) error { return withGenerated(payload, nothing) }},
		{"dynamicpb alone", func(payload []byte) error { return withDynamic(payload, nothing) }},
		{"no check: a copy", func(payload []byte) error { copied = append(copied[:0], payload...); return nil }},
	}
}

// turn times a block of each way, beginning with another one than the turn before.
func (c *costOf) turn(tb testing.TB) {
	tb.Helper()
	count := max(1, blockBytes/len(c.payloads[0]))
	var before, after runtime.MemStats
	first := len(c.times[0])
	for next := range c.ways {
		i := (first + next) % len(c.ways)
		runtime.ReadMemStats(&before)
		begun := time.Now()
		for n := range count {
			if err := c.ways[i].check(c.payloads[n%len(c.payloads)]); err != nil {
				tb.Fatalf("%s: %s: %v", c.name, c.ways[i].name, err)
			}
		}
		c.times[i] = append(c.times[i], time.Since(begun)/time.Duration(count))
		runtime.ReadMemStats(&after)
		c.allocations[i] = (after.Mallocs - before.Mallocs) / uint64(count)
		c.allocated[i] = (after.TotalAlloc - before.TotalAlloc) / uint64(count)
	}
	for i, times := range c.times {
		c.ratios[i] = append(c.ratios[i], float64(times[first])/float64(c.times[0][first]))
	}
}

// costTables are the times with their ratios, and the allocations, as Markdown.
func costTables(events []*costOf) string {
	var b strings.Builder
	head := func(title string) {
		b.WriteString("\n| " + title + " |")
		for _, event := range events {
			fmt.Fprintf(&b, " %s, %d bytes |", event.name, len(event.payloads[0]))
		}
		b.WriteString("\n|---|" + strings.Repeat("---:|", len(events)) + "\n")
	}
	head("ns, × the server's check")
	for i, w := range events[0].ways {
		b.WriteString("| " + w.name + " |")
		for _, event := range events {
			fmt.Fprintf(&b, " %d, %.2f |", middle(event.times[i], 2).Nanoseconds(), middle(event.ratios[i], 2))
		}
		b.WriteByte('\n')
	}
	b.WriteString("| the middle half of the turns, first row |")
	for _, event := range events {
		fmt.Fprintf(&b, " %d to %d |", middle(event.times[0], 1).Nanoseconds(), middle(event.times[0], 3).Nanoseconds())
	}
	b.WriteByte('\n')
	head("allocations, bytes")
	for i, w := range events[0].ways {
		b.WriteString("| " + w.name + " |")
		for _, event := range events {
			fmt.Fprintf(&b, " %d, %d |", event.allocations[i], event.allocated[i])
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// middle returns a quartile: 2 is the median.
func middle[T time.Duration | float64](found []T, quarter int) T {
	sorted := slices.Sorted(slices.Values(found))
	return sorted[(len(sorted)-1)*quarter/4]
}

// What is timed is what it is called: the ways that check refuse what breaks a
// rule, and those that only parse take it.
func TestWaysToCheck(t *testing.T) {
	types := examples(t)
	for _, event := range costEvents() {
		c := newCostOf(t, types, event)
		broken := []byte{}
		for _, w := range c.ways {
			if err := w.check(c.payloads[0]); err != nil {
				t.Errorf("%s: %s: %v", event.name, w.name, err)
			}
			checks := w.name == "the server's check" || strings.HasSuffix(w.name, "protovalidate")
			if refused := w.check(broken) != nil; refused != (checks && event.rules) {
				t.Errorf("%s: %s: an event without fields is refused: %t", event.name, w.name, refused)
			}
		}
	}
}
