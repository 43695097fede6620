// Package compat compares schemas by Buf's own rules, and by those of this
// project's plugin of Buf.
//
// It runs Buf as a process. Buf's rules are in a library too, but that refuses
// to start in programs other than Buf's own (buf.build/go/bufprivateusage).
package compat

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"example.com/tidings/server/internal/schema"
)

// Version is that of the Buf which this release was tested with.
const Version = "1.73.0"

// ErrFailed is wrapped by the error for a comparison that came to no result.
var ErrFailed = errors.New("schemas can't be compared")

const (
	// exitFindings is the exit status of a Buf that found something.
	exitFindings = 100
	// startTimeout bounds how long Buf takes to say its version.
	startTimeout = 30 * time.Second
	// compareTimeout bounds a comparison, whatever time its caller has.
	compareTimeout = time.Minute
	// waitDelay is how long a Buf that was killed may hold its output.
	waitDelay = time.Second
)

// Checker runs a Buf. It is safe for concurrent use.
type Checker struct {
	path    string
	version string
	config  string // Buf's configuration, as JSON.
}

// Violation is a change that breaks somebody.
type Violation struct {
	// Rule is the id of the rule, Buf's or the plugin's.
	Rule string
	// Element is the full name of what the change is about, as far as it is in
	// the newer schemas; empty for a file.
	Element string
	// File is a file of the newer schemas, or empty.
	File string
	// Line counts from 1. 0: it isn't known.
	Line int
	// Message is for people.
	Message string
}

// New returns a checker that runs the Buf at a path. It returns an error that
// wraps ErrFailed where that can't be run.
func New(ctx context.Context, path string) (*Checker, error) {
	path, err := find(path)
	if err != nil {
		return nil, err
	}
	c := &Checker{path: path}
	if c.config, err = configuration(nil, rules); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	dir, err := os.MkdirTemp("", "tidings-buf-")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFailed, err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // A temporary directory.
	out, _, err := c.run(ctx, dir, "--version")
	if err != nil {
		return nil, err
	}
	c.version = strings.TrimSpace(string(out))
	return c, nil
}

// WithPlugin returns a checker that compares by the rules of the plugin at a path
// too. It returns an error that wraps ErrFailed where Buf can't use it: where it
// isn't a plugin of Buf, or one that doesn't have the rules.
func (c *Checker) WithPlugin(ctx context.Context, path string) (*Checker, error) {
	path, err := find(path)
	if err != nil {
		return nil, err
	}
	with := *c
	// A list, since Buf takes some single names for those of a registry.
	if with.config, err = configuration([]any{map[string]any{"plugin": []string{path}}}, slices.Concat(rules, pluginRules)); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	// Buf asks the plugin for its rules, and the plugin what breaks in nothing.
	if _, err := with.Compare(ctx, new(schema.Image), new(schema.Image), nil, nil); err != nil {
		return nil, err
	}
	return &with, nil
}

// find returns the path of a program, for Buf that runs in a directory of its
// own.
func find(program string) (string, error) {
	path, err := exec.LookPath(program)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrFailed, err)
	}
	return path, nil
}

func configuration(plugins []any, rules []string) (string, error) {
	config, err := json.Marshal(map[string]any{
		"version": "v2", "plugins": plugins, "breaking": map[string]any{"use": rules},
	})
	return string(config), err
}

// Version is what Buf says of itself.
func (c *Checker) Version() string { return c.version }

// Compare returns what breaks between older schemas and newer ones in some
// packages, ordered by place. Both images hold all that they import. Only what
// events may hold is compared: those of the older schemas, and what is reached
// besides.
func (c *Checker) Compare(ctx context.Context, newer, older *schema.Image, packages map[string]bool, reached Reach) ([]Violation, error) {
	p, err := newPair(older, newer)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFailed, err)
	}
	reach := Reached(p.older)
	maps.Copy(reach, reached)
	bounded, cancel := context.WithTimeout(ctx, compareTimeout)
	defer cancel()
	violations, err := c.compare(bounded, newer.Of(packages), older.Of(packages), packages, reach)
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w: buf takes longer than %s", ErrFailed, compareTimeout)
	}
	if err != nil {
		return nil, err
	}
	violations = slices.DeleteFunc(violations, func(v Violation) bool { return !p.felt(v.Rule, v.Element) })
	violations = append(violations, p.stored(reach, packages)...)
	slices.SortStableFunc(violations, func(a, b Violation) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), strings.Compare(a.Rule, b.Rule), strings.Compare(a.Message, b.Message))
	})
	return violations, nil
}

// compare returns what Buf finds.
func (c *Checker) compare(ctx context.Context, newer, older *schema.Image, packages map[string]bool, reach Reach) ([]Violation, error) {
	dir, err := os.MkdirTemp("", "tidings-buf-")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFailed, err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // A temporary directory.
	shells := make(map[protoreflect.FullName]bool)
	before, err := encode(older, packages, nil, func(file *descriptorpb.FileDescriptorProto) *descriptorpb.FileDescriptorProto {
		return stripped(file, reach, shells)
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFailed, err)
	}
	places := newPlaces()
	after, err := encode(newer, packages, places, func(file *descriptorpb.FileDescriptorProto) *descriptorpb.FileDescriptorProto {
		return emptied(file, shells)
	})
	if err == nil {
		err = errors.Join(
			os.WriteFile(filepath.Join(dir, "older.binpb"), before, 0o600),
			os.WriteFile(filepath.Join(dir, "newer.binpb"), after, 0o600))
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFailed, err)
	}
	out, found, err := c.run(ctx, dir, "breaking", "newer.binpb", "--against", "older.binpb",
		"--exclude-imports", "--config", c.config, "--error-format", "json")
	if err != nil || !found {
		return nil, err
	}
	return read(out, places)
}

// run runs Buf in a directory and returns its output, and whether it found
// something. It needs no network, and reads nothing of whoever runs the server.
func (c *Checker) run(ctx context.Context, dir string, args ...string) (out []byte, found bool, err error) {
	cmd, stderr := c.command(ctx, args)
	cmd.Dir = dir
	cmd.Env = []string{"HOME=" + dir, "BUF_CACHE_DIR=" + filepath.Join(dir, "cache"), "TMPDIR=" + dir}
	out, err = cmd.Output()
	if ctx.Err() != nil {
		return nil, false, ctx.Err()
	}
	if foundFault(err) {
		return out, true, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("%w: buf %s: %w: %s", ErrFailed, args[0], err, failure(stderr.String()))
	}
	return out, false, nil
}

// command returns what runs Buf, and what it will say on its standard error.
func (c *Checker) command(ctx context.Context, args []string) (*exec.Cmd, *bytes.Buffer) {
	cmd, stderr := exec.CommandContext(ctx, c.path, args...), new(bytes.Buffer)
	cmd.Stderr = stderr
	// In a process group of its own, so that the plugin ends with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = waitDelay
	return cmd, stderr
}

// foundFault reports whether Buf ended because it found fault with the schemas.
func foundFault(err error) bool {
	exit, ok := errors.AsType[*exec.ExitError](err)
	return ok && exit.ExitCode() == exitFindings
}

// failure is why Buf failed, by what it says last: a plugin that fails may say more
// than is of use.
func failure(stderr string) string {
	if i := strings.LastIndex(stderr, "Failure: "); i >= 0 {
		stderr = stderr[i+len("Failure: "):]
	}
	return strings.TrimSpace(stderr)
}

// read reads what Buf found, a JSON object a line.
func read(out []byte, places *places) ([]Violation, error) {
	var violations []Violation
	for line := range bytes.Lines(out) {
		var finding struct {
			Path      string `json:"path"`
			StartLine int    `json:"start_line"`
			Type      string `json:"type"`
			Message   string `json:"message"`
		}
		if err := json.Unmarshal(line, &finding); err != nil || finding.Type == "" {
			return nil, fmt.Errorf("%w: buf says %q", ErrFailed, line)
		}
		v := Violation{Rule: finding.Type, File: finding.Path, Message: finding.Message}
		// Without a place Buf says line 1.
		if place, ok := places.at(finding.StartLine); ok && place.file == finding.Path {
			v.Element, v.Line = place.element, place.line
		}
		violations = append(violations, v)
	}
	if len(violations) == 0 {
		return nil, fmt.Errorf("%w: buf found something and says nothing", ErrFailed)
	}
	return violations, nil
}
