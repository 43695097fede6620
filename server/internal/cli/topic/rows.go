package topic

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/server/internal/cli/command"
)

// show makes a call and prints the topic that it returns.
func show(cmd *cobra.Command, a *command.App, call func(*command.Client) (*tidingsv1.Topic, error)) error {
	return command.Show(cmd, a, call, func(_ *command.Client, t *tidingsv1.Topic) error {
		return command.Table(cmd.OutOrStdout(), rows(t)...)
	})
}

func rows(t *tidingsv1.Topic) [][]string {
	settings := t.GetSettings()
	rows := [][]string{
		{"name:", t.GetName()},
		{"description:", settings.GetDescription()},
		{"owner:", settings.GetOwner()},
		{"declared:", command.YesOrNo(t.GetDeclared())},
		{"event types:", typeNames(settings)},
		{"dedupe:", dedupeName(settings.GetDedupe())},
		{"dedupe window:", command.DurationName(settings.GetDedupeWindow())},
		{"retention:", retentionName(settings.GetRetention())},
		{"etag:", t.GetEtag()},
	}
	if t.GetCreateTime() != nil {
		rows = append(rows, []string{"created:", t.GetCreateTime().AsTime().Format(time.RFC3339)})
	}
	if t.GetUpdateTime() != nil {
		rows = append(rows, []string{"updated:", t.GetUpdateTime().AsTime().Format(time.RFC3339)})
	}
	if s := t.GetStatistics(); s != nil {
		events := strconv.FormatInt(s.GetEventCount(), 10)
		if s.GetEventCountEstimated() {
			events = "about " + events
		}
		rows = append(rows,
			[]string{"events:", events},
			[]string{"earliest sequence:", strconv.FormatInt(s.GetEarliestSequence(), 10)},
			[]string{"latest sequence:", strconv.FormatInt(s.GetLatestSequence(), 10)},
			[]string{"stored bytes:", strconv.FormatInt(s.GetStoredBytes(), 10)})
		if s.GetLatestPublishTime() != nil {
			rows = append(rows, []string{"latest publish:", s.GetLatestPublishTime().AsTime().Format(time.RFC3339Nano)})
		}
	}
	return rows
}

func typeNames(t *optionsv1.TopicSettings) string {
	switch {
	case len(t.GetEventTypes()) == 0:
		return "those that declare it, else every type"
	case slices.Contains(t.GetEventTypes(), "*"):
		return "every type"
	default:
		return strings.Join(t.GetEventTypes(), ", ")
	}
}

func dedupeName(d optionsv1.Dedupe) string {
	return strings.ToLower(strings.TrimPrefix(d.String(), "DEDUPE_"))
}

func retentionName(r *optionsv1.Retention) string {
	var bounds []string
	if r.GetMaxAge() != nil {
		bounds = append(bounds, r.GetMaxAge().AsDuration().String())
	}
	if r.GetMaxBytes() > 0 {
		bounds = append(bounds, command.Count(r.GetMaxBytes(), "byte"))
	}
	if len(bounds) == 0 {
		return "forever"
	}
	return strings.Join(bounds, ", ")
}
