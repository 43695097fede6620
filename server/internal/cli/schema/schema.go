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

func Command(a *command.App) *cobra.Command {
	cmd := command.Group(&cobra.Command{
		Use:   "schema",
		Short: "Show the event types of the server, and give it others",
	})
	cmd.AddCommand(
		schemaListCommand(a),
		schemaShowCommand(a),
		schemaRevisionsCommand(a),
		schemaCheckCommand(a),
		schemaPushCommand(a),
	)
	return cmd
}

func schemaListCommand(a *command.App) *cobra.Command {
	var topic string
	var all bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the event types",
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
			rows := [][]string{{"NAME", "TOPIC", "KEY", "DEPRECATED"}}
			request := &tidingsv1.ListEventTypesRequest{Topic: topic, IncludeUndeclared: all}
			for {
				response, err := c.Schemas.ListEventTypes(cmd.Context(), request)
				if err != nil {
					return err
				}
				if asJSON {
					if err := command.PrintJSON(cmd, response.GetEventTypes()...); err != nil {
						return err
					}
				}
				for _, t := range response.GetEventTypes() {
					rows = append(rows, []string{t.GetName(), t.GetTopic(), t.GetKey(), command.Yes(t.GetDeprecated())})
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
	cmd.Flags().StringVar(&topic, "topic", "", "list only the types that declare this topic")
	cmd.Flags().BoolVar(&all, "all", false, "list also the messages that declare no topic")
	command.AddOutputFlag(cmd)
	return cmd
}

func schemaShowCommand(a *command.App) *cobra.Command {
	var descriptors, revision string
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Show an event type with its fields and their rules",
		Args:  command.Arguments("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := command.WantsJSON(cmd)
			if err != nil {
				return err
			}
			c, err := a.Client()
			if err != nil {
				return err
			}
			response, err := c.Schemas.GetEventType(cmd.Context(), &tidingsv1.GetEventTypeRequest{Name: args[0], Revision: revision})
			if err != nil {
				return err
			}
			if descriptors != "" {
				if err := writeDescriptors(descriptors, response); err != nil {
					return err
				}
			}
			if asJSON {
				return command.PrintJSON(cmd, response.GetEventType())
			}
			t, err := command.NewPayloadType(response)
			if err != nil {
				return fmt.Errorf("event type %s as the server describes it: %w", args[0], err)
			}
			return outline(cmd.OutOrStdout(), t)
		},
	}
	cmd.Flags().StringVar(&revision, "revision", "", "show the type as it was in this revision, which an event names as its `schemaRevision`")
	cmd.Flags().StringVar(&descriptors, "descriptors", "", "write the type's FileDescriptorSet, with everything it needs, to this `file`")
	command.AddOutputFlag(cmd)
	return cmd
}

func schemaRevisionsCommand(a *command.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "revisions NAME",
		Short: "List the revisions of an event type, the newest first",
		Args:  command.Arguments("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := command.WantsJSON(cmd)
			if err != nil {
				return err
			}
			c, err := a.Client()
			if err != nil {
				return err
			}
			rows := [][]string{{"REVISION", "CREATED"}}
			request := &tidingsv1.ListEventTypeRevisionsRequest{Name: args[0]}
			for {
				response, err := c.Schemas.ListEventTypeRevisions(cmd.Context(), request)
				if err != nil {
					return err
				}
				if asJSON {
					if err := command.PrintJSON(cmd, response.GetRevisions()...); err != nil {
						return err
					}
				}
				for _, r := range response.GetRevisions() {
					rows = append(rows, []string{r.GetRevision(), r.GetCreateTime().AsTime().Format(time.RFC3339)})
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

func writeDescriptors(path string, response *tidingsv1.GetEventTypeResponse) error {
	encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(response.GetFileDescriptorSet())
	if err != nil {
		return err
	}
	return os.WriteFile(path, encoded, 0o644)
}
