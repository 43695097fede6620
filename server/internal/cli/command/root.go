package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// Main runs `tidings` with these commands and arguments, without the program's
// name, and returns the exit status. SIGINT and SIGTERM end the context that the
// command runs with; a second one ends the process.
func Main(ctx context.Context, args []string, surroundings Program, commands []Constructor) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)()

	root, started := newRoot(surroundings, commands)
	root.SetArgs(args)
	root.SetIn(surroundings.Stdin)
	out := &checkedOutput{w: surroundings.Stdout}
	root.SetOut(out)
	root.SetErr(surroundings.Stderr)
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
		err = AsUsage(err)
	}
	if ctx.Err() != nil && IsCancellation(err) {
		err = ErrInterrupted
	}
	fmt.Fprintln(surroundings.Stderr, "tidings: "+Printable(Describe(err)))
	if errors.As(err, new(usageError)) {
		fmt.Fprintf(surroundings.Stderr, "Run '%s --help' for usage.\n", cmd.CommandPath())
	}
	return ExitStatus(err)
}

// newRoot returns the command tree, and whether a command of it has been
// started, as opposed to refused for its arguments.
func newRoot(surroundings Program, commands []Constructor) (root *cobra.Command, started *bool) {
	a := &App{Version: surroundings.Version}
	started = new(bool)
	root = Group(&cobra.Command{
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
		Version:       a.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRun: func(*cobra.Command, []string) {
			*started = true
		},
	})
	root.SetVersionTemplate(a.VersionLine())
	flags := root.PersistentFlags()
	flags.StringVar(&a.server, "server", "", "`URL` of the server: http(s)://host:port, or grpc(s)://host:port for the gRPC protocol (environment: "+ServerVariable+"; default "+defaultServer+")")
	flags.DurationVar(&a.timeout, "timeout", 30*time.Second, "how long a call that answers once may take; 0: without bound")
	root.AddCommand(surroundings.Commands...)
	for _, newCommand := range commands {
		root.AddCommand(newCommand(a))
	}
	return root, started
}
