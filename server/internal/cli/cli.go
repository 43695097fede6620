// Package cli is the client side of the `tidings` command: it publishes, reads
// and consumes events and manages topics, subscriptions and dead letters
// through the contract, and knows no other part of the server. Each noun of the
// command line has a package of its own, over package command.
package cli

import (
	"context"

	"example.com/tidings/server/internal/cli/command"
	"example.com/tidings/server/internal/cli/consume"
	"example.com/tidings/server/internal/cli/deadletter"
	"example.com/tidings/server/internal/cli/publish"
	"example.com/tidings/server/internal/cli/read"
	"example.com/tidings/server/internal/cli/schema"
	"example.com/tidings/server/internal/cli/subscription"
	"example.com/tidings/server/internal/cli/topic"
)

// Program is what the command needs from its surroundings.
type Program = command.Program

// commands are those of the client, in the order of the documentation.
var commands = []command.Constructor{
	topic.Command,
	publish.Command,
	publish.ImportCommand,
	read.Command,
	read.GetCommand,
	subscription.Command,
	consume.Command,
	deadletter.Command,
	publish.ValidateCommand,
	schema.Command,
	infoCommand,
}

// Main runs the command with these arguments, without the program's name, and
// returns the exit status.
func Main(ctx context.Context, args []string, surroundings Program) int {
	surroundings.Commands = append(surroundings.Commands, initCommand(surroundings.Version), versionCommand(surroundings))
	return command.Main(ctx, args, surroundings, commands)
}
