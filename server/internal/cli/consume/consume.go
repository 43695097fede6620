// Package consume is `tidings consume`.
package consume

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"example.com/tidings/client"
	"example.com/tidings/server/internal/cli/command"
)

const (
	// printWindow is the window where events are printed: enough to keep the
	// connection busy.
	printWindow = 1000
	// The most that the flags take. Of the window the server may grant less.
	maxWindow      = math.MaxInt32
	maxConcurrency = 1000
)

// Command returns `tidings consume`.
func Command(a *command.App) *cobra.Command {
	f := new(consumeFlags)
	cmd := &cobra.Command{
		Use:   "consume SUBSCRIPTION [-- COMMAND [ARGUMENT...]]",
		Short: "Print the events of a subscription, or run a command for each",
		Long: `Consume the events of a subscription until interrupted. Several of these
commands share the events of one subscription.

Without a COMMAND each event is printed as a line of JSON, and acked when its
line has been written. The line is a tidings.v1.Delivery: the recorded event,
the delivery attempt, and the reason of the last nack.

A COMMAND is run for each event, with that line on its standard input. Its
output is passed on in whole lines. Its exit status settles the event:
  0      ack
  65     nack: make it a dead letter (EX_DATAERR)
  other  nack: deliver it again, by the subscription's retry policy
The last line on the command's standard error is the reason of the nack. While
it runs the event's deadline is extended; "timeout" limits a command that may
hang. Its environment has:
  TIDINGS_ID, TIDINGS_SOURCE, TIDINGS_TYPE, TIDINGS_SUBJECT,
  TIDINGS_PARTITION_KEY       of the event; empty where it has none
  TIDINGS_TOPIC, TIDINGS_SEQUENCE
                              where it is stored
  TIDINGS_SUBSCRIPTION, TIDINGS_ATTEMPT
                              of the delivery
  TIDINGS_SERVER              the server that it came from

On Ctrl-C the events being processed are finished and settled, and the others
that are in flight are released at once, their attempt not counted. A second
Ctrl-C ends the commands that run: their events are retried. If the connection
is lost, 'tidings consume' reconnects and keeps what is in flight.`,
		Example: `  tidings consume shipping
  tidings consume shipping --limit 10 --until-idle 5s
  tidings consume shipping --concurrency 4 -- ./ship.sh`,
		Args: func(cmd *cobra.Command, args []string) error {
			dash := cmd.ArgsLenAtDash()
			if dash < 0 {
				if len(args) > 1 {
					return fmt.Errorf("unexpected argument %q; a command to run comes after --", args[1])
				}
				return command.Arguments("SUBSCRIPTION")(cmd, args)
			}
			if err := command.Arguments("SUBSCRIPTION")(cmd, args[:dash]); err != nil {
				return err
			}
			if len(args) == dash {
				return errors.New("missing COMMAND after --")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, a, args[0], args[1:]) },
	}
	flags := cmd.Flags()
	flags.Int64VarP(&f.limit, "limit", "n", 0, "end after this `NUMBER` of events; 0: don't")
	flags.Var(&f.idle, "until-idle", "end when no event has come for this `DURATION`, such as 5s; 0: don't")
	flags.IntVar(&f.window, "window", 0, "`NUMBER` of events that may be in flight; the server may grant fewer; 0: 1000, or --concurrency with a COMMAND")
	flags.Int64Var(&f.windowBytes, "window-bytes", 0, "size in `BYTES` of the events that may be in flight; 0: server default (8 MiB)")
	flags.IntVarP(&f.concurrency, "concurrency", "j", 1, "`NUMBER` of commands that may run at a time, 1 to 1000")
	flags.BoolVar(&f.eventsOnly, "events-only", false, "print, or pass to the COMMAND, only the event, as tidings publish accepts it")
	return cmd
}

// consumeFlags are the flags of `tidings consume`.
type consumeFlags struct {
	limit       int64
	idle        command.DurationFlag
	window      int
	windowBytes int64
	concurrency int
	eventsOnly  bool
}

// check checks the flags and fills in what is left to this command.
func (f *consumeFlags) check(argv []string) error {
	switch {
	case f.limit < 0:
		return command.Usagef("--limit: %d is negative", f.limit)
	case f.idle.Duration < 0:
		return command.Usagef("--until-idle: %s is negative", f.idle.Duration)
	case f.window < 0 || f.window > maxWindow:
		return command.Usagef("--window: %d is not between 1 and %d", f.window, maxWindow)
	case f.windowBytes < 0:
		return command.Usagef("--window-bytes: %d is negative", f.windowBytes)
	case f.concurrency < 1 || f.concurrency > maxConcurrency:
		return command.Usagef("--concurrency: %d is not between 1 and %d", f.concurrency, maxConcurrency)
	case len(argv) == 0 && f.concurrency > 1:
		return command.Usagef("--concurrency is for a command to run")
	case f.window > 0 && f.window < f.concurrency:
		return command.Usagef("--window %d is less than --concurrency %d", f.window, f.concurrency)
	}
	if f.window == 0 && len(argv) == 0 {
		f.window = printWindow
	} else if f.window == 0 {
		// More would wait here while other consumers have nothing to do.
		f.window = f.concurrency
	}
	if f.limit > 0 {
		f.window = int(min(int64(f.window), f.limit))
	}
	return nil
}

func (f *consumeFlags) run(cmd *cobra.Command, a *command.App, subscription string, argv []string) error {
	if err := f.check(argv); err != nil {
		return err
	}
	server, err := a.Client()
	if err != nil {
		return err
	}
	lines := &deliveryLines{eventsOnly: f.eventsOnly, types: command.NewPayloadTypes(server)}
	c := &consumption{
		client:       server.Events,
		console:      command.NewConsole(cmd),
		handler:      &deliveryPrinter{lines: lines, out: cmd.OutOrStdout()},
		subscription: subscription,
		limit:        f.limit,
		options: client.ConsumerOptions{
			Concurrency: f.concurrency, Window: f.window, WindowBytes: f.windowBytes, IdleTimeout: f.idle.Duration,
		},
	}
	// A reader that goes away is an error of writing, after which what is in
	// flight is released, and not the end of the process.
	pipes := make(chan os.Signal, 1)
	signal.Notify(pipes, syscall.SIGPIPE)
	defer signal.Stop(pipes)
	if len(argv) > 0 {
		if _, err := exec.LookPath(argv[0]); err != nil {
			return command.AsUsage(err)
		}
		life, kill := context.WithCancel(context.WithoutCancel(cmd.Context()))
		defer kill()
		c.handler = &commandRunner{
			lines: lines, command: argv, subscription: subscription,
			environment: server.Environment(),
			stdout:      &lockedWriter{w: cmd.OutOrStdout()}, stderr: c.console,
			life: life, kill: kill,
		}
		c.signals = make(chan os.Signal, 2)
		signal.Notify(c.signals, os.Interrupt, syscall.SIGTERM)
		defer signal.Stop(c.signals)
	}
	return c.run(cmd.Context())
}
