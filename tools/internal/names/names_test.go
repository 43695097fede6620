package names

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/tidings/tools/internal/workspace"
)

// TestDocument compares the names that docs/fork.md shows for a path.
func TestDocument(t *testing.T) {
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "fork.md"))
	if err != nil {
		t.Fatal(err)
	}
	n := Of("git.example.org/acme/events")
	for _, name := range []string{n.Module, n.Java, n.NPM(), n.Package(), n.Buf(), Of("git.example.org/events").Organisation} {
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/fork.md doesn't show %s", name)
		}
	}
}

func TestOf(t *testing.T) {
	for path, want := range map[string][6]string{
		"host.test/tidings": {
			"test.host", "test/host", "@host/tidings", "host-tidings", "host_tidings", "buf.host.test/host/tidings",
		},
		"git.example.org/acme/events": {
			"org.example.git.acme", "org/example/git/acme", "@acme/tidings", "acme-tidings", "acme_tidings", "buf.example.org/acme/tidings",
		},
		"github.com/Big-Co_1/tidings": {
			"com.github.big_co_1", "com/github/big_co_1", "@big-co-1/tidings", "big-co-1-tidings", "big_co_1_tidings", "buf.github.com/big-co-1/tidings",
		},
		"git.acme.co.uk/events": {
			"uk.co.acme.git", "uk/co/acme/git", "@git-acme-co/tidings", "git-acme-co-tidings", "git_acme_co_tidings", "buf.acme.co.uk/git-acme-co/tidings",
		},
		"example.in/2nd/new/events": {
			"in_.example._2nd.new_", "in_/example/_2nd/new_", "@new/tidings", "new-tidings", "new_tidings", "buf.example.in/new/tidings",
		},
		"example.org/a/42/events": {
			"org.example.a._42", "org/example/a/_42", "@org-42/tidings", "org-42-tidings", "org_42_tidings", "buf.example.org/org-42/tidings",
		},
	} {
		n := Of(path)
		if got := [6]string{n.Java, n.JavaDirectory(), n.NPM(), n.Package(), n.Identifier(), n.Buf()}; got != want {
			t.Errorf("%s gives %q, want %q", path, got, want)
		}
	}
}
