// Package topic is `tidings topic`.
package topic

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/server/internal/cli/command"
)

func Command(a *command.App) *cobra.Command {
	cmd := command.Group(&cobra.Command{
		Use:   "topic",
		Short: "Create, show, change and delete topics",
	})
	cmd.AddCommand(
		topicCreateCommand(a),
		topicGetCommand(a),
		topicListCommand(a),
		topicUpdateCommand(a),
		topicDeleteCommand(a),
	)
	return cmd
}

// topicFlags are the settings of a topic.
type topicFlags struct {
	description string
	owner       string
	eventTypes  []string
	window      command.DurationFlag
	maxAge      command.DurationFlag
	maxBytes    int64
}

func (f *topicFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.description, "description", "", "what the topic is for")
	flags.StringVar(&f.owner, "owner", "", "who answers for the topic: a team, an address")
	flags.StringSliceVar(&f.eventTypes, "event-type", nil, "full `name` of a type that the topic takes, or * for every type; may be repeated. Empty: the types that declare the topic or, where none does, every type")
	flags.Var(&f.window, "dedupe-window", "for how long a repeated publish is recognised, 1s to 7d. 0: as the server has it (2m)")
	flags.Var(&f.maxAge, "max-age", "age after which events are removed, such as 30d. 0: never")
	flags.Int64Var(&f.maxBytes, "max-bytes", 0, "size in `bytes` above which the oldest events are removed. 0: none")
}

// topic returns a topic with the settings of the flags.
func (f *topicFlags) topic(name string) *tidingsv1.Topic {
	settings := &optionsv1.TopicSettings{Description: f.description, Owner: f.owner}
	for _, name := range f.eventTypes {
		if name != "" {
			settings.EventTypes = append(settings.EventTypes, name)
		}
	}
	if f.window.Duration != 0 {
		settings.DedupeWindow = durationpb.New(f.window.Duration)
	}
	if f.maxAge.Duration != 0 || f.maxBytes != 0 {
		settings.Retention = &optionsv1.Retention{MaxBytes: f.maxBytes}
		if f.maxAge.Duration != 0 {
			settings.Retention.MaxAge = durationpb.New(f.maxAge.Duration)
		}
	}
	return &tidingsv1.Topic{Name: name, Settings: settings}
}

func topicCreateCommand(a *command.App) *cobra.Command {
	var settings topicFlags
	var dedupe string
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Create a topic",
		Args:  command.Arguments("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			topic := settings.topic(args[0])
			switch dedupe {
			case "request":
				topic.Settings.Dedupe = optionsv1.Dedupe_DEDUPE_REQUEST
			case "event":
				topic.Settings.Dedupe = optionsv1.Dedupe_DEDUPE_EVENT
			default:
				return command.Usagef("--dedupe: %q is not request or event", dedupe)
			}
			return showTopic(a, cmd, func(c *command.Client) (*tidingsv1.Topic, error) {
				response, err := c.Topics.CreateTopic(cmd.Context(), &tidingsv1.CreateTopicRequest{Topic: topic})
				return response.GetTopic(), err
			})
		},
	}
	settings.add(cmd)
	cmd.Flags().StringVar(&dedupe, "dedupe", "request", "what makes a repeated publish safe: a `request` is recognised, or each event by its source and id, at a cost. It can't be changed later")
	command.AddOutputFlag(cmd)
	return cmd
}

func topicGetCommand(a *command.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "get NAME",
		Short: "Show a topic and what it holds",
		Args:  command.Arguments("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return showTopic(a, cmd, func(c *command.Client) (*tidingsv1.Topic, error) {
				response, err := c.Topics.GetTopic(cmd.Context(), &tidingsv1.GetTopicRequest{Name: args[0]})
				return response.GetTopic(), err
			})
		},
	}
	command.AddOutputFlag(cmd)
	return cmd
}

func topicListCommand(a *command.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the topics",
		Args:  command.Arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := command.WantsJSON(cmd)
			if err != nil {
				return err
			}
			c, err := a.Client()
			if err != nil {
				return err
			}
			rows := [][]string{{"NAME", "OWNER", "DECLARED", "DEDUPE", "WINDOW", "RETENTION", "EVENT TYPES", "DESCRIPTION"}}
			request := new(tidingsv1.ListTopicsRequest)
			for {
				response, err := c.Topics.ListTopics(cmd.Context(), request)
				if err != nil {
					return err
				}
				if asJSON {
					if err := command.PrintJSON(cmd, response.GetTopics()...); err != nil {
						return err
					}
				}
				for _, t := range response.GetTopics() {
					s := t.GetSettings()
					rows = append(rows, []string{
						t.GetName(), s.GetOwner(), command.YesOrNo(t.GetDeclared()), dedupeName(s.GetDedupe()), command.DurationName(s.GetDedupeWindow()),
						retentionName(s.GetRetention()), typeNames(s), s.GetDescription(),
					})
				}
				if request.PageToken = response.GetNextPageToken(); request.GetPageToken() == "" {
					break
				}
			}
			if asJSON {
				return nil
			}
			return command.Table(cmd.OutOrStdout(), rows...)
		},
	}
	command.AddOutputFlag(cmd)
	return cmd
}

// topicPaths are the paths that UpdateTopic takes, by the flag that sets them.
var topicPaths = []struct{ flag, path string }{
	{"description", "settings.description"},
	{"owner", "settings.owner"},
	{"event-type", "settings.event_types"},
	{"dedupe-window", "settings.dedupe_window"},
	{"max-age", "settings.retention.max_age"},
	{"max-bytes", "settings.retention.max_bytes"},
}

func topicUpdateCommand(a *command.App) *cobra.Command {
	var settings topicFlags
	var etag string
	cmd := &cobra.Command{
		Use:   "update NAME",
		Short: "Change the settings of a topic that the flags name",
		Args:  command.Arguments("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			request := &tidingsv1.UpdateTopicRequest{Topic: settings.topic(args[0]), UpdateMask: new(fieldmaskpb.FieldMask)}
			request.Topic.Etag = etag
			for _, p := range topicPaths {
				if cmd.Flags().Changed(p.flag) {
					request.UpdateMask.Paths = append(request.UpdateMask.Paths, p.path)
				}
			}
			if len(request.GetUpdateMask().GetPaths()) == 0 {
				return command.Usagef("nothing to change: no flag names a setting")
			}
			return showTopic(a, cmd, func(c *command.Client) (*tidingsv1.Topic, error) {
				response, err := c.Topics.UpdateTopic(cmd.Context(), request)
				return response.GetTopic(), err
			})
		},
	}
	settings.add(cmd)
	cmd.Flags().StringVar(&etag, "etag", "", "change the topic only if this is its present etag")
	command.AddOutputFlag(cmd)
	return cmd
}

func topicDeleteCommand(a *command.App) *cobra.Command {
	var etag string
	cmd := &cobra.Command{
		Use:   "delete NAME",
		Short: "Delete a topic and every event in it, for good",
		Args:  command.Arguments("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			if _, err := c.Topics.DeleteTopic(cmd.Context(), &tidingsv1.DeleteTopicRequest{Name: args[0], Etag: etag}); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s deleted\n", args[0])
			return nil
		},
	}
	cmd.Flags().StringVar(&etag, "etag", "", "delete the topic only if this is its present etag")
	return cmd
}

// showTopic makes a call and prints the topic that it returns.
func showTopic(a *command.App, cmd *cobra.Command, call func(*command.Client) (*tidingsv1.Topic, error)) error {
	asJSON, err := command.WantsJSON(cmd)
	if err != nil {
		return err
	}
	c, err := a.Client()
	if err != nil {
		return err
	}
	topic, err := call(c)
	if err != nil {
		return err
	}
	if asJSON {
		return command.PrintJSON(cmd, topic)
	}
	return command.Table(cmd.OutOrStdout(), topicRows(topic)...)
}

func topicRows(t *tidingsv1.Topic) [][]string {
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
		return "for ever"
	}
	return strings.Join(bounds, ", ")
}
