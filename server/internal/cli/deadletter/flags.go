package deadletter

import (
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/server/internal/cli/command"
)

// whichFlags say which dead letters are meant.
type whichFlags struct {
	event         command.FilterFlags
	causes        []string
	since, before string
	sequences     []int64
}

func (f *whichFlags) add(cmd *cobra.Command) {
	f.event.Add(cmd)
	flags := cmd.Flags()
	flags.StringSliceVar(&f.causes, "cause", nil, "only dead letters with this `CAUSE`: nack (a consumer asked for it), max-attempts (the last attempt was nacked) or deadline (its deadline passed); repeated: any of them")
	flags.StringVar(&f.since, "since", "", "only what became a dead letter at or after this "+command.TimeHelp)
	flags.StringVar(&f.before, "before", "", "only what became a dead letter before this `TIME`, as in --since")
	flags.Int64SliceVar(&f.sequences, "sequence", nil, "only the event with this `SEQUENCE`; repeated: any of them")
}

// filter returns what the flags describe, or nil for every dead letter.
func (f *whichFlags) filter(cmd *cobra.Command, now time.Time) (*tidingsv1.DeadLetterFilter, error) {
	event, err := f.event.Filter(cmd.InOrStdin())
	if err != nil {
		return nil, err
	}
	filter := &tidingsv1.DeadLetterFilter{Event: event, Sequences: f.sequences}
	for _, name := range f.causes {
		cause, ok := map[string]tidingsv1.DeadLetterCause{
			"nack":         tidingsv1.DeadLetterCause_DEAD_LETTER_CAUSE_NACK,
			"max-attempts": tidingsv1.DeadLetterCause_DEAD_LETTER_CAUSE_MAX_ATTEMPTS,
			"deadline":     tidingsv1.DeadLetterCause_DEAD_LETTER_CAUSE_DEADLINE,
		}[name]
		if !ok {
			return nil, command.Usagef("--cause: %q is not nack, max-attempts or deadline", name)
		}
		filter.Causes = append(filter.Causes, cause)
	}
	for _, bound := range []struct {
		flag, text string
		to         **timestamppb.Timestamp
	}{
		{"since", f.since, &filter.Since},
		{"before", f.before, &filter.Before},
	} {
		if bound.text == "" {
			continue
		}
		t, err := command.ParseTime(bound.text, now)
		if err != nil {
			return nil, command.Usagef("--%s: %q is not a time as 2006-01-02T15:04:05Z, a day as 2006-01-02, or how long ago as 90m or 7d", bound.flag, bound.text)
		}
		*bound.to = timestamppb.New(t)
	}
	if event == nil && len(filter.GetCauses()) == 0 && filter.GetSince() == nil && filter.GetBefore() == nil && len(filter.GetSequences()) == 0 {
		return nil, nil //nolint:nilnil // No filter is no error.
	}
	return filter, nil
}
