package publicschemas

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"example.com/tidings/internal/testserver"
)

// program is the server, built by TestMain.
var program string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "tidings-publicschemas-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if program, err = testserver.Build(context.Background(), "..", "tidings", dir); err != nil {
		panic(err)
	}
	return m.Run()
}

// serve starts a server with an image in the file of --schemas, on free ports
// and an empty directory, until the test ends.
func serve(t *testing.T, image []byte) *testserver.Server {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "schemas.binpb")
	if err := os.WriteFile(file, image, 0o600); err != nil {
		t.Fatal(err)
	}
	// The test's own context ends before its cleanups.
	server, err := testserver.Serve(t.Context(), exec.CommandContext(context.WithoutCancel(t.Context()), program, "serve",
		"--schemas", file, "--data-dir", filepath.Join(dir, "data")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil || t.Failed() {
			t.Errorf("the server: %v\n%s", err, server.Output())
		}
	})
	return server
}
