package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"google.golang.org/protobuf/types/descriptorpb"

	"example.com/tidings/tools/internal/schemaimage"
)

// exitFindings is the status with which Buf says that it found something, as
// opposed to having failed.
const exitFindings = 100

// A finding is a line of Buf's report.
type finding struct {
	Path    string `json:"path"`
	Line    int    `json:"start_line"`
	Column  int    `json:"start_column"`
	Rule    string `json:"type"`
	Message string `json:"message"`
}

// String says what was found without its place in the file.
func (f finding) String() string {
	if f.Path == "" { // Of a file that is gone, as the message says.
		return f.Rule + ": " + f.Message
	}
	return fmt.Sprintf("%s: %s: %s", f.Path, f.Rule, f.Message)
}

// buildWorkingTree compiles the schemas of the working tree, of all modules
// together: Buf compares an image with each module by itself, to which all of the
// others would be gone.
func (g gate) buildWorkingTree(ctx context.Context) error {
	if _, err := g.runBuf(ctx, "build", "-o", g.image); err != nil {
		return err
	}
	_, err := g.readImage(g.image)
	return err
}

// readImage reads an image, and notes its packages.
func (g gate) readImage(name string) (*descriptorpb.FileDescriptorSet, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	set, err := schemaimage.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	for _, file := range set.GetFile() {
		g.packages[file.GetPackage()] = true
	}
	return set, nil
}

// compareCommit compares the working tree with the schemas of a commit.
func (g gate) compareCommit(ctx context.Context, repo repository, commit string, rename moduleRename) error {
	// The common directory, because in a linked work tree the other one has no objects.
	gitDir, err := repo.git(ctx, "rev-parse", "--path-format=absolute", "--git-common-dir")
	if err != nil {
		return err
	}
	path := filepath.Join(g.temp, "reference"+baselineExtension)
	if _, err := g.runBuf(ctx, "build", fmt.Sprintf("%s#format=git,commit=%s", gitDir, commit), "-o", path); err != nil {
		return fmt.Errorf("build the schemas of %.12s: %w", commit, err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if data, err = rename.image(data); err != nil {
		return err
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return err
	}
	promised, err := g.promisesSince(ctx, repo, commit)
	if err != nil {
		return err
	}
	return g.compare(ctx, path, promised)
}

// compare reports every way in which the working tree breaks the users of an
// image, and fails if one isn't waived, or can't be, because of what was promised
// for it. Files of other organisations aren't ours to keep compatible.
func (g gate) compare(ctx context.Context, image string, promised promises) error {
	// The image may be named as seen from the root, which is where Buf runs.
	path := image
	if !filepath.IsAbs(path) {
		path = filepath.Join(g.root, image)
	}
	reference, err := g.readImage(path)
	if err != nil {
		return err
	}
	report, err := g.runBuf(ctx, "breaking", g.image, "--exclude-imports", "--error-format=json", "--against", image)
	if exit := new(exec.ExitError); err != nil && (!errors.As(err, &exit) || exit.ExitCode() != exitFindings) {
		return err
	}
	breaks, passed := 0, 0
	for decoder := json.NewDecoder(bytes.NewReader(report)); decoder.More(); {
		var f finding
		if err := decoder.Decode(&f); err != nil {
			return fmt.Errorf("read the report of buf breaking: %w", err)
		}
		symbol, pkg := f.place(reference)
		f.Path = g.sourcePath(f.Path)
		w, ok := g.waivers.of(f, symbol, pkg)
		if ok && promised.allow(w.waived, pkg) {
			passed++
			fmt.Fprintf(g.out, "waived until %s: %s (%s)\n", w.Expires, f, w.Reason)
			continue
		}
		breaks++
		fmt.Fprintf(g.out, "%s:%d:%d: %s: %s (%s)\n", f.Path, f.Line, f.Column, f.Rule, f.Message, symbol)
		if ok {
			fmt.Fprintf(g.out, "  the entry of %s in %s doesn't count here: %s\n", w.waived, waiverFile, promised.reason())
		}
	}
	switch {
	case breaks > 0:
		return fmt.Errorf("%d breaking changes against %s", breaks, filepath.Base(image))
	case passed == 0: // If it failed all the same, it didn't say why.
		return err
	}
	return nil
}

// sourcePath returns where a file of the image lies, as seen from the root.
func (g gate) sourcePath(file string) string {
	for _, module := range g.modules {
		path := filepath.Join(module, filepath.FromSlash(file))
		if _, err := os.Stat(filepath.Join(g.root, path)); file != "" && err == nil {
			return path
		}
	}
	return file
}

func (g gate) runBuf(ctx context.Context, args ...string) ([]byte, error) {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, g.buf, args...)
	cmd.Dir = g.root
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("buf %s: %w: %s", args[0], err, &stderr)
	}
	return out, err
}
