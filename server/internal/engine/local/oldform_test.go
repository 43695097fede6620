package local

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/tidings/server/internal/engine"
)

func TestRefuseOldForm(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, oldStoreDir), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), Config{DataDir: dir, MaxRecordBytes: 1 << 20, Sync: engine.SyncWritten, Log: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "tidings import") {
		t.Errorf("opened what an earlier release has written: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, storeDir)); err == nil {
		t.Error("a store was made beside it")
	}
}
