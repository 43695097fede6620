package read

import (
	"strconv"

	"github.com/spf13/cobra"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/server/internal/cli/command"
)

// GetCommand returns `tidings get`.
func GetCommand(a *command.App) *cobra.Command {
	return &cobra.Command{
		Use:     "get TOPIC SEQUENCE",
		Short:   "Print one event as a line of JSON",
		Example: "  tidings get orders 4097",
		Args:    command.Arguments("TOPIC", "SEQUENCE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			sequence, err := strconv.ParseInt(args[1], 10, 64)
			if err != nil {
				return command.Usagef("%q is not a sequence", args[1])
			}
			c, err := a.Client()
			if err != nil {
				return err
			}
			response, err := c.Reader.GetEvent(cmd.Context(), &tidingsv1.GetEventRequest{Topic: args[0], Sequence: sequence})
			if err != nil {
				return err
			}
			return command.PrintJSON(cmd, command.NewPayloadTypes(c), response.GetRecorded())
		},
	}
}
