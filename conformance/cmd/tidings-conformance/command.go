package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"example.com/tidings/conformance/cases"
	"example.com/tidings/conformance/internal/coverage"
	"example.com/tidings/conformance/internal/image"
	"example.com/tidings/conformance/internal/known"
	"example.com/tidings/conformance/internal/report"
	"example.com/tidings/conformance/internal/run"
	"example.com/tidings/conformance/internal/suite"
	"example.com/tidings/conformance/internal/wire"
)

// The exit statuses.
const (
	statusConforms    = 0
	statusFailed      = 1 // A case failed, or passed unexpectedly.
	statusUsage       = 2 // The command or a file that it names is wrong.
	statusUnreachable = 3 // There is no server.
	statusInterrupted = 130
)

// Version is the release that the command is of: what the file VERSION says.
const Version = "0.2.0"

const usage = `Usage:
  tidings-conformance --url URL [--grpc HOST:PORT] [flags]
  tidings-conformance schemas > FILE   write the schemas that the server has to know
  tidings-conformance list [--run PATTERN]
                                       show the cases
  tidings-conformance version          print the version, as --version does

Exit status: 0 the server conforms, 1 it doesn't, 2 wrong usage, 3 no server, 130 interrupted.

Flags:
`

// settings are what the flags say.
type settings struct {
	url, grpc, run, transport string
	known, junit, json, stop  string
	parallel                  int
	timeout                   time.Duration
	knownFailures             known.List
	selected                  []suite.Case
	transports                []wire.Transport
	exempt                    []string
	all                       []suite.Case
}

func command(ctx context.Context, args []string, out, errOut io.Writer) int {
	s := new(settings)
	flags := flag.NewFlagSet("tidings-conformance", flag.ContinueOnError)
	flags.SetOutput(errOut)
	flags.Usage = func() { fmt.Fprint(errOut, usage); flags.PrintDefaults() }
	flags.StringVar(&s.url, "url", "", "`URL` of the server for Connect, gRPC-Web and gRPC: http://127.0.0.1:7070")
	flags.StringVar(&s.grpc, "grpc", "", "`address` of the server for native gRPC: 127.0.0.1:7071")
	flags.StringVar(&s.run, "run", "*", "run the cases whose name matches this `pattern`, in which * stands for any text")
	flags.StringVar(&s.transport, "transport", "*", "run them over the transports whose name matches this `pattern`")
	flags.StringVar(&s.known, "known-failing", "", "`file` of the failures that are known")
	flags.StringVar(&s.junit, "junit", "", "write the results to this `file` as JUnit XML")
	flags.StringVar(&s.json, "json", "", "write the results to this `file` as JSON")
	flags.StringVar(&s.stop, "stop", "", "shell `command` that tells the server to stop, as its operator would; without it, what a server does then isn't tried")
	flags.IntVar(&s.parallel, "parallel", 8*runtime.GOMAXPROCS(0), "how `many` cases run at the same time")
	version := flags.Bool("version", false, "print the version, and do nothing else")
	flags.DurationVar(&s.timeout, "timeout", 30*time.Second, "how `long` a step of a case may take")
	name := ""
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		name, args = args[0], args[1:]
	}
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return statusConforms
	} else if err != nil {
		return statusUsage
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(errOut, "tidings-conformance: %q is neither a flag nor the command, which comes first\n", flags.Arg(0))
		return statusUsage
	}
	if *version || name == "version" {
		fmt.Fprintln(out, "tidings-conformance", Version)
		return statusConforms
	}
	if err := s.load(); err != nil {
		fmt.Fprintf(errOut, "tidings-conformance: %v\n", err)
		return statusUsage
	}
	switch name {
	case "":
		return s.conform(ctx, out, errOut)
	case "schemas":
		return schemas(out, errOut)
	case "list":
		for _, c := range s.selected {
			fmt.Fprintf(out, "%s\n    %s\n", c.Name, c.Says)
		}
		return statusConforms
	default:
		fmt.Fprintf(errOut, "tidings-conformance: there is no command %q\n", name)
		return statusUsage
	}
}

// load reads the cases and what the flags name.
func (s *settings) load() error {
	var err error
	if s.all, err = suite.Load(cases.Files()); err != nil {
		return err
	}
	if s.exempt, err = coverage.Exempt(cases.Files(), cases.Exempt); err != nil {
		return err
	}
	pattern := known.NewPattern(s.run)
	for _, c := range s.all {
		if pattern.Match(c.Name) {
			s.selected = append(s.selected, c)
		}
	}
	if len(s.selected) == 0 {
		return fmt.Errorf("no case matches %s", s.run)
	}
	pattern = known.NewPattern(s.transport)
	s.transports = slices.DeleteFunc(wire.Transports(), func(t wire.Transport) bool { return !pattern.Match(t.String()) })
	if len(s.transports) == 0 {
		return fmt.Errorf("no transport matches %s: there are %v", s.transport, wire.Transports())
	}
	if s.parallel < 1 {
		return fmt.Errorf("--parallel is %d: at least one case has to run", s.parallel)
	}
	if s.known == "" {
		return nil
	}
	if s.knownFailures, err = known.Read(s.known); err != nil {
		return err
	}
	return s.knownFailures.Check(s.all)
}

func schemas(out, errOut io.Writer) int {
	events, err := image.Events()
	if err == nil {
		_, err = out.Write(events)
	}
	if err != nil {
		fmt.Fprintf(errOut, "tidings-conformance: %v\n", err)
		return statusUsage
	}
	return statusConforms
}

// conform runs the cases and reports.
func (s *settings) conform(ctx context.Context, out, errOut io.Writer) int {
	if s.url == "" && s.grpc == "" {
		fmt.Fprintln(errOut, "tidings-conformance: say with --url, --grpc or both where the server is")
		return statusUsage
	}
	if s.url != "" && !strings.HasPrefix(s.url, "http://") && !strings.HasPrefix(s.url, "https://") {
		fmt.Fprintf(errOut, "tidings-conformance: --url: %q doesn't begin with http:// or https://\n", s.url)
		return statusUsage
	}
	cfg := run.Config{
		URL: s.url, GRPC: s.grpc, Cases: s.selected, Transports: s.transports, Known: s.knownFailures,
		Parallel: s.parallel, Timeout: s.timeout, Report: report.Progress(out),
	}
	if s.stop != "" {
		cfg.Stop = func(ctx context.Context) error {
			output, err := exec.CommandContext(ctx, "sh", "-c", s.stop).CombinedOutput()
			if err != nil {
				return fmt.Errorf("--stop: %w: %s", err, output)
			}
			return nil
		}
	}
	results, err := run.Run(ctx, cfg)
	counts := coverage.Count(s.all)
	missing := counts.Missing(s.exempt)
	if len(results) > 0 {
		report.Summary(out, results, counts, missing)
	}
	if writeErr := s.write(results); writeErr != nil {
		fmt.Fprintf(errOut, "tidings-conformance: %v\n", writeErr)
		return statusUsage
	}
	switch {
	case errors.Is(err, run.ErrUnreachable):
		fmt.Fprintf(errOut, "tidings-conformance: %v\n", err)
		return statusUnreachable
	case errors.Is(err, run.ErrNoSchemas):
		fmt.Fprintf(errOut, "tidings-conformance: %v; give it those that `tidings-conformance schemas` writes\n", err)
		return statusUsage
	case ctx.Err() != nil:
		fmt.Fprintln(errOut, "tidings-conformance: interrupted; the rest was not run")
		return statusInterrupted
	case err != nil:
		fmt.Fprintf(errOut, "tidings-conformance: %v\n", err)
		return statusUsage
	case len(missing) > 0 || slices.ContainsFunc(results, run.Result.Bad):
		return statusFailed
	default:
		return statusConforms
	}
}

// write writes the files that programs read.
func (s *settings) write(results []run.Result) error {
	for name, form := range map[string]func(io.Writer, []run.Result) error{s.junit: report.JUnit, s.json: report.JSON} {
		if name == "" {
			continue
		}
		var text bytes.Buffer
		if err := form(&text, results); err != nil {
			return err
		}
		if err := os.WriteFile(name, text.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}
