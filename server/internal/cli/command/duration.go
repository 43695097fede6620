package command

import (
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
)

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

// DurationFlag is a flag whose value is read by parseDuration.
type DurationFlag struct{ time.Duration }

// Set reads the value.
func (d *DurationFlag) Set(text string) (err error) {
	d.Duration, err = parseDuration(text)
	return err
}

// String returns nothing for 0, so that the help shows no default.
func (d *DurationFlag) String() string {
	if d.Duration == 0 {
		return ""
	}
	return d.Duration.String()
}

// Type names the kind of the value, for errors.
func (d *DurationFlag) Type() string { return "duration" }

// DurationName shows a setting; nil is the default.
func DurationName(d *durationpb.Duration) string {
	if d == nil {
		return "default"
	}
	return d.AsDuration().String()
}
