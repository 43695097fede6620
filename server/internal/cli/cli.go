// Package cli is the client side of the `tidings` command: it publishes, reads
// and consumes events and manages topics, subscriptions and dead letters
// through the contract, and knows no other part of the server.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// Program is what the command needs from its surroundings.
type Program struct {
	// Version is the version of the binary, as SemVer without a leading v.
	Version string
	// Commands are further commands of the binary, such as `serve`.
	Commands []*cobra.Command
	// Stdin, Stdout and Stderr are the standard streams. Required.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// Main runs the command with these arguments, without the program's name, and
// returns the exit status. SIGINT and SIGTERM end the context that the command
// runs with; a second one ends the process.
func Main(ctx context.Context, args []string, program Program) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)()

	root, started := newRoot(program)
	root.SetArgs(args)
	root.SetIn(program.Stdin)
	out := &checkedOutput{w: program.Stdout}
	root.SetOut(out)
	root.SetErr(program.Stderr)
	cmd, err := root.ExecuteContextC(ctx)
	switch {
	case err != nil:
	case out.failed() != nil:
		*started, err = true, out.failed() // Help and the version are no commands.
	default:
		return StatusOK
	}
	if !*started {
		// Cobra didn't get as far as running the command: its errors are about
		// the arguments.
		err = usageError{err}
	}
	if ctx.Err() != nil && isCancellation(err) {
		err = errInterrupted
	}
	fmt.Fprintln(program.Stderr, "tidings: "+printable(describe(err)))
	if errors.As(err, new(usageError)) {
		fmt.Fprintf(program.Stderr, "Run '%s --help' for usage.\n", cmd.CommandPath())
	}
	return exitStatus(err)
}

// app is what the flags of the root command say.
type app struct {
	server  string
	timeout time.Duration
	version string
}

// newRoot returns the command tree, and whether a command of it has been
// started, as opposed to refused for its arguments.
func newRoot(program Program) (root *cobra.Command, started *bool) {
	a := &app{version: program.Version}
	started = new(bool)
	root = group(&cobra.Command{
		Use:   "tidings",
		Short: "Publish, read and consume events, and run the server that stores them",
		Long: `Publish, read and consume events, and run the server that stores them.

Events are JSON, one a line: a tidings.v1.Event in protobuf's JSON form, with the
message readable beside its "@type".

Exit status:
  0    Done.
  1    Failed: the server couldn't be reached, or couldn't do it just now; a file
       couldn't be read. The same command may succeed later.
  2    Wrong usage: a command, an argument, a flag or a setting.
  3    Refused: the server, or the check before sending, refused the request or
       some of the events. The same command is refused again.
  4    Not found: what the command names doesn't exist.
  130  Interrupted by SIGINT (Ctrl-C) or SIGTERM.`,
		Version:       a.version,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRun: func(*cobra.Command, []string) {
			*started = true
		},
	})
	root.SetVersionTemplate(a.versionLine())
	flags := root.PersistentFlags()
	flags.StringVar(&a.server, "server", "", "`URL` of the server: http(s)://host:port, or grpc(s)://host:port for the gRPC protocol (environment: "+serverVariable+"; default "+defaultServer+")")
	flags.DurationVar(&a.timeout, "timeout", 30*time.Second, "how long a call that answers once may take; 0: without bound")
	root.AddCommand(program.Commands...)
	root.AddCommand(
		a.topicCommand(),
		a.publishCommand(),
		a.importCommand(),
		a.readCommand(),
		a.getCommand(),
		a.subscriptionCommand(),
		a.consumeCommand(),
		a.deadLetterCommand(),
		a.validateCommand(),
		a.schemaCommand(),
		a.initCommand(),
		a.infoCommand(),
		a.versionCommand(),
	)
	return root, started
}

// group makes a command that only holds others: alone it shows its help, and
// what it doesn't hold is wrong usage.
func group(cmd *cobra.Command) *cobra.Command {
	cmd.Args = cobra.ArbitraryArgs
	cmd.SuggestionsMinimumDistance = 2
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		problem := fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath())
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			problem += "; did you mean " + strings.Join(near, " or ") + "?"
		}
		return usageError{errors.New(problem)}
	}
	return cmd
}

// arguments wants exactly these positional arguments.
func arguments(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return fmt.Errorf("missing argument %s", names[len(args)])
		case len(args) > len(names):
			return fmt.Errorf("unexpected argument %q", args[len(names)])
		}
		return nil
	}
}
