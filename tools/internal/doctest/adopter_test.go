package doctest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/module"

	"example.com/tidings/tools/internal/moduleproxy"
)

// adopting is the document that begins in an empty directory, for readers who
// have of this repository what a module proxy serves.
const adopting = "docs/adopting.md"

// The host on which adopters have their repositories, and the one that they push.
const (
	adopterHost   = "https://git.example.org/"
	adopterModule = "git.example.org/acme/events"
)

// An adopter is what such a reader has, with nothing of whoever runs the test: the
// modules, empty caches, nothing installed, a name for Git, and a host that has an
// empty repository.
type adopter struct {
	environ []string
	proxy   string
}

func newAdopter(t *testing.T, root, path string) *adopter {
	t.Helper()
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil && os.Getenv("CI") == "" {
			t.Skipf("NOT CHECKED: %s uses %s, which isn't there", adopting, program)
		}
	}
	a := &adopter{proxy: t.TempDir()}
	modules, err := moduleproxy.Pack(t.Context(), root, a.proxy)
	if err != nil {
		t.Fatal(err)
	}
	events := moduleproxy.Module{Version: module.Version{Path: adopterModule}}
	if a.environ, err = moduleproxy.Environ(t.Context(), a.proxy, t.TempDir(), append(modules, events)...); err != nil {
		t.Fatal(err)
	}
	// Git asks this directory instead of the host.
	host, config := t.TempDir(), filepath.Join(t.TempDir(), "gitconfig")
	rewritten := "[url \"file://" + host + "/\"]\n\tinsteadOf = " + adopterHost + "\n"
	if err := os.WriteFile(config, []byte(rewritten), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(host, "acme", "events.git")
	if out, err := exec.CommandContext(t.Context(), "git", "init", "--quiet", "--bare", "--initial-branch=main", empty).CombinedOutput(); err != nil {
		t.Fatalf("git init: %v: %s", err, out)
	}
	bin := t.TempDir()
	a.environ = append(a.environ,
		"GOBIN="+bin,
		"PATH="+bin+string(os.PathListSeparator)+path,
		"BUF_CACHE_DIR="+t.TempDir(),
		"GIT_CONFIG_GLOBAL="+config,
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.org",
		"GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.org",
	)
	return a
}

// pushed does after a push what a module proxy does when it is asked for a tag.
func (a *adopter) pushed(t *testing.T, repository string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", "tag")
	cmd.Dir = repository
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	tags := strings.Fields(string(out))
	if len(tags) != 1 {
		t.Fatalf("the adopter has the releases %q, want one", tags)
	}
	if _, err := moduleproxy.PackTag(t.Context(), repository, tags[0], a.proxy); err != nil {
		t.Fatal(err)
	}
}
