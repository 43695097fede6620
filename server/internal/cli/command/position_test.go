package command

import (
	"testing"
	"time"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

func TestParseStart(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	at := func(p *tidingsv1.StartPosition) any {
		switch p := p.GetPosition().(type) {
		case *tidingsv1.StartPosition_Boundary:
			return p.Boundary
		case *tidingsv1.StartPosition_Sequence:
			return p.Sequence
		case *tidingsv1.StartPosition_Time:
			return p.Time.AsTime()
		}
		return nil
	}
	for text, want := range map[string]any{
		"earliest":                  tidingsv1.StartBoundary_START_BOUNDARY_EARLIEST,
		"latest":                    tidingsv1.StartBoundary_START_BOUNDARY_LATEST,
		"new":                       tidingsv1.StartBoundary_START_BOUNDARY_NEW,
		"4096":                      int64(4096),
		"9223372036854775807":       int64(1<<63 - 1),
		"2026-11-22T10:30:00+01:00": time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC),
		"2026-11-22T10:30:00.25Z":   time.Date(2026, 11, 22, 10, 30, 0, 250e6, time.UTC),
		"2026-11-21":                time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC),
		"90m":                       time.Date(2026, 11, 22, 10, 30, 0, 0, time.UTC),
		"7d":                        time.Date(2026, 11, 15, 12, 0, 0, 0, time.UTC),
	} {
		got, err := ParseStart("from", text, now)
		if err != nil || at(got) != want {
			t.Errorf("%s: got %v, %v; want %v", text, at(got), err, want)
		}
	}
	for _, text := range []string{"", "0", "-1", "9223372036854775808", "-5m", "-7d", "99999999999d", "2026-11", "2026-11-31", "2026-11-22T10:30", "EARLIEST", "d"} {
		if got, err := ParseStart("from", text, now); err == nil {
			t.Errorf("%q gives %v", text, got)
		}
		if got, err := ParseStop(text, now); err == nil {
			t.Errorf("%q gives %v", text, got)
		}
	}
}
