package service

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"example.com/tidings/server/internal/engine"
)

// Several goroutines check a batch; what they find has to be what one would.
func TestCheckAllFindsTheFirstRefusedEvent(t *testing.T) {
	_, c, parsed := benchPublication(t)
	for round := range 200 {
		events := make([]event, 1+2*round)
		first, refused := -1, make(map[int]error)
		for i := range events {
			events[i] = parsed.events[i%len(parsed.events)]
			if (7*i+round)%61 == 0 {
				events[i].err = fmt.Errorf("event %d", i)
				refused[i] = events[i].err
				if first < 0 {
					first = i
				}
			}
		}
		for i, v := range c.checkAll(events, false) {
			want := fmt.Sprintf("order-%012d", i%len(parsed.events))
			if !errors.Is(v.err, refused[i]) || v.err == nil && v.key != want {
				t.Fatalf("event %d of %d: key %q, error %v; want key %q, error %v", i, len(events), v.key, v.err, want, refused[i])
			}
		}
		found := -1
		for i, v := range c.checkAll(events, true) {
			if v.err != nil {
				found = i
				break
			}
		}
		if found != first {
			t.Fatalf("the first of %d refused events of %d is %d, found %d", len(refused), len(events), first, found)
		}
	}
}

func TestCheckAllSurvivesPanics(t *testing.T) {
	_, c, parsed := benchPublication(t)
	c.types = nil
	c.topic = &engine.Topic{}
	for i, v := range c.checkAll(parsed.events, false) {
		if v.err == nil || !strings.Contains(v.err.Error(), "panic: ") {
			t.Fatalf("event %d: %v", i, v.err)
		}
	}
}
