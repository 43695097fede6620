package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"example.com/tidings/server/internal/cli/command"
	"example.com/tidings/server/internal/scaffold"
)

func initCommand(version string) *cobra.Command {
	var module string
	cmd := &cobra.Command{
		Use:   "init DIR --module PATH",
		Short: "Write a schema repository for events of your own",
		Long: `Write a schema repository: one event with its topic, the configuration of Buf,
pinned tools, a CI workflow and a README. DIR must not exist, or be empty except
for .git. No server is needed.`,
		Example: "  tidings init events --module git.example.org/acme/events",
		Args:    command.Arguments("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if module == "" {
				return command.Usagef("--module is missing: the path of the Go module, where Git will have it, such as git.example.org/acme/events")
			}
			repository, err := scaffold.New(module, version)
			if err != nil {
				return command.Usagef("--module: %w", err)
			}
			if err := repository.Write(args[0]); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), `%s has the schema repository %s. Next, in it:
  go -C tools mod tidy       # pin the tools
  go -C tools install tool   # install Buf and its plugins
  buf generate               # generate the code
  go mod tidy                # pin what it imports
  buf lint                   # check the schemas
`, args[0], module)
			return nil
		},
	}
	cmd.Flags().StringVar(&module, "module", "", "`PATH` of its Go module, where Git will have it")
	return cmd
}
