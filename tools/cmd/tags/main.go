// The command tags sets the tags of a release: one for the root module, at the
// release itself, and one for each of the other modules that are published, at a
// commit beside the branch whose go.mod files replace nothing, so that `go install`
// takes them.
//
// It pushes nothing: it says how.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"example.com/tidings/tools/internal/publish"
)

const (
	versionFile = "VERSION"
	imageDir    = "baseline/"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "tags:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("tags", flag.ContinueOnError)
	root := flags.String("root", ".", "the `directory` of the checkout")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: tags [-root directory] [x.y.z]\n\nThe default is the version in the file VERSION.")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	version := flags.Arg(0)
	if version == "" {
		data, err := os.ReadFile(filepath.Join(*root, versionFile))
		if err != nil {
			return err
		}
		version = strings.TrimSpace(string(data))
	}
	t := tagger{root: *root, version: version, out: stdout}
	return t.tag(ctx)
}

// A tagger sets the tags of one release.
type tagger struct {
	root    string
	version string // Without a v in front.
	out     io.Writer
}

func (t tagger) tag(ctx context.Context) error {
	release, err := t.release(ctx)
	if err != nil {
		return err
	}
	published, err := publish.Make(ctx, t.root, release, "v"+t.version)
	if err != nil {
		return err
	}
	names := make([]string, 0, len(published.Modules))
	for _, m := range published.Modules {
		names = append(names, m.Tag())
	}
	there, err := t.git(ctx, append([]string{"tag", "--list"}, names...)...)
	if err != nil {
		return err
	}
	if there != "" {
		return fmt.Errorf("there are tags of this release: %s", strings.Join(strings.Fields(there), ", "))
	}
	for i, m := range published.Modules {
		commit := published.Commit
		if m.Dir == "" {
			commit = release
		}
		if _, err := t.git(ctx, "tag", "--annotate", m.Tag(), "--message", "Release "+t.version, commit); err != nil {
			return errors.Join(err, t.remove(ctx, names[:i]))
		}
	}
	fmt.Fprintf(t.out, "tags: %s are set at release %.12s and beside it; push them once it is where it belongs:\n  git push origin %s\n",
		strings.Join(names, ", "), release, strings.Join(names, " "))
	return nil
}

// release returns the commit of the release: the one that added its image.
func (t tagger) release(ctx context.Context) (string, error) {
	shallow, err := t.git(ctx, "rev-parse", "--is-shallow-repository")
	if err != nil {
		return "", err
	}
	if shallow != "false" {
		return "", errors.New("a shallow clone doesn't know which commit is the release: run git fetch --unshallow")
	}
	image := imageDir + "v" + t.version + ".binpb"
	commit, err := t.git(ctx, "log", "-1", "--diff-filter=A", "--format=%H", "--", image)
	if err != nil {
		return "", err
	}
	if commit == "" {
		return "", fmt.Errorf("no commit added %s: commit what make release wrote", image)
	}
	version, err := t.git(ctx, "show", commit+":"+versionFile)
	if err != nil {
		return "", err
	}
	if version != t.version {
		return "", fmt.Errorf("%.12s added %s, and has %q in %s", commit, image, version, versionFile)
	}
	return commit, nil
}

// remove takes tags back.
func (t tagger) remove(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return nil
	}
	_, err := t.git(ctx, append([]string{"tag", "--delete"}, names...)...)
	return err
}

func (t tagger) git(ctx context.Context, args ...string) (string, error) {
	var stderr strings.Builder
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir, cmd.Stderr = t.root, &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, &stderr)
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}
