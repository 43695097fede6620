package compat_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/tidings/server/internal/compat"
	"example.com/tidings/server/internal/schema"
)

// sources writes files into a directory and returns it.
func sources(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "schemas.git") // Which Buf would take for a repository.
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestBuild(t *testing.T) {
	c := checker(t)
	dir := sources(t, map[string]string{
		"buf.yaml":       "version: v2\nmodules: [{path: proto}, {path: more}]\n",
		"proto/a.proto":  "syntax = \"proto3\"; package a.v1; import \"b/b.proto\"; message A { b.v1.B b = 1; }",
		"more/b/b.proto": "syntax = \"proto3\"; package b.v1;\n// B is commented.\nmessage B {}",
		"else/c.proto":   "syntax = \"proto3\"; package c.v1; message C {}",
	})
	encoded, err := c.Build(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	set, err := schema.Parse(encoded)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(set.Names(true), " "); got != "a.v1.A b.v1.B" {
		t.Errorf("the types are %s", got)
	}
	if b, _ := set.Type("b.v1.B"); b.Description != "B is commented." {
		t.Errorf("it says %q", b.Description)
	}
}

func TestBuildFails(t *testing.T) {
	c := checker(t)
	for name, test := range map[string]struct {
		files map[string]string
		is    error
		says  string
	}{
		"a mistake": {map[string]string{"buf.yaml": "version: v2", "a.proto": "syntax = \"proto3\";\nmessage A { B b = 1; }"},
			compat.ErrSources, "a.proto:2:13:cannot find `B` in this scope"},
		"many mistakes":   {map[string]string{"buf.yaml": "version: v2", "a.proto": "syntax = \"proto3\"; message A {" + strings.Repeat("B b = 1; ", 500) + "}"}, compat.ErrSources, "…"},
		"a wrong setting": {map[string]string{"buf.yaml": "version: v9", "a.proto": ""}, compat.ErrFailed, "unknown file version"},
		"no schemas":      {map[string]string{"buf.yaml": "version: v2"}, compat.ErrFailed, "no .proto files"},
	} {
		_, err := c.Build(t.Context(), sources(t, test.files))
		if !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "\n") || len(err.Error()) > 3000 {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Build(ctx, sources(t, map[string]string{"buf.yaml": "version: v2", "a.proto": ""})); !errors.Is(err, context.Canceled) {
		t.Errorf("after the context's end: %v", err)
	}
}
