package daemon_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"example.com/tidings/server/internal/daemon"
)

// readyConfig is that of a server with a ready file, which an earlier one left.
func readyConfig(t *testing.T) daemon.Config {
	t.Helper()
	cfg := daemon.DefaultConfig()
	dir := t.TempDir()
	cfg.HTTPAddr, cfg.GRPCAddr = "127.0.0.1:0", "127.0.0.1:0"
	cfg.DataDir, cfg.ReadyFile = filepath.Join(dir, "data"), filepath.Join(dir, "ready.json")
	if err := os.WriteFile(cfg.ReadyFile, []byte(`{"http":"127.0.0.1:1","grpc":"127.0.0.1:1"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestReadyFile(t *testing.T) {
	t.Parallel()
	cfg := readyConfig(t)
	p := start(t, cfg)
	// It is written after the line in the log that start waits for.
	var ready struct {
		HTTP string `json:"http"`
		GRPC string `json:"grpc"`
	}
	for tick := time.NewTicker(10 * time.Millisecond); ready.HTTP != p.HTTP; <-tick.C {
		content, err := os.ReadFile(cfg.ReadyFile)
		if err == nil {
			err = json.Unmarshal(content, &ready)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) || t.Context().Err() != nil {
			t.Fatal(err)
		}
	}
	if ready.HTTP != p.HTTP || ready.GRPC != p.GRPC {
		t.Errorf("it says %v, the server listens on %s and %s", ready, p.HTTP, p.GRPC)
	}
	if code := p.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d: %s", code, p.Output())
	}
	if _, err := os.Stat(cfg.ReadyFile); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is there after the stop: %v", err)
	}
}

// A server that can't start doesn't leave the addresses of an earlier one.
func TestReadyFileOfAServerThatCannotStart(t *testing.T) {
	t.Parallel()
	cfg := readyConfig(t)
	if err := os.WriteFile(cfg.DataDir, nil, 0o600); err != nil { // A file where the directory would be.
		t.Fatal(err)
	}
	if err := daemon.Run(t.Context(), cfg, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("it has started")
	}
	if _, err := os.Stat(cfg.ReadyFile); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is there: %v", err)
	}
}
