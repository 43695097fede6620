package subscription

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/server/internal/cli/command"
)

// show makes a call and prints the subscription that it returns.
func show(cmd *cobra.Command, a *command.App, call func(*command.Client) (*tidingsv1.Subscription, error)) error {
	return command.Show(cmd, a, call, func(_ *command.Client, s *tidingsv1.Subscription) error {
		return command.Table(cmd.OutOrStdout(), rows(s)...)
	})
}

func rows(s *tidingsv1.Subscription) [][]string {
	rows := [][]string{
		{"name:", s.GetName()},
		{"topic:", s.GetTopic()},
		{"description:", s.GetDescription()},
		{"state:", state(s)},
		{"filter:", filterText(s.GetFilter())},
		{"ordering:", orderingName(s.GetOrdering())},
		{"ack deadline:", command.DurationName(s.GetAckDeadline())},
		{"retry:", retryText(s.GetRetryPolicy())},
		{"expires:", expiryText(s)},
		{"etag:", s.GetEtag()},
	}
	if s.GetCreateTime() != nil {
		rows = append(rows, []string{"created:", s.GetCreateTime().AsTime().Format(time.RFC3339)})
	}
	if s.GetUpdateTime() != nil {
		rows = append(rows, []string{"updated:", s.GetUpdateTime().AsTime().Format(time.RFC3339)})
	}
	if s.GetStatistics() != nil {
		rows = append(rows, statisticsRows(s.GetStatistics())...)
	}
	return rows
}

// statisticsRows shows the statistics.
func statisticsRows(s *tidingsv1.SubscriptionStatistics) [][]string {
	backlog := command.Count(s.GetBacklogEvents(), "event")
	if s.GetBacklogEstimated() {
		backlog = "about " + backlog
	}
	rows := [][]string{
		{"backlog:", backlog},
		{"in flight:", command.Count(s.GetInFlightEvents(), "event")},
		{"retrying:", command.Count(s.GetRetryingEvents(), "event")},
		{"blocked:", fmt.Sprintf("%s of %s", command.Count(s.GetBlockedEvents(), "event"), command.Count(s.GetBlockedKeys(), "key"))},
		{"dead letters:", strconv.FormatInt(s.GetDeadLetteredEvents(), 10)},
		{"oldest unsettled:", oldestText(s)},
		{"consumers:", strconv.Itoa(int(s.GetConsumers()))},
	}
	if s.GetLatestUseTime() != nil {
		rows = append(rows, []string{"latest use:", s.GetLatestUseTime().AsTime().Format(time.RFC3339)})
	}
	if gap := s.GetLatestGap(); gap != nil {
		rows = append(rows, []string{"latest gap:", fmt.Sprintf("sequence %d to before %d: retention removed what wasn't settled", gap.GetFirstSequence(), gap.GetNextSequence())})
	}
	return rows
}

func oldestText(s *tidingsv1.SubscriptionStatistics) string {
	if s.GetOldestUnsettledSequence() == 0 {
		return "none"
	}
	text := "sequence " + strconv.FormatInt(s.GetOldestUnsettledSequence(), 10)
	if s.GetOldestUnsettledPublishTime() != nil {
		text += ", published " + s.GetOldestUnsettledPublishTime().AsTime().Format(time.RFC3339Nano)
	}
	return text
}

func state(s *tidingsv1.Subscription) string {
	switch {
	case s.GetDetached():
		return "detached: its topic is deleted"
	case s.GetPaused():
		return "paused"
	}
	return "active"
}

func expiryText(s *tidingsv1.Subscription) string {
	if s.GetExpireAfterIdle() == nil {
		return "never"
	}
	return "after " + s.GetExpireAfterIdle().AsDuration().String() + " without a consumer"
}

// retryText shows a retry policy, and where it leaves something to the server,
// only that it does.
func retryText(p *tidingsv1.RetryPolicy) string {
	var parts []string
	if p.GetMinBackoff() != nil {
		parts = append(parts, "after "+p.GetMinBackoff().AsDuration().String())
	}
	if p.GetMultiplier() != 0 {
		parts = append(parts, "each delay × "+strconv.FormatFloat(p.GetMultiplier(), 'g', -1, 64))
	}
	if p.GetMaxBackoff() != nil {
		parts = append(parts, "at most "+p.GetMaxBackoff().AsDuration().String())
	}
	switch attempts := p.GetMaxAttempts(); {
	case p.GetUnlimitedAttempts():
		parts = append(parts, "unlimited attempts")
	case attempts > 0:
		parts = append(parts, command.Count(int64(attempts), "attempt"))
	}
	if len(parts) == 0 {
		return "default"
	}
	return strings.Join(parts, ", ")
}
