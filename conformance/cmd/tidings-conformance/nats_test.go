package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"example.com/tidings/conformance/internal/run"
)

// natsBinary is where the tests have built the NATS server that the server's module
// pins.
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
		t.Skip("builds and runs servers")
	}
	binary, err := natsBinary()
	if err != nil {
		t.Fatal(err)
	}
	dir, log := t.TempDir(), new(buffer)
	// The test's own context ends before its cleanups.
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), binary,
		"--addr", "127.0.0.1", "--port", "-1", "--jetstream", "--store_dir", filepath.Join(dir, "data"), "--ports_file_dir", dir)
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
	tick, late := time.NewTicker(20*time.Millisecond), time.After(readyTimeout)
	defer tick.Stop()
	for {
		var ports struct {
			NATS []string `json:"nats"`
		}
		files, err := filepath.Glob(filepath.Join(dir, "*.ports"))
		if err == nil && len(files) == 1 {
			var contents []byte
			contents, err = os.ReadFile(files[0])
			if err == nil && json.Unmarshal(contents, &ports) == nil && len(ports.NATS) > 0 {
				return ports.NATS[0]
			}
		}
		if err != nil {
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

// TestServerConformsOverNATS runs the cases against a server that lacks some
// features, over one transport: its storage is another one, and nothing else.
func TestServerConformsOverNATS(t *testing.T) {
	s := startServer(t, "--nats-url", startNATS(t), "--buf", pinnedBuf(t))
	outcomes := make(map[run.Outcome]int)
	for _, result := range conform(t, s, loadCases(t), run.Config{Transports: native(), Stop: s.interrupt}) {
		outcomes[result.Outcome]++
		if result.Bad() {
			t.Errorf("%s over %s: %s: %s", result.Case, result.Transport, result.Outcome, result.Reason)
		}
	}
	<-s.ended
	if outcomes[run.Passed] < 2*leastCases || outcomes[run.NotRun] == 0 {
		t.Errorf("the outcomes are %v", outcomes)
	}
}
