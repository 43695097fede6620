// Package command is what the commands of `tidings` share: the connection to the
// server, flags, output, and errors with their exit statuses.
package command

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// App is what the flags of the commands that call a server say.
type App struct {
	server  []string
	timeout time.Duration
	files   credentials
}

func (a *App) addFlags(flags *pflag.FlagSet) {
	flags.StringSliceVar(&a.server, "server", nil, "`URL` of the server: http(s)://host:port, or grpc(s)://host:port for gRPC; of several replicas, joined by commas or repeated, calls go to those that serve (environment: "+ServerVariable+"; default "+defaultServer+")")
	a.files.addFlags(flags)
	flags.DurationVar(&a.timeout, "timeout", 30*time.Second, "`DURATION` that a unary call may take; 0: unlimited")
}

// Group makes a command that only holds others: alone it shows its help, and
// what it doesn't hold is wrong usage.
func Group(cmd *cobra.Command) *cobra.Command {
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
		return AsUsage(errors.New(problem))
	}
	return cmd
}

// Arguments wants exactly these positional arguments.
func Arguments(names ...string) cobra.PositionalArgs {
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

// Constructor makes a command of the tree.
type Constructor = func(*App) *cobra.Command

// VersionLine is what `tidings version` and `tidings --version` print.
func (p Program) VersionLine() string {
	return fmt.Sprintf("tidings %s (%s %s/%s)\n", p.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
