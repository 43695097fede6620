package command

import (
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// The forms of a position, for errors and for the help of flags.
const (
	positionForms = "a sequence, a time as 2006-01-02T15:04:05Z, a day as 2006-01-02, which begins at midnight UTC, or how long ago as 90m or 7d"
	moments       = "a sequence, a time (2006-01-02T15:04:05Z), a day (2006-01-02, UTC) or an age (90m, 7d)"

	StartHelp = "`POSITION` to start at: earliest, latest, new, " + moments
	StopHelp  = "`POSITION` to stop after: " + moments
	SeekHelp  = "`POSITION` to seek to: earliest, latest, new, " + moments
	TimeHelp  = "`TIME`: 2006-01-02T15:04:05Z, a day (2006-01-02, UTC) or an age (90m, 7d)"
)

// ParseStart reads the value of a flag that says where to begin.
func ParseStart(flag, text string, now time.Time) (*tidingsv1.StartPosition, error) {
	boundary := map[string]tidingsv1.StartBoundary{
		"earliest": tidingsv1.StartBoundary_START_BOUNDARY_EARLIEST,
		"latest":   tidingsv1.StartBoundary_START_BOUNDARY_LATEST,
		"new":      tidingsv1.StartBoundary_START_BOUNDARY_NEW,
	}
	if b, ok := boundary[text]; ok {
		return &tidingsv1.StartPosition{Position: &tidingsv1.StartPosition_Boundary{Boundary: b}}, nil
	}
	if sequence, err := ParseSequence(text); err == nil {
		return &tidingsv1.StartPosition{Position: &tidingsv1.StartPosition_Sequence{Sequence: sequence}}, nil
	}
	if t, err := ParseTime(text, now); err == nil {
		return &tidingsv1.StartPosition{Position: &tidingsv1.StartPosition_Time{Time: timestamppb.New(t)}}, nil
	}
	return nil, Usagef("--%s: %q is not earliest, latest, new, %s. A cursor goes with --after", flag, text, positionForms)
}

// StartAfter returns the position after a cursor.
func StartAfter(cursor string) *tidingsv1.StartPosition {
	return &tidingsv1.StartPosition{Position: &tidingsv1.StartPosition_Cursor{Cursor: cursor}}
}

// ParseStop reads the value of `--until`.
func ParseStop(text string, now time.Time) (*tidingsv1.StopPosition, error) {
	if sequence, err := ParseSequence(text); err == nil {
		return &tidingsv1.StopPosition{Position: &tidingsv1.StopPosition_Sequence{Sequence: sequence}}, nil
	}
	if t, err := ParseTime(text, now); err == nil {
		return &tidingsv1.StopPosition{Position: &tidingsv1.StopPosition_Time{Time: timestamppb.New(t)}}, nil
	}
	return nil, Usagef("--until: %q is not %s", text, positionForms)
}

// ParseSequence reads a sequence, which is at least 1.
func ParseSequence(text string) (int64, error) {
	sequence, err := strconv.ParseInt(text, 10, 64)
	if err == nil && sequence < 1 {
		err = strconv.ErrRange
	}
	return sequence, err
}

// ParseTime reads a time, a day, or how long before now.
func ParseTime(text string, now time.Time) (time.Time, error) {
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

// PositionFlags returns the position that a flag or, instead of it, `--after`
// names.
func PositionFlags(cmd *cobra.Command, flag, text, after string, now time.Time) (*tidingsv1.StartPosition, error) {
	switch {
	case after != "" && cmd.Flags().Changed(flag):
		return nil, Usagef("--%s and --after exclude each other", flag)
	case after != "":
		return StartAfter(after), nil
	}
	return ParseStart(flag, text, now)
}
