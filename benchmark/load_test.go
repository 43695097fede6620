package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// What a stalled publisher sends late counts from when it was due.
func TestLoadCountsFromWhenEventsWereDue(t *testing.T) {
	const events, stall = 50, 100 * time.Millisecond
	stored := make(chan int, events)
	l := &loader{
		publish: func(number int) error {
			if number == 10 {
				<-time.After(stall)
			}
			stored <- number
			return nil
		},
		receipt: func(int) error { return nil },
		consume: func(_ context.Context, events int, came func(int)) error {
			for range events {
				came(<-stored)
			}
			return nil
		},
	}
	receipts, deliveries, err := l.under(t.Context(), 1000, events)
	if err != nil {
		t.Fatal(err)
	}
	// Event 10 and the 39 after it were due during the stall: the median is one of them,
	// the one due 15 ms after it at the latest.
	for name, s := range map[string]sample{"receipts": receipts, "deliveries": deliveries} {
		if s.events != events || s.p50 < stall/2 || s.p999 < stall {
			t.Errorf("%s: %+v", name, s)
		}
	}
	failed := errors.New("refused")
	l.publish = func(int) error { return failed }
	l.consume = func(ctx context.Context, _ int, _ func(int)) error { <-ctx.Done(); return ctx.Err() }
	if _, _, err := l.under(t.Context(), 1000, events); !errors.Is(err, failed) {
		t.Errorf("error %v, want that of the publisher", err)
	}
	l.publish = func(int) error { return nil }
	l.consume = func(context.Context, int, func(int)) error { return nil }
	if _, _, err := l.under(t.Context(), 1000, events); err == nil || !strings.Contains(err.Error(), "0 of 50 events were delivered") {
		t.Errorf("error %v of a consumer that got nothing", err)
	}
}

func TestLatencyMeasures(t *testing.T) {
	wantRows(t, latencySuite, 12)
}

// wantRows measures a suite for a moment and checks what any table has.
func wantRows(t *testing.T, suite suite, rows int) *report {
	t.Helper()
	cfg := smoke(t)
	found, err := measureSuite(t.Context(), cfg, suite, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	if len(found.Rows) != rows {
		t.Errorf("%d rows, want %d", len(found.Rows), rows)
	}
	for _, l := range found.Rows {
		if l.PerSecond <= 0 || l.Ratio <= 0 {
			t.Errorf("%s: %v events/s, ratio %v", l.Name, l.PerSecond, l.Ratio)
		}
		if l.Name == l.Against && l.Ratio != 1 {
			t.Errorf("%s: ratio %v to itself", l.Name, l.Ratio)
		}
		if times := l.section.form == calls || l.section.form == loaded; l.section.form != costing && times != (l.P50 > 0 && l.P999 >= l.P99 && l.P99 >= l.P50) {
			t.Errorf("%s: p50 %v, p99 %v, p99.9 %v", l.Name, l.P50, l.P99, l.P999)
		}
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	return found
}
