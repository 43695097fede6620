// The command breaking fails when a change to the schemas would break somebody.
//
// It compares the working tree with two references: the image of the newest
// release, and what main had before the change at hand. It says what it compared
// with. A reference that should exist and doesn't is a failure, never a pass.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"example.com/tidings/tools/internal/workspace"
)

func main() {
	if err := run(context.Background(), os.Args[1:], time.Now(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "breaking:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, today time.Time, stdout io.Writer) error {
	flags := flag.NewFlagSet("breaking", flag.ContinueOnError)
	root := flags.String("root", ".", "the `directory` of the checkout")
	bufPath := flags.String("buf", "buf", "the buf `binary` to run")
	base := flags.String("base", "", "the `revision` that the change goes to (default origin/main, else main)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	modules, err := workspace.BufModules(*root)
	if err != nil {
		return err
	}
	temp, err := os.MkdirTemp("", "breaking-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(temp) }()

	waivers, err := readWaivers(*root, today)
	gate := gate{
		root: *root, buf: *bufPath, temp: temp, image: filepath.Join(temp, "working-tree"+baselineExtension),
		modules: modules, waivers: waivers, packages: make(map[string]bool), out: stdout,
	}
	if err := gate.buildWorkingTree(ctx); err != nil {
		return err
	}
	// Both are compared even if there is something wrong before: a developer wants
	// to see everything at once.
	return errors.Join(err, gate.checkBaseline(ctx), gate.checkHistory(ctx, *base), waivers.checkPackages(gate.packages))
}

// A gate compares the working tree of one checkout with references.
type gate struct {
	root string
	buf  string
	// A directory for what is of no use afterwards, and in it the image of the
	// working tree.
	temp, image string
	// The directories of the modules of Buf.
	modules []string
	waivers waivers
	// The packages of the working tree, and of all that it was compared with.
	packages map[string]bool
	out      io.Writer
}

// checkBaseline compares with the image of the newest release.
func (g gate) checkBaseline(ctx context.Context) error {
	name, err := newestBaseline(g.root)
	if err != nil {
		return err
	}
	fmt.Fprintf(g.out, "breaking: comparing with the newest release, %s\n", name)
	promised, err := readPromises(g.root)
	if err != nil {
		return err
	}
	return g.compare(ctx, name, promised)
}

// checkHistory compares with what the branch that the change goes to had before.
func (g gate) checkHistory(ctx context.Context, base string) error {
	repo := repository{dir: g.root}
	ref, err := repo.reference(ctx, base)
	if err != nil {
		return err
	}
	if ref.commit == "" {
		fmt.Fprintf(g.out, "breaking: nothing earlier to compare with: %s\n", ref.reason)
		return nil
	}
	fmt.Fprintf(g.out, "breaking: comparing with %.12s, %s\n", ref.commit, ref.reason)
	rename, err := g.renamedSince(ctx, repo, ref.commit)
	if err != nil {
		return err
	}
	return errors.Join(
		g.checkReleasesKept(ctx, repo, ref.commit, rename),
		g.compareCommit(ctx, repo, ref.commit, rename),
	)
}
