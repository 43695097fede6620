package subscription

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/server/internal/cli/command"
)

// settingsFlags are the settings of a subscription that can be changed.
type settingsFlags struct {
	description string
	filter      command.FilterFlags
	ackDeadline command.DurationFlag
	minBackoff  command.DurationFlag
	maxBackoff  command.DurationFlag
	multiplier  float64
	maxAttempts attemptsFlag
	expireAfter command.DurationFlag
}

func (f *settingsFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.description, "description", "", "`TEXT` that says what the subscription is for")
	f.filter.Add(cmd)
	flags.Var(&f.ackDeadline, "ack-deadline", "`DURATION` after which an event that isn't settled is delivered again, 1s to 1h; consumers can extend it; 0: server default (30s)")
	flags.Var(&f.minBackoff, "min-backoff", "`DURATION` before the second delivery attempt (server default: 1s)")
	flags.Var(&f.maxBackoff, "max-backoff", "longest `DURATION` between delivery attempts (server default: 5m)")
	flags.Float64Var(&f.multiplier, "multiplier", 0, "`FACTOR` by which each delay is longer than the one before, 1 to 10; 0: server default (2)")
	flags.Var(&f.maxAttempts, "max-attempts", "max delivery attempts before dead-lettering: a `NUMBER` from 1 to 1000, or unlimited; 0: server default (10)")
	flags.Var(&f.expireAfter, "expire-after-idle", "delete the subscription with its dead letters when no consumer has used it for this `DURATION`, such as 30d; 0: never")
}

// subscription returns a subscription with the settings of the flags.
func (f *settingsFlags) subscription(cmd *cobra.Command, name string) (*tidingsv1.Subscription, error) {
	s := &tidingsv1.Subscription{Name: name, Description: f.description}
	var err error
	if s.Filter, err = f.filter.Filter(cmd.InOrStdin()); err != nil {
		return nil, err
	}
	if f.ackDeadline.Duration != 0 {
		s.AckDeadline = durationpb.New(f.ackDeadline.Duration)
	}
	if f.expireAfter.Duration != 0 {
		s.ExpireAfterIdle = durationpb.New(f.expireAfter.Duration)
	}
	// A backoff of 0 differs from one that isn't said.
	policy, said := new(tidingsv1.RetryPolicy), false
	if f.multiplier != 0 {
		policy.Multiplier, said = &f.multiplier, true
	}
	switch {
	case f.maxAttempts.unlimited:
		policy.Attempts, said = &tidingsv1.RetryPolicy_UnlimitedAttempts{UnlimitedAttempts: true}, true
	case f.maxAttempts.number != 0:
		policy.Attempts, said = &tidingsv1.RetryPolicy_MaxAttempts{MaxAttempts: f.maxAttempts.number}, true
	}
	if cmd.Flags().Changed("min-backoff") {
		policy.MinBackoff, said = durationpb.New(f.minBackoff.Duration), true
	}
	if cmd.Flags().Changed("max-backoff") {
		policy.MaxBackoff, said = durationpb.New(f.maxBackoff.Duration), true
	}
	if said {
		s.RetryPolicy = policy
	}
	return s, nil
}

// paths are the paths that UpdateSubscription takes, by the flag
// that sets them, the filter and the attempts aside.
var paths = []struct{ flag, path string }{
	{"description", "description"},
	{"ack-deadline", "ack_deadline"},
	{"min-backoff", "retry_policy.min_backoff"},
	{"max-backoff", "retry_policy.max_backoff"},
	{"multiplier", "retry_policy.multiplier"},
	{"expire-after-idle", "expire_after_idle"},
}

// changed returns the paths of the settings that the flags name.
func (f *settingsFlags) changed(cmd *cobra.Command) *fieldmaskpb.FieldMask {
	mask := new(fieldmaskpb.FieldMask)
	for _, p := range paths {
		if cmd.Flags().Changed(p.flag) {
			mask.Paths = append(mask.Paths, p.path)
		}
	}
	if cmd.Flags().Changed("max-attempts") { // Both, so that 0 unsets whichever there is.
		mask.Paths = append(mask.Paths, "retry_policy.max_attempts", "retry_policy.unlimited_attempts")
	}
	if f.filter.Changed(cmd.Flags()) {
		mask.Paths = append(mask.Paths, "filter")
	}
	return mask
}

// attemptsFlag is a number of attempts, or that there is no bound to them.
type attemptsFlag struct {
	number    int32
	unlimited bool
}

// unlimitedAttempts is the value of the flag that says so.
const unlimitedAttempts = "unlimited"

func (a *attemptsFlag) Set(text string) error {
	if text == unlimitedAttempts {
		*a = attemptsFlag{unlimited: true}
		return nil
	}
	number, err := strconv.ParseInt(text, 10, 32)
	*a = attemptsFlag{number: int32(number)}
	return err
}

func (a *attemptsFlag) String() string {
	if a.unlimited {
		return unlimitedAttempts
	}
	return strconv.Itoa(int(a.number))
}

func (a *attemptsFlag) Type() string { return "attempts" }

// parseOrdering reads the value of `--ordering`.
func parseOrdering(text string) (tidingsv1.Ordering, error) {
	ordering, ok := map[string]tidingsv1.Ordering{
		"none":  tidingsv1.Ordering_ORDERING_NONE,
		"key":   tidingsv1.Ordering_ORDERING_KEY,
		"total": tidingsv1.Ordering_ORDERING_TOTAL,
	}[text]
	if !ok {
		return 0, command.Usagef("--ordering: %q is not none, key or total", text)
	}
	return ordering, nil
}

func orderingName(o tidingsv1.Ordering) string {
	return strings.ToLower(strings.TrimPrefix(o.String(), "ORDERING_"))
}
