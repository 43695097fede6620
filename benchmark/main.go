// Command benchmark measures a Tidings server against the raw NATS client on a
// server with the same storage, and against gRPC without any storage. It builds
// the server of this checkout; clients and servers are separate processes on
// the loopback interface, and files are on disk.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "benchmark:", err)
		os.Exit(1)
	}
}

// errUsage is returned for wrong arguments, which have been complained about.
var errUsage = errors.New("wrong usage")

// run is the program. With the name of a peer as first argument it is that
// peer's server, which the program starts as a process of its own.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 {
		if serve, ok := peers[args[0]]; ok {
			return serve(ctx, args[1:])
		}
	}
	cfg, err := parseFlags(args, stderr)
	if err != nil {
		return err
	}
	if err := measure(ctx, cfg, stdout, stderr); err != nil {
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		return err
	}
	return nil
}

// measure measures what was asked for, and writes the reports.
func measure(ctx context.Context, cfg config, stdout, stderr io.Writer) error {
	for _, m := range []struct {
		name    string
		wanted  bool
		measure func(context.Context, config, io.Writer) (*scaleReport, error)
	}{
		{"scale", cfg.scaling, measureScale},
		{"fairness", cfg.fairness, measureFairness},
		{"encodings", cfg.encodings, measureEncodings},
	} {
		if m.wanted {
			found, err := m.measure(ctx, cfg, stderr)
			if err != nil {
				return err
			}
			return found.write(stdout, cfg.output)
		}
	}
	for _, s := range suites {
		if !cfg.suites[s.name] {
			continue
		}
		found, err := measureSuite(ctx, cfg, s, stderr)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if err := found.write(stdout, cfg.output); err != nil {
			return err
		}
		if cfg.docs == "" {
			continue
		}
		if err := found.publish(cfg.docs); err != nil {
			return err
		}
	}
	return nil
}

// suites are what can be asked for, in the order in which they are measured.
var suites = []suite{mainSuite, latencySuite, peersSuite, accessSuite, tracesSuite, quotasSuite, sizesSuite, topicsSuite, clusterSuite}

// peers are the servers that the program itself can be.
var peers = map[string]func(ctx context.Context, args []string) error{
	"nats-server": serveNATS,
	"echo-server": serveEcho,
	readersPeer:   serveReaders,
	floodPeer:     runFlood,
	nsqPeer:       serveNSQ,
}

// config is what the user can choose.
type config struct {
	duration  time.Duration // The least time that each measurement takes.
	events    int           // Events in the data set, a multiple of batch.
	batch     int           // Events in a request.
	size      int           // Bytes of an encoded event.
	runs      int
	output    string
	sync      string
	serverDir string          // The module of the server.
	otherDir  string          // The module of another build of it, or empty.
	rows      *regexp.Regexp  // The rows to measure, besides the yardsticks.
	encodings bool            // To compare JSON with protobuf instead.
	fairness  bool            // To measure how far a flood of one caller slows another instead.
	scaling   bool            // To measure scale instead.
	suites    map[string]bool // The names of the suites to measure.
	docs      string          // The document to write the tables into, or empty.
	repeats   int             // How often a table is measured again in a run that others disturb.
	disturbed float64         // The percentage of the processors that others may have.
	scale     scale
}

func parseFlags(args []string, stderr io.Writer) (config, error) {
	var cfg config
	flags := flag.NewFlagSet("benchmark", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.DurationVar(&cfg.duration, "duration", time.Second, "the least `time` of each measurement; it repeats the data set until then")
	flags.IntVar(&cfg.events, "events", 200_000, "`number` of events in the data set")
	flags.IntVar(&cfg.batch, "batch", 100, "`number` of events in a request, 1 to 4096")
	flags.IntVar(&cfg.size, "size", 264, "`bytes` of an encoded event")
	flags.IntVar(&cfg.runs, "runs", 3, "`number` of runs; the table has their medians")
	flags.StringVar(&cfg.output, "output", outputMarkdown, "`form` of the report: markdown or json")
	flags.StringVar(&cfg.sync, "sync", "written", "what a receipt of Tidings `means`: written or fsync; raw NATS is always written")
	flags.StringVar(&cfg.serverDir, "server", filepath.Join("..", "server"), "`directory` of the module of the server to measure")
	flags.StringVar(&cfg.otherDir, "other", "", "`directory` of the module of another server, from another checkout, to measure in the same runs")
	rows := flags.String("rows", "", "`pattern` of the names of the rows to measure, yardsticks aside")
	flags.BoolVar(&cfg.scaling, "scale", false, "measure instead how far one server goes; -rows chooses among these measurements")
	flags.BoolVar(&cfg.fairness, "fairness", false, "measure instead how far a flood of one caller slows another")
	flags.BoolVar(&cfg.encodings, "encodings", false, "compare JSON with protobuf instead")
	flags.StringVar(&cfg.docs, "docs", "", "`file` to write the tables into, between its marks, with plots in the directory of its name")
	flags.IntVar(&cfg.repeats, "repeats", 2, "how `often` at most a table is measured again in a run, while others use the processors")
	flags.Float64Var(&cfg.disturbed, "disturbed", 10, "the `percentage` of the processors above which that counts")
	asked := make(map[string]*bool)
	for _, s := range suites {
		if s.about != "" {
			asked[s.name] = flags.Bool(s.name, false, s.about)
		}
	}
	all := flags.Bool("all", false, "measure all suites: the tables of the documents")
	cfg.scale = scale{live: 1000, large: 340, replays: 30, stalled: 100}
	flags.IntVar(&cfg.scale.topics, "scale-topics", 10_000, "`number` of topics, and of subscriptions")
	flags.IntVar(&cfg.scale.events, "scale-events", 10_000_000, "`number` of events in one topic")
	flags.IntVar(&cfg.scale.streams, "scale-streams", 1000, "`number` of readers, and then of consumers, of one topic")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return cfg, err
		}
		return cfg, errUsage
	}
	if err := cfg.validate(flags.Args()); err != nil {
		fmt.Fprintln(stderr, "benchmark:", err)
		return cfg, errUsage
	}
	var err error
	if cfg.rows, err = regexp.Compile(*rows); err != nil {
		fmt.Fprintln(stderr, "benchmark: -rows:", err)
		return cfg, errUsage
	}
	cfg.suites = make(map[string]bool)
	for _, s := range suites {
		if *all || asked[s.name] != nil && *asked[s.name] {
			cfg.suites[s.name] = true
		}
	}
	if len(cfg.suites) == 0 {
		cfg.suites[mainSuite.name] = true
	}
	cfg.events = (cfg.events + cfg.batch - 1) / cfg.batch * cfg.batch
	return cfg, nil
}

func (c config) validate(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected argument %q", rest[0])
	case c.batch < 1 || c.batch > 4096:
		return fmt.Errorf("-batch: %d is not between 1 and 4096", c.batch)
	case c.events < 1 || c.events > 5_000_000:
		return fmt.Errorf("-events: %d is not between 1 and 5000000", c.events)
	case c.size < minEventSize || c.size > maxEventSize:
		return fmt.Errorf("-size: %d is not between %d and %d", c.size, minEventSize, maxEventSize)
	case c.scale.topics < 1 || c.scale.streams < 1 || c.scale.events < eventsOfKey || c.scale.events%eventsOfKey != 0:
		return fmt.Errorf("-scale-…: numbers have to be positive, and that of events divisible by %d", eventsOfKey)
	case c.repeats < 0:
		return fmt.Errorf("-repeats: %d is negative", c.repeats)
	case c.disturbed < 0 || c.disturbed > 100:
		return fmt.Errorf("-disturbed: %v is not between 0 and 100", c.disturbed)
	case c.runs < 1:
		return fmt.Errorf("-runs: %d is not positive", c.runs)
	case c.output != outputMarkdown && c.output != outputJSON:
		return fmt.Errorf("-output: %q is not markdown or json", c.output)
	}
	return nil
}
