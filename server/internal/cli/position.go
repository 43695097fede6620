package cli

import (
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

const positionHelp = "a sequence, a time as 2006-01-02T15:04:05Z, a day as 2006-01-02, which begins at midnight UTC, or how long ago as 90m or 7d"

// parseStart reads the value of a flag that says where to begin.
func parseStart(flag, text string, now time.Time) (*tidingsv1.StartPosition, error) {
	boundary := map[string]tidingsv1.StartBoundary{
		"earliest": tidingsv1.StartBoundary_START_BOUNDARY_EARLIEST,
		"latest":   tidingsv1.StartBoundary_START_BOUNDARY_LATEST,
		"new":      tidingsv1.StartBoundary_START_BOUNDARY_NEW,
	}
	if b, ok := boundary[text]; ok {
		return &tidingsv1.StartPosition{Position: &tidingsv1.StartPosition_Boundary{Boundary: b}}, nil
	}
	if sequence, err := parseSequence(text); err == nil {
		return &tidingsv1.StartPosition{Position: &tidingsv1.StartPosition_Sequence{Sequence: sequence}}, nil
	}
	if t, err := parseTime(text, now); err == nil {
		return &tidingsv1.StartPosition{Position: &tidingsv1.StartPosition_Time{Time: timestamppb.New(t)}}, nil
	}
	return nil, usagef("--%s: %q is not earliest, latest, new, %s. A cursor goes with --after", flag, text, positionHelp)
}

// startAfter returns the position after a cursor.
func startAfter(cursor string) *tidingsv1.StartPosition {
	return &tidingsv1.StartPosition{Position: &tidingsv1.StartPosition_Cursor{Cursor: cursor}}
}

// parseStop reads the value of `--until`.
func parseStop(text string, now time.Time) (*tidingsv1.StopPosition, error) {
	if sequence, err := parseSequence(text); err == nil {
		return &tidingsv1.StopPosition{Position: &tidingsv1.StopPosition_Sequence{Sequence: sequence}}, nil
	}
	if t, err := parseTime(text, now); err == nil {
		return &tidingsv1.StopPosition{Position: &tidingsv1.StopPosition_Time{Time: timestamppb.New(t)}}, nil
	}
	return nil, usagef("--until: %q is not %s", text, positionHelp)
}

func parseSequence(text string) (int64, error) {
	sequence, err := strconv.ParseInt(text, 10, 64)
	if err == nil && sequence < 1 {
		err = strconv.ErrRange
	}
	return sequence, err
}

func parseTime(text string, now time.Time) (time.Time, error) {
	for _, form := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(form, text); err == nil {
			return t, nil
		}
	}
	ago, err := parseDuration(text)
	if err == nil && ago <= 0 {
		err = strconv.ErrRange
	}
	return now.Add(-ago), err
}

// parseDuration reads a duration as Go writes it, or a whole number of days as
// `7d`.
func parseDuration(text string) (time.Duration, error) {
	const day = 24 * time.Hour
	if n := len(text) - 1; n > 0 && text[n] == 'd' {
		days, err := strconv.ParseInt(text[:n], 10, 64)
		if err != nil {
			return 0, err
		}
		if limit := int64((1<<63 - 1) / day); days > limit || days < -limit {
			return 0, strconv.ErrRange
		}
		return time.Duration(days) * day, nil
	}
	return time.ParseDuration(text)
}

// durationFlag is a flag whose value is read by parseDuration.
type durationFlag struct{ time.Duration }

func (d *durationFlag) Set(text string) (err error) {
	d.Duration, err = parseDuration(text)
	return err
}

func (d *durationFlag) Type() string { return "duration" }
