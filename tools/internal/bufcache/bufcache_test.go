package bufcache

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"example.com/tidings/tools/internal/workspace"
)

// TestBufBuildsFromTheCacheAlone has the real Buf build the workspace with
// nothing but what Fill wrote, every way to the network cut off.
func TestBufBuildsFromTheCacheAlone(t *testing.T) {
	root := checkout(t)
	cache := t.TempDir()
	if out, err := build(t, root, cache); err == nil {
		t.Fatalf("Buf builds with an empty cache and no network, so this test shows nothing:\n%s", out)
	}
	var said strings.Builder
	if err := Fill(t.Context(), filepath.Join(root, "buf.lock"), cache, &said); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(said.String(), "filled") {
		t.Errorf("Fill said %q", &said)
	}
	if out, err := build(t, root, cache); err != nil {
		t.Errorf("Buf can't build from the filled cache: %v\n%s", err, out)
	}

	// Buf checks the digest by itself: an altered file is refused.
	for _, path := range cached(t, cache, "validate.proto") {
		file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteString("// altered\n"); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := build(t, root, cache); err == nil {
		t.Errorf("Buf builds from an altered file:\n%s", out)
	}
}

func TestFillLeavesACompleteEntryAlone(t *testing.T) {
	root := checkout(t)
	cache := t.TempDir()
	lock := filepath.Join(root, "buf.lock")
	if err := Fill(t.Context(), lock, cache, io.Discard); err != nil {
		t.Fatal(err)
	}
	manifests := cached(t, cache, manifestName)
	before, err := os.Stat(manifests[0])
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	if err := Fill(t.Context(), lock, cache, &said); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(manifests[0])
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(before, after) || said.Len() > 0 {
		t.Errorf("the second run wrote again; it said %q", &said)
	}
}

// TestFillCompletesAnEntryCutShort covers a run, of Buf or of this package, that
// died before it wrote the manifest.
func TestFillCompletesAnEntryCutShort(t *testing.T) {
	root := checkout(t)
	cache := t.TempDir()
	lock := filepath.Join(root, "buf.lock")
	if err := Fill(t.Context(), lock, cache, io.Discard); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(cached(t, cache, manifestName)[0]); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cached(t, cache, "validate.proto")[0], []byte("syn"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Fill(t.Context(), lock, cache, io.Discard); err != nil {
		t.Fatal(err)
	}
	if out, err := build(t, root, cache); err != nil {
		t.Errorf("Buf can't build from the completed entry: %v\n%s", err, out)
	}
}

func TestFillWritesNothingOnAnotherDigest(t *testing.T) {
	root := checkout(t)
	cache := t.TempDir()
	data, err := os.ReadFile(filepath.Join(root, "buf.lock"))
	if err != nil {
		t.Fatal(err)
	}
	lock := filepath.Join(t.TempDir(), "buf.lock")
	if err := os.WriteFile(lock, []byte(strings.Replace(string(data), "b5:7", "b5:8", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Fill(t.Context(), lock, cache, io.Discard); err == nil || !strings.Contains(err.Error(), "buf.lock wants b5:8") {
		t.Errorf("error is %v, want one that names both digests", err)
	}
	if entries, err := os.ReadDir(cache); err != nil || len(entries) > 0 {
		t.Errorf("the cache holds %v (%v)", entries, err)
	}
}

func TestFillLeavesUnknownModulesToBuf(t *testing.T) {
	lock := filepath.Join(t.TempDir(), "buf.lock")
	content := "version: v2\ndeps:\n  - name: buf.build/acme/weather\n    commit: c0ffee\n    digest: b5:00\n"
	if err := os.WriteFile(lock, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	if err := Fill(t.Context(), lock, t.TempDir(), &said); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(said.String(), "buf.build/acme/weather: no Go module is known") {
		t.Errorf("Fill said %q", &said)
	}
}

func TestDirFollowsBufsRule(t *testing.T) {
	t.Setenv("BUF_CACHE_DIR", "chosen")
	if dir, err := Dir(); err != nil || dir != "chosen" {
		t.Errorf("Dir() = %q, %v", dir, err)
	}
	t.Setenv("BUF_CACHE_DIR", "")
	t.Setenv("XDG_CACHE_HOME", "caches")
	t.Setenv("LOCALAPPDATA", "caches")
	if dir, err := Dir(); err != nil || dir != filepath.Join("caches", "buf") {
		t.Errorf("Dir() = %q, %v", dir, err)
	}
}

func checkout(t *testing.T) string {
	t.Helper()
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// build runs Buf with the cache given and a proxy that refuses every request.
func build(t *testing.T, root, cache string) (string, error) {
	t.Helper()
	if testing.Short() {
		t.Skip("runs Buf")
	}
	buf, err := workspace.Buf(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	wall := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no network in this test", http.StatusForbidden)
	}))
	defer wall.Close()
	cmd := exec.CommandContext(t.Context(), buf, "build", "-o", filepath.Join(t.TempDir(), "image.binpb"))
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "BUF_CACHE_DIR="+cache, "HTTPS_PROXY="+wall.URL, "https_proxy="+wall.URL)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// cached returns the paths of the files with a name in the cache, one at least.
func cached(t *testing.T, cache, name string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(cache, func(path string, _ os.DirEntry, err error) error {
		if filepath.Base(path) == name {
			found = append(found, path)
		}
		return err
	})
	if err != nil || len(found) == 0 {
		t.Fatalf("no %s in the cache: %v", name, err)
	}
	return found
}
