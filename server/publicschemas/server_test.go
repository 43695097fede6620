package publicschemas

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// startWithin is far more than a server needs.
const startWithin = time.Minute

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
	program = filepath.Join(dir, "tidings")
	build := exec.CommandContext(context.Background(), "go", "build", "-o", program, "./cmd/tidings")
	build.Dir = ".." // The server's module.
	if output, err := build.CombinedOutput(); err != nil {
		panic(string(output))
	}
	return m.Run()
}

// addresses are where a server listens.
type addresses struct {
	HTTP string `json:"http"`
	GRPC string `json:"grpc"`
}

// serve starts a server with an image in the file of --schemas, on free ports
// and an empty directory, until the test ends.
func serve(t *testing.T, image []byte) addresses {
	t.Helper()
	dir := t.TempDir()
	file, ready := filepath.Join(dir, "schemas.binpb"), filepath.Join(dir, "ready.json")
	if err := os.WriteFile(file, image, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(context.Background(), program, "serve",
		"--schemas", file, "--data-dir", filepath.Join(dir, "data"),
		"--http-addr", "127.0.0.1:0", "--grpc-addr", "127.0.0.1:0", "--ready-file", ready)
	var log bytes.Buffer // Read once the server has ended.
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // Its state is asked below.
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // It may have ended.
		<-ended
		if code := cmd.ProcessState.ExitCode(); code != 0 || t.Failed() {
			t.Errorf("the server ended with %d:\n%s", code, &log)
		}
	})
	return await(t, ready, ended)
}

// await waits for the file that a server writes, in one step, when it serves.
func await(t *testing.T, ready string, ended <-chan struct{}) addresses {
	t.Helper()
	deadline := time.After(startWithin)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		content, err := os.ReadFile(ready)
		if err == nil {
			var at addresses
			if err := json.Unmarshal(content, &at); err != nil {
				t.Fatal(err)
			}
			return at
		}
		if !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		select {
		case <-tick.C:
		case <-ended:
			t.Fatal("the server ended before it served")
		case <-deadline:
			t.Fatal("the server doesn't serve")
		}
	}
}
