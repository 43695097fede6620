// The command interop builds the clients in the directories beside it and runs them
// against a server, calls the reference servers in servers, and writes what came of
// it to docs/languages.md. README.md here says what a client is, and a server.
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
	"slices"
	"strings"
	"syscall"

	"example.com/tidings/internal/testserver"
	"example.com/tidings/interop/internal/client"
	"example.com/tidings/interop/internal/page"
	"example.com/tidings/interop/internal/process"
	"example.com/tidings/interop/internal/runner"
	"example.com/tidings/interop/internal/scenario"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "interop:", err)
		os.Exit(1)
	}
}

// options are what the command is told to do.
type options struct {
	root      string
	languages []string // Names of directories; none: all.
	install   bool
	check     bool
	protos    string
}

func parse(args []string) (options, error) {
	flags := flag.NewFlagSet("interop", flag.ContinueOnError)
	var o options
	var languages string
	flags.StringVar(&o.root, "root", ".", "the `directory` of the checkout")
	flags.StringVar(&languages, "language", "", "the `names` of the directories of clients, joined by commas, which a server's is named after; all if empty")
	flags.BoolVar(&o.install, "install", false, "install the packages of Debian that are missing")
	flags.BoolVar(&o.check, "check", false, "write nothing, and fail if docs/languages.md isn't what would be written")
	flags.StringVar(&o.protos, "protos", "", "the `directory` of the schemas with all that they import, for builds that generate code")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("%q: no arguments are taken", flags.Args())
	}
	if languages != "" {
		o.languages = strings.Split(languages, ",")
	}
	var err error
	if o.root, err = filepath.Abs(o.root); err != nil {
		return o, err
	}
	if o.protos != "" {
		o.protos, err = filepath.Abs(o.protos)
	}
	return o, err
}

func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	chosen, err := choose(o)
	if err != nil {
		return err
	}
	if err := runner.Provide(ctx, chosen.clients, o.install, out); err != nil {
		return err
	}
	found, err := runAll(ctx, o, chosen, out)
	if err != nil {
		return err
	}
	return conclude(o, found, out)
}

// results are what came of the programs.
type results struct {
	clients []runner.Result
	servers []runner.ServerResult
}

// runAll runs the clients against one server, and then the reference servers.
func runAll(ctx context.Context, o options, chosen programs, out io.Writer) (found results, err error) {
	values, err := scenario.LoadValues(filepath.Join(o.root, "interop", "values"))
	if err != nil {
		return found, err
	}
	vectors, err := scenario.LoadVectors(filepath.Join(o.root, "conformance", "golden"))
	if err != nil {
		return found, err
	}
	valueVectors, err := values.Vectors()
	if err != nil {
		return found, err
	}
	dir, err := os.MkdirTemp("", "tidings-interop-")
	if err != nil {
		return found, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	fmt.Fprintln(out, "interop: building the server")
	server, err := process.StartServer(ctx, o.root, dir)
	if err != nil {
		return found, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	secure, stop, err := startSecure(ctx, o, chosen, dir)
	if err != nil {
		return found, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	r := runner.Runner{
		Server: server, Secure: secure, Values: values, Vectors: append(vectors, valueVectors...), Caller: chosen.caller,
		Protos: o.protos, Dir: filepath.Join(dir, "runs"), Out: out,
	}
	for _, c := range chosen.clients {
		result, err := r.Run(ctx, c)
		if err != nil {
			return found, fmt.Errorf("%s: %w", c.Name, err)
		}
		found.clients = append(found.clients, result)
	}
	if len(chosen.servers) > 0 {
		fmt.Fprintln(out, "interop: building the conformance suite")
		if r.Suite, err = testserver.Build(ctx, filepath.Join(o.root, "conformance"), "tidings-conformance", dir); err != nil {
			return found, err
		}
	}
	for _, s := range chosen.servers {
		result, err := r.RunServer(ctx, s)
		if err != nil {
			return found, fmt.Errorf("servers/%s: %w", s.Name, err)
		}
		found.servers = append(found.servers, result)
	}
	return found, nil
}

// startSecure starts the server for the programs with a credential, if there are any.
func startSecure(ctx context.Context, o options, chosen programs, dir string) (secure *process.Secure, stop func() error, err error) {
	if !slices.ContainsFunc(chosen.clients, func(c client.Client) bool { return c.Access.Run != "" }) {
		return nil, func() error { return nil }, nil
	}
	if secure, err = process.StartSecure(ctx, o.root, filepath.Join(dir, "secure")); err != nil {
		return nil, nil, err
	}
	return secure, secure.Stop, nil
}

// conclude shows the matrices, compares them with the page, and writes the page,
// unless something failed: the page says only what is so.
func conclude(o options, found results, out io.Writer) error {
	fmt.Fprintf(out, "\n%s\n", page.Matrix(found.clients))
	if len(found.servers) > 0 {
		fmt.Fprintf(out, "%s\n", page.ServerMatrix(found.servers))
	}
	path := filepath.Join(o.root, "docs", "languages.md")
	before, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	all := len(o.languages) == 0
	updated, lost, err := page.Update(string(before), found.clients, all)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	updated, lostOfServers, err := page.UpdateServers(updated, found.servers, all)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	lost = append(lost, lostOfServers...)
	problems := found.failures()
	for _, cell := range lost {
		problems = append(problems, errors.New(cell))
	}
	switch {
	case len(lost) > 0:
		problems = append(problems, fmt.Errorf("%s is left as it is; take out of its matrix what is given up", path))
	case len(problems) > 0 || updated == string(before):
	case o.check:
		problems = append(problems, fmt.Errorf("%s isn't what came of this run: run make interop and commit it", path))
	default:
		return os.WriteFile(path, []byte(updated), 0o644)
	}
	return errors.Join(problems...)
}

// failures names the programs that failed.
func (r results) failures() []error {
	var failures []error
	for _, result := range r.clients {
		if result.Failed() {
			failures = append(failures, fmt.Errorf("%s failed", result.Client.Name))
		}
	}
	for _, result := range r.servers {
		if result.Failed() {
			failures = append(failures, fmt.Errorf("servers/%s failed", result.Server.Name))
		}
	}
	return failures
}
