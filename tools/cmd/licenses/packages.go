package main

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
	"runtime"
	"strings"
)

// systems are those that the program may be built for. Some modules are linked on
// one of them only.
var systems = []string{"darwin", "linux", "windows"}

// A goPackage is a package as `go list -json` shows it.
type goPackage struct {
	Dir      string    `json:"Dir"`
	Standard bool      `json:"Standard"`
	Module   *goModule `json:"Module"` // nil for the standard library.
}

type goModule struct {
	Path    string    `json:"Path"`
	Version string    `json:"Version"`
	Dir     string    `json:"Dir"`
	Main    bool      `json:"Main"`
	Replace *goModule `json:"Replace"`
}

// linked returns the packages of others that a program links, on whatever system.
// One may be there more than once.
func linked(ctx context.Context, module, program string) ([]goPackage, error) {
	var packages []goPackage
	for _, system := range systems {
		out, err := goCommand(ctx, module, system, "list", "-deps", "-json=Dir,Standard,Module", program)
		if err != nil {
			return nil, err
		}
		for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
			var p goPackage
			if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, fmt.Errorf("go list: %w", err)
			}
			if !p.ours() {
				packages = append(packages, p)
			}
		}
	}
	return packages, nil
}

// goRoot returns the directory of the Go distribution.
func goRoot(ctx context.Context, module string) (string, error) {
	out, err := goCommand(ctx, module, runtime.GOOS, "env", "GOROOT")
	return filepath.Clean(strings.TrimSpace(string(out))), err
}

func goCommand(ctx context.Context, dir, system string, args ...string) ([]byte, error) {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS="+system, "GOARCH=amd64", "CGO_ENABLED=0")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w: %s", args[0], err, &stderr)
	}
	return out, nil
}

// ours reports whether a package is of this project: of the program's module, or of
// one that its go.mod replaces by a directory of the checkout.
func (p goPackage) ours() bool {
	return p.Module != nil && (p.Module.Main || p.Module.Replace != nil && p.Module.Replace.Version == "")
}
