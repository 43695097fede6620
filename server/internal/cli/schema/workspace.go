package schema

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"unicode/utf8"

	"example.com/tidings/server/internal/cli/command"
)

// bufFindings is the exit status of a Buf that finds fault with the schemas.
const bufFindings = 100

// bufWorkspace is a directory with schemas that Buf builds.
type bufWorkspace struct {
	buf, dir string
	stderr   io.Writer
}

// openWorkspace returns the workspace in a directory. It is wrong usage where
// there is none, or no Buf.
func openWorkspace(buf, dir string, stderr io.Writer) (*bufWorkspace, error) {
	if !isFile(filepath.Join(dir, "buf.yaml")) && !isFile(filepath.Join(dir, "buf.work.yaml")) {
		return nil, command.Usagef("the directory %s has no buf.yaml: name one that has, or the file of a Buf image or FileDescriptorSet", dir)
	}
	path, err := exec.LookPath(buf)
	if err != nil {
		return nil, command.Usagef("%s is built by Buf: %w; install Buf, say with --buf where it is, or build the image elsewhere and name its file", dir, err)
	}
	return &bufWorkspace{path, dir, stderr}, nil
}

func isFile(path string) bool {
	stat, err := os.Stat(path)
	return err == nil && !stat.IsDir()
}

// input is the directory as Buf takes it. Without the format Buf would go by the
// name, and take `schemas.git` for a repository.
func (w *bufWorkspace) input() string { return w.dir + "#format=dir" }

// image builds the image of the workspace, with all that it imports. What Buf
// says goes to the command's standard error.
func (w *bufWorkspace) image(ctx context.Context) ([]byte, error) {
	var stdout bytes.Buffer
	err := w.run(ctx, &stdout, w.stderr, "build", "-o", "-#format=binpb", "--", w.input())
	if err == nil || ctx.Err() != nil {
		return stdout.Bytes(), ctx.Err()
	}
	// A wrapper around Buf may say there why it failed.
	if utf8.Valid(stdout.Bytes()) {
		_, _ = w.stderr.Write(stdout.Bytes())
	}
	status := command.StatusFailed
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == bufFindings {
		status = command.StatusRefused
	}
	return nil, command.WithStatus(status, fmt.Errorf("buf build %s: %w", w.dir, err))
}

// paths returns where the files of the image are, by their names in it. Where
// Buf can't say, as older releases can't, it returns nothing.
func (w *bufWorkspace) paths(ctx context.Context) map[string]string {
	var stdout bytes.Buffer
	if err := w.run(ctx, &stdout, io.Discard, "ls-files", "--format", "json", "--", w.input()); err != nil {
		return nil
	}
	paths := make(map[string]string)
	decoder := json.NewDecoder(&stdout)
	for {
		var file struct {
			Path       string `json:"path"`
			ImportPath string `json:"import_path"`
		}
		if decoder.Decode(&file) != nil {
			return paths
		}
		paths[file.ImportPath] = file.Path
	}
}

// run runs Buf. It ends with the context.
func (w *bufWorkspace) run(ctx context.Context, stdout, stderr io.Writer, args ...string) error {
	cmd := command.NewProcess(ctx, w.buf, args...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	return cmd.Run()
}
