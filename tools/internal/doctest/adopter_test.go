package doctest

import (
	"os"
	"path/filepath"
	"testing"

	"example.com/tidings/tools/internal/moduleproxy"
	"example.com/tidings/tools/internal/workspace"
)

// adopting is the document that begins in an empty directory, for readers who
// have of this repository what a module proxy serves, and its server.
const adopting = "docs/adopting.md"

// adopterEnviron is what such a reader has, with nothing of whoever runs the
// test: the modules, Buf with an empty cache, and a name for Git.
func adopterEnviron(t *testing.T, root, path string) []string {
	t.Helper()
	proxy := t.TempDir()
	modules, err := moduleproxy.Pack(t.Context(), root, proxy)
	if err != nil {
		t.Fatal(err)
	}
	environ, err := moduleproxy.Environ(t.Context(), proxy, t.TempDir(), modules...)
	if err != nil {
		t.Fatal(err)
	}
	buf, err := workspace.Buf(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	return append(environ,
		"PATH="+filepath.Dir(buf)+string(os.PathListSeparator)+path,
		"BUF_CACHE_DIR="+t.TempDir(),
		"GIT_CONFIG_GLOBAL="+os.DevNull,
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.org",
		"GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.org",
	)
}
