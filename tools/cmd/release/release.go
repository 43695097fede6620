package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/mod/semver"
)

// A releaser makes one release of one checkout.
type releaser struct {
	root    string
	buf     string
	gate    string // The program breaking.
	base    string // What it compares with; empty: its own default.
	version string // Without a v in front.
	day     string // The date of the entry in the change log.
	out     io.Writer
}

// release writes the release, or nothing and says why not. The cheap questions
// come first.
func (r releaser) release(ctx context.Context) error {
	if err := r.checkVersion(); err != nil {
		return err
	}
	if err := r.checkRepository(ctx); err != nil {
		return err
	}
	contents, err := r.texts()
	if err != nil {
		return err
	}
	if err := r.checkPromises(ctx); err != nil {
		return err
	}
	image, err := r.image(ctx)
	if err != nil {
		return err
	}
	contents = append(contents, content{name: imageName(r.version), data: image})
	if err := writeAll(r.root, contents); err != nil {
		return err
	}
	r.report(contents)
	return nil
}

// checkVersion wants a version above the present one, and a state that agrees on
// what the present one is: otherwise some place would be left behind permanently.
func (r releaser) checkVersion() error {
	if semver.Canonical("v"+r.version) != "v"+r.version || semver.Prerelease("v"+r.version) != "" {
		return fmt.Errorf("%q is not a version like 1.2.3", r.version)
	}
	present, err := presentVersion(r.root)
	if err != nil {
		return err
	}
	if semver.Compare("v"+r.version, "v"+present) <= 0 {
		return fmt.Errorf("%s is not above the present version, %s", r.version, present)
	}
	image := imageName(r.version)
	if _, err := os.Lstat(filepath.Join(r.root, filepath.FromSlash(image))); err == nil {
		return fmt.Errorf("%s exists, and the image of a release never changes", image)
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return agree(r.root, present)
}

// checkRepository wants what is released to be what Git has: the tag will name a
// commit, and nobody could build the release again from anything else.
func (r releaser) checkRepository(ctx context.Context) error {
	status, err := git(ctx, r.root, "status", "--porcelain")
	if err != nil {
		return err
	}
	if status != "" {
		return fmt.Errorf("the working tree has changes that are not committed:\n%s", status)
	}
	tag, err := git(ctx, r.root, "tag", "--list", tagName(r.version))
	if err != nil {
		return err
	}
	if tag != "" {
		return fmt.Errorf("the tag %s exists", tag)
	}
	return nil
}

// checkPromises asks the gate, which knows what docs/versioning.md allows.
func (r releaser) checkPromises(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, r.gate, "-root", r.root, "-buf", r.buf, "-base", r.base)
	cmd.Stdout, cmd.Stderr = r.out, r.out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("the gate for breaking changes: %w", err)
	}
	return nil
}

// image compiles the schemas. Comments are left out: they promise nothing.
func (r releaser) image(ctx context.Context) ([]byte, error) {
	return buildImage(ctx, r.root, r.buf, ".")
}

// buildImage compiles the schemas of an input of Buf, such as a directory or the
// commit of a repository.
func buildImage(ctx context.Context, root, buf, input string) ([]byte, error) {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, buf, "build", input, "--exclude-source-info", "-o", "-#format=binpb")
	cmd.Dir = root
	cmd.Stderr = &stderr
	image, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("buf build: %w: %s", err, &stderr)
	}
	return image, nil
}

// report says what was written and what is left to do.
func (r releaser) report(contents []content) {
	fmt.Fprintf(r.out, "release: wrote %s to\n", r.version)
	for _, c := range contents {
		fmt.Fprintf(r.out, "  %s\n", c.name)
	}
	fmt.Fprintf(r.out, `Next:
  make check test
  git add --all && git commit --message "Release %s"
  make tags
and push the commit, and the tags as make tags says, once they are as you want them.
`, r.version)
}

func tagName(version string) string { return "v" + version }

func imageName(version string) string { return imageDir + tagName(version) + imageExtension }

// git runs a Git command and returns what it printed, without the last line break.
func git(ctx context.Context, dir string, args ...string) (string, error) {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, &stderr)
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}
