package publish

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// cutLines cuts lines, each given by the topic of its event or `!` for a bad
// one, and returns the lines of the batches of each topic.
func cutLines(c *cutter, topics string) map[string][][]int64 {
	cuts := make(map[string][][]int64)
	var whole []*batch
	for i, topic := range strings.Split(topics, "") {
		event := &tidingsv1.Event{Id: fmt.Sprintf("%04d", i+1)}
		if topic == "!" {
			event = nil
		}
		whole = append(whole, c.add(event, topic, int64(i+1))...)
	}
	for _, b := range append(whole, c.flush()...) {
		cuts[b.topic] = append(cuts[b.topic], b.lines)
	}
	return cuts
}

func TestCutter(t *testing.T) {
	const unbounded = 1 << 20
	size := eventSize(&tidingsv1.Event{Id: "0001"})
	for name, test := range map[string]struct {
		maxLines, maxBytes int
		topics             string
		want               map[string][][]int64
	}{
		"by lines":              {2, unbounded, "aaaaa", map[string][][]int64{"a": {{1, 2}, {3, 4}, {5}}}},
		"by topic":              {4, unbounded, "ababa", map[string][][]int64{"a": {{1, 3}, {5}}, "b": {{2, 4}}}},
		"by bytes":              {9, 2 * size, "aaaaa", map[string][][]int64{"a": {{1, 2}, {3, 4}, {5}}}},
		"bytes of one topic":    {9, 2 * size, "abaab", map[string][][]int64{"a": {{1, 3}, {4}}, "b": {{2, 5}}}},
		"larger than the bound": {9, size - 1, "aa", map[string][][]int64{"a": {{1}, {2}}}},
		"bad lines count":       {2, unbounded, "a!aa!!a", map[string][][]int64{"a": {{1}, {3, 4}, {7}}}},
		"nothing":               {2, unbounded, "!!!", map[string][][]int64{}},
	} {
		t.Run(name, func(t *testing.T) {
			got := cutLines(&cutter{maxLines: test.maxLines, maxBytes: test.maxBytes}, test.topics)
			if fmt.Sprint(got) != fmt.Sprint(test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// What a cut request takes is no more than it was cut for.
func TestEventSizeIsWhatARequestTakes(t *testing.T) {
	for _, length := range []int{0, 1, 127, 128, 20_000, 3_000_000} {
		event := &tidingsv1.Event{Subject: strings.Repeat("x", length)}
		one := proto.Size(&tidingsv1.PublishRequest{Events: []*tidingsv1.Event{event}})
		if got := eventSize(event); got < one || got > one+8 {
			t.Errorf("%d bytes of subject: estimated %d, takes %d", length, got, one)
		}
	}
}

func TestLineIndex(t *testing.T) {
	batches := [][]int64{{1, 2, 3}, {5, 6}, {9}, {10, 11, 20}}
	index := new(lineIndex)
	var lines []int64
	for _, b := range batches {
		index.add(b)
		lines = append(lines, b...)
	}
	for event, want := range lines {
		if got := index.line(int64(event)); got != want {
			t.Errorf("event %d: line %d, want %d", event, got, want)
		}
	}
	for _, event := range []int64{-1, int64(len(lines))} {
		if got := index.line(event); got != 0 {
			t.Errorf("event %d: line %d, want none", event, got)
		}
	}
	if want := []lineRun{{0, 1}, {3, 5}, {5, 9}, {8, 20}}; !slices.Equal(index.runs, want) {
		t.Errorf("runs %v, want %v", index.runs, want)
	}
}
