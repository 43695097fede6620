package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// natsBinary is where the tests have built the NATS server that this checkout's
// server is tested with.
var natsBinary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch, "nats-server")
	cmd := exec.Command("go", "build", "-o", path, "github.com/nats-io/nats-server/v2")
	cmd.Dir = filepath.Join("..", "..", "..", "server")
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", cmd, err, output)
	}
	return path, nil
})

// startNATS starts a NATS server with JetStream, on a free port, and returns its
// URL.
func startNATS(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and runs a NATS server")
	}
	binary, err := natsBinary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "nats.conf")
	// Larger than a request, so that events have a limit of their own.
	if err := os.WriteFile(config, []byte("max_payload: 8MB\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	log := new(buffer)
	// The test's own context ends before its cleanups.
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), binary,
		"--config", config, "--jetstream", "--store_dir", dir, "--addr", "127.0.0.1", "--port", "-1", "--ports_file_dir", dir)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	ports := filepath.Join(dir, fmt.Sprintf("nats-server_%d.ports", cmd.Process.Pid))
	tick, late := time.NewTicker(20*time.Millisecond), time.After(readyTimeout)
	defer tick.Stop()
	for {
		var at struct {
			NATS []string `json:"nats"`
		}
		contents, err := os.ReadFile(ports)
		if err == nil && json.Unmarshal(contents, &at) == nil && len(at.NATS) > 0 {
			return at.NATS[0]
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		select {
		case <-tick.C:
		case <-ended:
			t.Fatalf("NATS ended: %s", log)
		case <-late:
			t.Fatalf("NATS doesn't serve: %s", log)
		}
	}
}
