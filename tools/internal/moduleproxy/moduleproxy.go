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

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"

	"example.com/tidings/tools/internal/publish"
	"example.com/tidings/tools/internal/workspace"
)

// Module is a packed module.
type Module struct {
	module.Version

	// Zip is the path of the file that importers download.
	Zip string
}

// Pack packs all modules of the checkout at root that are published, as they are
// published, into the directory proxy, which a file:// GOPROXY can name. The first
// is the root module. Their version is that of the file VERSION. What Git ignores
// is no part of them; what is new and not committed is.
func Pack(ctx context.Context, root, proxy string) ([]Module, error) {
	version, err := os.ReadFile(filepath.Join(root, "VERSION"))
	if err != nil {
		return nil, err
	}
	repository, err := os.MkdirTemp("", "moduleproxy-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(repository) //nolint:errcheck // A temporary directory.
	if err := commit(ctx, root, repository); err != nil {
		return nil, err
	}
	published, err := publish.Make(ctx, repository, "HEAD", "v"+strings.TrimSpace(string(version)))
	if err != nil {
		return nil, err
	}
	modules := make([]Module, 0, len(published.Modules))
	for _, m := range published.Modules {
		packed, err := pack(ctx, published, m, proxy)
		if err != nil {
			return nil, err
		}
		modules = append(modules, packed)
	}
	return modules, nil
}

// commit makes a repository of the files of a checkout.
func commit(ctx context.Context, root, repository string) error {
	if err := workspace.Copy(root, repository); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"init", "--quiet"},
		{"add", "--all"},
		{"-c", "user.name=Nobody", "-c", "user.email=nobody@example.org", "-c", "commit.gpgsign=false",
			"commit", "--quiet", "--no-verify", "--message", "The checkout as it stands"},
	} {
		cmd := exec.CommandContext(ctx, "git", args...)
		cmd.Dir = repository
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", cmd, err, out)
		}
	}
	return nil
}

// pack writes what a proxy serves of a module.
func pack(ctx context.Context, published publish.Published, m publish.Module, proxy string) (Module, error) {
	var content bytes.Buffer
	if err := published.Zip(&content, m); err != nil {
		return Module{}, err
	}
	gomod, err := published.GoMod(ctx, m)
	if err != nil {
		return Module{}, err
	}
	return serve(proxy, m.Version, gomod, content.Bytes())
}

// PackTag adds to the directory proxy the module in the root of a repository of
// somebody else, at a tag that is its version.
func PackTag(ctx context.Context, repository, tag, proxy string) (Module, error) {
	cmd := exec.CommandContext(ctx, "git", "show", tag+":go.mod")
	cmd.Dir = repository
	gomod, err := cmd.Output()
	if err != nil {
		return Module{}, fmt.Errorf("%s: %w", cmd, err)
	}
	version := module.Version{Path: modfile.ModulePath(gomod), Version: tag}
	var content bytes.Buffer
	if err := zip.CreateFromVCS(&content, version, repository, tag, ""); err != nil {
		return Module{}, err
	}
	return serve(proxy, version, gomod, content.Bytes())
}

// serve writes the files of a proxy for the only version of a module.
func serve(proxy string, version module.Version, gomod, content []byte) (Module, error) {
	escaped, err := module.EscapePath(version.Path)
	if err != nil {
		return Module{}, err
	}
	info, err := json.Marshal(map[string]any{"Version": version.Version, "Time": time.Now().UTC()})
	if err != nil {
		return Module{}, err
	}
	base := filepath.Join(proxy, filepath.FromSlash(escaped), "@v")
	packed := Module{Version: version, Zip: filepath.Join(base, version.Version+".zip")}
	for name, contents := range map[string][]byte{
		filepath.Join(base, "list"):                  []byte(version.Version + "\n"),
		filepath.Join(base, version.Version+".info"): info,
		filepath.Join(base, version.Version+".mod"):  gomod,
		packed.Zip: content,
	} {
		if err := write(name, contents); err != nil {
			return Module{}, err
		}
	}
	return packed, nil
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
