// Package buftest gives tests the pinned Buf.
package buftest

import (
	"io"
	"path/filepath"
	"testing"

	"example.com/tidings/tools/internal/bufcache"
	"example.com/tidings/tools/internal/workspace"
)

// Need returns the checkout and the Buf to use in it, with its cache filled. It skips a
// test with -short: on a fresh machine Buf compiles for minutes.
func Need(t testing.TB) (root, buf string) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Buf, which compiles for minutes")
	}
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	if buf, err = workspace.Buf(t.Context(), root); err != nil {
		t.Fatal(err)
	}
	if err := bufcache.FillDefault(t.Context(), filepath.Join(root, "buf.lock"), io.Discard); err != nil {
		t.Fatal(err)
	}
	return root, buf
}
