// Package topic is `tidings topic`.
package topic

import (
	"fmt"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/server/internal/cli/command"
)

// Command returns `tidings topic`.
func Command(a *command.App) *cobra.Command {
	cmd := command.Group(&cobra.Command{
		Use:     "topic",
		Short:   "Create, show, update and delete topics",
		Example: "  tidings topic create orders --owner checkout --max-age 30d\n  tidings topic list",
	})
	cmd.AddCommand(createCommand(a), getCommand(a), listCommand(a), updateCommand(a), deleteCommand(a))
	return cmd
}

func createCommand(a *command.App) *cobra.Command {
	var settings settingsFlags
	var dedupe string
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Create a topic",
		Example: `  tidings topic create orders --owner checkout --max-age 30d
  tidings topic create payments --dedupe event --dedupe-window 10m`,
		Args: command.Arguments("NAME"),
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
			return show(cmd, a, func(c *command.Client) (*tidingsv1.Topic, error) {
				response, err := c.Topics.CreateTopic(cmd.Context(), &tidingsv1.CreateTopicRequest{Topic: topic})
				return response.GetTopic(), err
			})
		},
	}
	settings.add(cmd)
	cmd.Flags().StringVar(&dedupe, "dedupe", "request", "what is recognised when it is published again: a whole request, or each event by its source and id, at a cost. `MODE` is request or event and can't be changed later")
	command.AddOutputFlag(cmd)
	return cmd
}

func getCommand(a *command.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "get NAME",
		Short:   "Show a topic, its settings and statistics",
		Example: "  tidings topic get orders\n  tidings topic get orders --output json",
		Args:    command.Arguments("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return show(cmd, a, func(c *command.Client) (*tidingsv1.Topic, error) {
				response, err := c.Topics.GetTopic(cmd.Context(), &tidingsv1.GetTopicRequest{Name: args[0]})
				return response.GetTopic(), err
			})
		},
	}
	command.AddOutputFlag(cmd)
	return cmd
}

func listCommand(a *command.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List topics",
		Example: "  tidings topic list",
		Args:    command.Arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			list := command.List[*tidingsv1.Topic]{
				Heading: []string{"NAME", "OWNER", "DECLARED", "DEDUPE", "WINDOW", "RETENTION", "EVENT TYPES", "DESCRIPTION"},
				Row: func(t *tidingsv1.Topic) []string {
					s := t.GetSettings()
					return []string{
						t.GetName(), s.GetOwner(), command.YesOrNo(t.GetDeclared()), dedupeName(s.GetDedupe()), command.DurationName(s.GetDedupeWindow()),
						retentionName(s.GetRetention()), typeNames(s), s.GetDescription(),
					}
				},
				Page: func(c *command.Client, token string) ([]*tidingsv1.Topic, string, error) {
					response, err := c.Topics.ListTopics(cmd.Context(), &tidingsv1.ListTopicsRequest{PageToken: token})
					return response.GetTopics(), response.GetNextPageToken(), err
				},
			}
			return list.Print(cmd, a)
		},
	}
	command.AddOutputFlag(cmd)
	return cmd
}

func updateCommand(a *command.App) *cobra.Command {
	var settings settingsFlags
	var etag string
	cmd := &cobra.Command{
		Use:     "update NAME",
		Short:   "Update the settings of a topic for which flags are given",
		Example: "  tidings topic update orders --max-age 90d",
		Args:    command.Arguments("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			request := &tidingsv1.UpdateTopicRequest{Topic: settings.topic(args[0]), UpdateMask: &fieldmaskpb.FieldMask{Paths: changed(cmd)}}
			request.Topic.Etag = etag
			if len(request.GetUpdateMask().GetPaths()) == 0 {
				return command.Usagef("nothing to change: no flag names a setting")
			}
			return show(cmd, a, func(c *command.Client) (*tidingsv1.Topic, error) {
				response, err := c.Topics.UpdateTopic(cmd.Context(), request)
				return response.GetTopic(), err
			})
		},
	}
	settings.add(cmd)
	cmd.Flags().StringVar(&etag, "etag", "", "update the topic only if this is its current `ETAG`")
	command.AddOutputFlag(cmd)
	return cmd
}

func deleteCommand(a *command.App) *cobra.Command {
	var etag string
	cmd := &cobra.Command{
		Use:     "delete NAME",
		Short:   "Delete a topic and its events permanently",
		Example: "  tidings topic delete orders",
		Args:    command.Arguments("NAME"),
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
	cmd.Flags().StringVar(&etag, "etag", "", "delete the topic only if this is its current `ETAG`")
	return cmd
}
