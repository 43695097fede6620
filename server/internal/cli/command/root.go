package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

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
	case out.failed() != nil:
		*started, err = true, cmp.Or(err, out.failed()) // Help and the version are no commands.
	case err == nil:
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

// helpColumns is how wide the help of flags is.
const helpColumns = 80

// newRoot returns the command tree, and whether a command of it has been
// started, as opposed to refused for its arguments.
func newRoot(surroundings Program, commands []Constructor) (root *cobra.Command, started *bool) {
	a := new(App)
	started = new(bool)
	root = Group(&cobra.Command{
		Use:   "tidings",
		Short: "Publish, read and consume events, and run the server that stores them",
		Long: `Publish, read and consume events, and run the server that stores them.

Events are JSON, one a line: a tidings.v1.Event in protobuf's JSON form, with
the message beside its "@type".

Exit status:
  0    Done.
  1    Failed: the server couldn't be reached or is temporarily unable, or a
       file couldn't be read. The same command may succeed later.
  2    Wrong usage: a command, an argument, a flag or a setting.
  3    Refused: the server, or the check before sending, refused the request or
       some of the events. The same command is refused again.
  4    Not found: what the command names doesn't exist.
  130  Interrupted by SIGINT (Ctrl-C) or SIGTERM.`,
		Example: `  tidings serve --schemas events
  tidings publish orders.jsonl
  tidings read orders --follow`,
		Version:       surroundings.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRun: func(*cobra.Command, []string) {
			*started = true
		},
	})
	root.SetVersionTemplate(surroundings.VersionLine())
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), "FlagUsages", fmt.Sprintf("FlagUsagesWrapped %d", helpColumns)))
	root.AddCommand(surroundings.Commands...)
	// The flags may come before the command, which takes them too if it has a
	// server to call.
	root.TraverseChildren = true
	a.addFlags(root.Flags())
	for _, newCommand := range commands {
		cmd := newCommand(a)
		a.addFlags(cmd.PersistentFlags())
		root.AddCommand(cmd)
	}
	return root, started
}
