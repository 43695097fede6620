package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// schemaPaths are the Git pathspecs of all that decides what the schemas are. The
// schemas of tests are nobody's.
var schemaPaths = []string{"buf.yaml", "buf.lock", ":(glob)**/*.proto", ":(exclude,glob)**/testdata/**"}

// A repository is a Git checkout.
type repository struct {
	dir string
}

// A reference is the commit to compare with. An empty commit means that there
// demonstrably is none, for the reason given.
type reference struct {
	commit string
	reason string
}

// reference finds what to compare the working tree with. On a branch that is the
// merge base with the base revision. On the base branch itself the merge base is
// HEAD, and comparing that proves nothing, so there it is the state before the
// newest commit that touched the schemas.
func (r repository) reference(ctx context.Context, base string) (reference, error) {
	if out, err := r.git(ctx, "rev-parse", "--is-shallow-repository"); err != nil {
		return reference{}, err
	} else if string(out) != "false" {
		return reference{}, errors.New("this is a shallow clone, which lacks the history to compare with: " +
			"run git fetch --unshallow")
	}
	head, err := r.commit(ctx, "HEAD")
	if err != nil {
		return reference{}, err
	}
	if head == "" {
		return reference{reason: "the repository has no commit yet"}, nil
	}
	base, baseCommit, err := r.base(ctx, base)
	if err != nil {
		return reference{}, err
	}
	mergeBase, err := r.git(ctx, "merge-base", head, baseCommit)
	if err != nil {
		return reference{}, fmt.Errorf("HEAD has no common history with %s: %w", base, err)
	}
	ref := reference{commit: string(mergeBase), reason: "the merge base with " + base}
	if ref.commit == head {
		if ref, err = r.beforeNewestChange(ctx, base); err != nil || ref.commit == "" {
			return ref, err
		}
	}
	there, err := r.has(ctx, ref.commit, "buf.yaml")
	if err != nil {
		return reference{}, err
	}
	if !there {
		return reference{reason: fmt.Sprintf("%.12s, %s, has no schemas", ref.commit, ref.reason)}, nil
	}
	return ref, nil
}

// beforeNewestChange returns the state before the newest change of the schemas
// on the branch that HEAD is part of.
func (r repository) beforeNewestChange(ctx context.Context, base string) (reference, error) {
	args := append([]string{"rev-list", "-1", "--first-parent", "HEAD", "--"}, schemaPaths...)
	newest, err := r.git(ctx, args...)
	if err != nil {
		return reference{}, err
	}
	if len(newest) == 0 {
		return reference{reason: "no commit has touched the schemas"}, nil
	}
	parent, err := r.commit(ctx, string(newest)+"^1")
	if err != nil {
		return reference{}, err
	}
	if parent == "" {
		return reference{reason: fmt.Sprintf("the first commit, %.12s, brought the schemas", newest)}, nil
	}
	reason := fmt.Sprintf("what came before %.12s, the newest commit to touch the schemas (HEAD is part of %s)", newest, base)
	return reference{commit: parent, reason: reason}, nil
}

// base resolves the revision that the change goes to, by default the newest main
// that is known here.
func (r repository) base(ctx context.Context, base string) (name, commit string, err error) {
	candidates := []string{base}
	// A push that creates a branch reports its former state as a row of zeros.
	if strings.Trim(base, "0") == "" {
		candidates = []string{"origin/main", "main"}
	}
	for _, name := range candidates {
		if commit, err = r.commit(ctx, name); err != nil || commit != "" {
			return name, commit, err
		}
	}
	return "", "", fmt.Errorf("no such revision: %s; fetch it, or name the branch that the change goes to (BASE=…)",
		strings.Join(candidates, ", "))
}

// commit resolves a revision, to nothing if there is no such commit.
func (r repository) commit(ctx context.Context, revision string) (string, error) {
	out, err := r.git(ctx, "rev-parse", "--quiet", "--verify", revision+"^{commit}")
	if exit := new(exec.ExitError); errors.As(err, &exit) && exit.ExitCode() == 1 {
		return "", nil
	}
	return string(out), err
}

// has reports whether a commit has a file.
func (r repository) has(ctx context.Context, commit, path string) (bool, error) {
	out, err := r.git(ctx, "ls-tree", "--name-only", commit, "--", path)
	return len(out) > 0, err
}

// git runs a Git command and returns its output; a last line break is cut off
// unless the output is the content of a file.
func (r repository) git(ctx context.Context, args ...string) ([]byte, error) {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = r.dir
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, &stderr)
	}
	if args[0] == "cat-file" {
		return out, nil
	}
	return bytes.TrimSuffix(out, []byte("\n")), nil
}
