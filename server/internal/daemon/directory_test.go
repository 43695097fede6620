package daemon_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/tidings/server/internal/daemon"
)

// A directory of --schemas is built at the start and whenever it changes, also in
// what was added to it.
func TestSchemasInADirectory(t *testing.T) {
	t.Parallel()
	cfg := withBuf(t)
	cfg.Schemas = filepath.Join(t.TempDir(), "schemas")
	cfg.DataDir = filepath.Join(cfg.Schemas, "data")
	put := func(name, content string) { // In one step, so that no half of it is seen.
		t.Helper()
		path := filepath.Join(cfg.Schemas, filepath.FromSlash(name))
		err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path+".new", []byte(content), 0o600))
		if err = errors.Join(err, os.Rename(path+".new", path)); err != nil {
			t.Fatal(err)
		}
	}
	const a = "syntax = \"proto3\"; package a.v1; "
	put("buf.yaml", "version: v2\n")
	put("a/a.proto", a+"message A { string s = 1; }")
	j := startJudged(t, cfg)
	defer j.stop()
	j.serving(t)
	names := func() string {
		return j.call(t, "tidings.v1.SchemaService/ListEventTypes", `{"includeUndeclared":true}`)
	}
	if !strings.Contains(names(), `"a.v1.A"`) {
		t.Errorf("at the start: %s", names())
	}

	put("b/v1/b.proto", "syntax = \"proto3\"; package b.v1; message B {}")
	j.log.next(t, reloaded, cfg.Schemas)
	if !strings.Contains(names(), `"b.v1.B"`) {
		t.Errorf("after an addition: %s", names())
	}
	put("b/v1/c.proto", "syntax = \"proto3\"; package b.v1; message C {}")
	j.log.next(t, reloaded, "")
	if !strings.Contains(names(), `"b.v1.C"`) {
		t.Errorf("after an addition to what was added: %s", names())
	}

	put("a/a.proto", a+"message A { string s = 1; Nosuch n = 2; }")
	j.log.next(t, notReloaded, "a.proto:1:60:cannot find `Nosuch`")
	put("a/a.proto", a+"message A { int32 s = 1; }")
	j.log.next(t, notReloaded, "FIELD_SAME_TYPE")
	put("a/a.proto", a+"message A { string s = 1; string more = 2; }")
	j.log.next(t, reloaded, "")
	if err := os.Remove(filepath.Join(cfg.Schemas, "buf.yaml")); err != nil {
		t.Fatal(err)
	}
	j.log.next(t, notReloaded, "has no buf.yaml")
	put("buf.yaml", "version: v2\n")
	j.log.next(t, reloaded, "")
}

func TestDirectoryWithoutBuf(t *testing.T) {
	t.Parallel()
	cfg := daemon.DefaultConfig()
	cfg.DataDir, cfg.Schemas = filepath.Join(t.TempDir(), "data"), t.TempDir()
	if err := os.WriteFile(filepath.Join(cfg.Schemas, "buf.yaml"), []byte("version: v2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := daemon.Run(t.Context(), cfg, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "set buf, or build an image (buf build "+cfg.Schemas) {
		t.Errorf("got %v", err)
	}
}
