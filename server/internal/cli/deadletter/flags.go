package deadletter

import (
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/server/internal/cli/command"
)

// deadLetterFlags say which dead letters are meant.
type deadLetterFlags struct {
	event         command.FilterFlags
	causes        []string
	since, before string
	sequences     []int64
}

func (f *deadLetterFlags) add(cmd *cobra.Command) {
	f.event.Add(cmd)
	flags := cmd.Flags()
	flags.StringSliceVar(&f.causes, "cause", nil, "only those with this `cause`: nack (a consumer said so), max-attempts (the last attempt ended with a nack) or deadline (it ended with its deadline); repeated: with any of them")
	flags.StringVar(&f.since, "since", "", "only what became a dead letter at this `time` or later: 2006-01-02T15:04:05Z, a day as 2006-01-02, or how long ago as 90m or 7d")
	flags.StringVar(&f.before, "before", "", "only what became a dead letter before this `time`, as in --since")
	flags.Int64SliceVar(&f.sequences, "sequence", nil, "only the event with this `sequence`; repeated: any of them")
}

// filter returns what the flags describe, or nil for every dead letter.
func (f *deadLetterFlags) filter(cmd *cobra.Command, now time.Time) (*tidingsv1.DeadLetterFilter, error) {
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
