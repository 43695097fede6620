package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"example.com/tidings/server/internal/scaffold"
)

func (a *app) initCommand() *cobra.Command {
	var module string
	cmd := &cobra.Command{
		Use:   "init DIR --module PATH",
		Short: "Write a schema repository for events of your own",
		Long: `Writes a repository that declares events: one event with its topic, the
configuration of Buf, the pinned tools, a CI workflow and a README. DIR must be
empty or not there.`,
		Example: "  tidings init events --module git.example.org/acme/events",
		Args:    arguments("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			repository, err := scaffold.New(module, a.version)
			if err != nil {
				return usagef("--module: %v", err)
			}
			if err := repository.Write(args[0]); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), `%s written, for %s. In it:
  go -C tools mod tidy && go -C tools install tool   # Buf and its plugins
  buf generate && go mod tidy                         # the code
  buf lint                                            # the rules
`, args[0], module)
			return nil
		},
	}
	cmd.Flags().StringVar(&module, "module", "", "`path` of its Go module, where Git will have it")
	if err := cmd.MarkFlagRequired("module"); err != nil {
		panic(err)
	}
	return cmd
}
