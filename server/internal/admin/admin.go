// Package admin has the commands of `tidings` for those who run a server, on its files:
// API keys, the access file, certificates to try it with. No server is asked.
package admin

import (
	"github.com/spf13/cobra"

	"example.com/tidings/server/internal/cli/command"
)

// Commands returns the commands.
func Commands() []*cobra.Command {
	return []*cobra.Command{keyCommand(), policyCommand(), devCertCommand()}
}

// group makes a command that only holds others.
func group(cmd *cobra.Command, commands ...*cobra.Command) *cobra.Command {
	cmd.AddCommand(commands...)
	return command.Group(cmd)
}
