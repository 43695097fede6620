// Package moduleproxy packs the Go modules of this checkout as a module proxy
// serves them, for tests that use them as somebody does who has nothing else of
// the repository.
package moduleproxy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"

	"example.com/tidings/tools/internal/workspace"
)

// Module is a packed module.
type Module struct {
	module.Version

	// Zip is the path of the file that importers download.
	Zip string
}

// Pack packs the module in a directory of the checkout at root ("." is the root
// module) into the directory proxy, which a file:// GOPROXY can name. Its version
// is that of the file VERSION. What Git ignores is no part of it; what is new and
// not committed is.
func Pack(root, dir, proxy string) (Module, error) {
	path, err := workspace.ModulePath(filepath.Join(root, dir))
	if err != nil {
		return Module{}, err
	}
	version, err := os.ReadFile(filepath.Join(root, "VERSION"))
	if err != nil {
		return Module{}, err
	}
	m := Module{Version: module.Version{Path: path, Version: "v" + strings.TrimSpace(string(version))}}
	escaped, err := module.EscapePath(path)
	if err != nil {
		return Module{}, err
	}
	base := filepath.Join(proxy, filepath.FromSlash(escaped), "@v")
	m.Zip = filepath.Join(base, m.Version.Version+".zip")

	content, err := pack(m.Version, filepath.Join(root, dir))
	if err != nil {
		return Module{}, err
	}
	info, err := json.Marshal(map[string]any{"Version": m.Version.Version, "Time": time.Now().UTC()})
	if err != nil {
		return Module{}, err
	}
	gomod, err := os.ReadFile(filepath.Join(root, dir, "go.mod"))
	if err != nil {
		return Module{}, err
	}
	for name, contents := range map[string][]byte{
		filepath.Join(base, "list"):                    []byte(m.Version.Version + "\n"),
		filepath.Join(base, m.Version.Version+".info"): info,
		filepath.Join(base, m.Version.Version+".mod"):  gomod,
		m.Zip: content,
	} {
		if err := write(name, contents); err != nil {
			return Module{}, err
		}
	}
	return m, nil
}

// pack returns the zip file of the module in dir.
func pack(version module.Version, dir string) (_ []byte, err error) {
	files, err := workspace.Files(dir)
	if err != nil {
		return nil, err
	}
	copied, err := os.MkdirTemp("", "tidings-module-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(copied) //nolint:errcheck // A temporary directory.
	for _, name := range files {
		contents, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		if err := write(filepath.Join(copied, name), contents); err != nil {
			return nil, err
		}
	}
	var content bytes.Buffer
	if err := zip.CreateFromDir(&content, version, copied); err != nil {
		return nil, fmt.Errorf("pack %s: %w", version, err)
	}
	return content.Bytes(), nil
}

func write(name string, contents []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, contents, 0o644)
}

// Environ returns the variables with which the go command takes modules from the
// directory proxy first, then from what this machine has downloaded, and then
// from where it usually gets them. It keeps them in the directory cache and not
// in that of the machine: the same version has other contents tomorrow.
func Environ(ctx context.Context, proxy, cache string, modules ...Module) ([]string, error) {
	output, err := exec.CommandContext(ctx, "go", "env", "-json", "GOMODCACHE", "GOPROXY").Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	var usual struct {
		Cache string `json:"GOMODCACHE"`
		Proxy string `json:"GOPROXY"`
	}
	if err := json.Unmarshal(output, &usual); err != nil {
		return nil, err
	}
	downloaded := filepath.Join(usual.Cache, "cache", "download")
	var unknown []string // To the database of checksums.
	for _, m := range modules {
		unknown = append(unknown, m.Path)
	}
	return []string{
		"GOPROXY=" + strings.Join([]string{"file://" + proxy, "file://" + downloaded, usual.Proxy}, ","),
		"GONOSUMDB=" + strings.Join(unknown, ","),
		"GOMODCACHE=" + cache,
		// Its path differs each time, and what was built is found again.
		"GOFLAGS=-modcacherw -trimpath",
		"GOWORK=off",
	}, nil
}
