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

	"example.com/tidings/conformance/internal/run"
	"example.com/tidings/internal/testserver"
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
	binary, err := natsBinary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	// The test's own context ends before its cleanups.
	nats, err := testserver.Start(exec.CommandContext(context.WithoutCancel(t.Context()), binary,
		"--addr", "127.0.0.1", "--port", "-1", "--jetstream", "--store_dir", filepath.Join(dir, "data"), "--ports_file_dir", dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nats.Kill() })
	var ports struct {
		NATS []string `json:"nats"`
	}
	if err := nats.Await(t.Context(), testserver.ReadyWithin, func() (bool, error) {
		files, err := filepath.Glob(filepath.Join(dir, "*.ports"))
		if err != nil || len(files) != 1 {
			return false, err
		}
		contents, err := os.ReadFile(files[0])
		return json.Unmarshal(contents, &ports) == nil && len(ports.NATS) > 0, err // It may be half-written.
	}); err != nil {
		t.Fatalf("NATS: %v\n%s", err, nats.Output())
	}
	return ports.NATS[0]
}

// TestServerConformsOverNATS runs the cases against a server that lacks some
// features, over one transport: its storage is another one, and nothing else.
func TestServerConformsOverNATS(t *testing.T) {
	if testing.Short() {
		t.Skip("runs all cases on another storage")
	}
	s := startServer(t, "--nats-url", startNATS(t), "--buf", pinnedBuf(t))
	outcomes := make(map[run.Outcome]int)
	for _, result := range conform(t, s, loadCases(t), run.Config{Transports: native(), Stop: s.interrupt}) {
		outcomes[result.Outcome]++
		if result.Bad() {
			t.Errorf("%s over %s: %s: %s", result.Case, result.Transport, result.Outcome, result.Reason)
		}
	}
	<-s.Done()
	if outcomes[run.Passed] < 2*leastCases || outcomes[run.NotRun] == 0 {
		t.Errorf("the outcomes are %v", outcomes)
	}
}
