// Package schema is `tidings schema`.
package schema

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/server/internal/cli/command"
)

// Command returns `tidings schema`.
func Command(a *command.App) *cobra.Command {
	cmd := command.Group(&cobra.Command{
		Use:   "schema",
		Short: "List and register event schemas",
		Example: `  tidings schema list
  tidings schema push events`,
	})
	cmd.AddCommand(
		listCommand(a),
		showCommand(a),
		revisionsCommand(a),
		checkCommand(a),
		pushCommand(a),
	)
	return cmd
}

func listCommand(a *command.App) *cobra.Command {
	var topic string
	var all bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List event types",
		Example: `  tidings schema list
  tidings schema list --topic orders`,
		Args: command.Arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			list := command.List[*tidingsv1.EventType]{
				Heading: []string{"NAME", "TOPIC", "KEY", "DEPRECATED"},
				Row: func(t *tidingsv1.EventType) []string {
					return []string{t.GetName(), t.GetTopic(), t.GetKey(), command.Yes(t.GetDeprecated())}
				},
				Page: func(c *command.Client, token string) ([]*tidingsv1.EventType, string, error) {
					response, err := c.Schemas.ListEventTypes(cmd.Context(), &tidingsv1.ListEventTypesRequest{Topic: topic, IncludeUndeclared: all, PageToken: token})
					return response.GetEventTypes(), response.GetNextPageToken(), err
				},
			}
			return list.Print(cmd, a)
		},
	}
	cmd.Flags().StringVar(&topic, "topic", "", "only types that declare this `TOPIC`")
	cmd.Flags().BoolVar(&all, "all", false, "include messages that declare no topic")
	command.AddOutputFlag(cmd)
	return cmd
}

func showCommand(a *command.App) *cobra.Command {
	var descriptors, revision string
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Show an event type, its fields and validation rules",
		Example: `  tidings schema show shop.orders.v1.OrderPlaced
  tidings schema show shop.orders.v1.OrderPlaced --descriptors order.binpb`,
		Args: command.Arguments("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var response *tidingsv1.GetEventTypeResponse
			get := func(c *command.Client) (_ *tidingsv1.EventType, err error) {
				response, err = c.Schemas.GetEventType(cmd.Context(), &tidingsv1.GetEventTypeRequest{Name: args[0], Revision: revision})
				if err == nil && descriptors != "" {
					err = writeDescriptors(descriptors, response)
				}
				return response.GetEventType(), err
			}
			return command.Show(cmd, a, get, func(*command.Client, *tidingsv1.EventType) error {
				t, err := command.NewPayloadType(response)
				if err != nil {
					return fmt.Errorf("event type %s as the server describes it: %w", args[0], err)
				}
				return outline(cmd.OutOrStdout(), t)
			})
		},
	}
	cmd.Flags().StringVar(&revision, "revision", "", "show the type as of this `REVISION`, the schemaRevision of an event")
	cmd.Flags().StringVar(&descriptors, "descriptors", "", "write the FileDescriptorSet of the type and its imports to this `FILE`")
	command.AddOutputFlag(cmd)
	return cmd
}

func revisionsCommand(a *command.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "revisions NAME",
		Short:   "List the revisions of an event type, newest first",
		Example: "  tidings schema revisions shop.orders.v1.OrderPlaced",
		Args:    command.Arguments("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			list := command.List[*tidingsv1.EventTypeRevision]{
				Heading: []string{"REVISION", "CREATED"},
				Row: func(r *tidingsv1.EventTypeRevision) []string {
					return []string{r.GetRevision(), r.GetCreateTime().AsTime().Format(time.RFC3339)}
				},
				Page: func(c *command.Client, token string) ([]*tidingsv1.EventTypeRevision, string, error) {
					response, err := c.Schemas.ListEventTypeRevisions(cmd.Context(), &tidingsv1.ListEventTypeRevisionsRequest{Name: args[0], PageToken: token})
					return response.GetRevisions(), response.GetNextPageToken(), err
				},
			}
			return list.Print(cmd, a)
		},
	}
	command.AddOutputFlag(cmd)
	return cmd
}

func writeDescriptors(path string, response *tidingsv1.GetEventTypeResponse) error {
	encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(response.GetFileDescriptorSet())
	if err != nil {
		return err
	}
	return os.WriteFile(path, encoded, 0o644)
}
