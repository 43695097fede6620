// The command interop builds the clients in the directories beside it, runs them
// against a server, and writes what came of it to docs/languages.md. README.md
// here says what a client is.
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
	flags.StringVar(&languages, "language", "", "the `names` of the directories of clients, joined by commas; all if empty")
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
	clients, err := client.LoadAll(filepath.Join(o.root, "interop"))
	if err != nil {
		return err
	}
	if clients, err = choose(clients, o.languages); err != nil {
		return err
	}
	if err := runner.Provide(ctx, clients, o.install, out); err != nil {
		return err
	}
	results, err := runAll(ctx, o, clients, out)
	if err != nil {
		return err
	}
	return conclude(o, results, out)
}

// choose returns the clients of these names, or all if there are none.
func choose(clients []client.Client, names []string) ([]client.Client, error) {
	if len(names) == 0 {
		return clients, nil
	}
	var chosen []client.Client
	for _, name := range names {
		i := slices.IndexFunc(clients, func(c client.Client) bool { return c.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no client interop/%s with a file %s", name, client.File)
		}
		chosen = append(chosen, clients[i])
	}
	return chosen, nil
}

// runAll runs the clients against one server.
func runAll(ctx context.Context, o options, clients []client.Client, out io.Writer) (results []runner.Result, err error) {
	values, err := scenario.LoadValues(filepath.Join(o.root, "interop", "values"))
	if err != nil {
		return nil, err
	}
	vectors, err := scenario.LoadVectors(filepath.Join(o.root, "conformance", "golden"))
	if err != nil {
		return nil, err
	}
	valueVectors, err := values.Vectors()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "tidings-interop-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	fmt.Fprintln(out, "interop: building the server")
	server, err := process.StartServer(ctx, o.root, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	r := runner.Runner{
		Server: server, Values: values, Vectors: append(vectors, valueVectors...),
		Protos: o.protos, Dir: filepath.Join(dir, "runs"), Out: out,
	}
	for _, c := range clients {
		result, err := r.Run(ctx, c)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.Name, err)
		}
		results = append(results, result)
	}
	return results, nil
}

// conclude shows the matrix, compares it with the page, and writes the page, unless
// something failed: the page says only what is so.
func conclude(o options, results []runner.Result, out io.Writer) error {
	fmt.Fprintf(out, "\n%s\n", page.Matrix(results))
	path := filepath.Join(o.root, "docs", "languages.md")
	before, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	updated, lost, err := page.Update(string(before), results, len(o.languages) == 0)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	var problems []error
	for _, result := range results {
		if result.Failed() {
			problems = append(problems, fmt.Errorf("%s failed", result.Client.Name))
		}
	}
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
