package local_test

import (
	"log/slog"
	"testing"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/engine/enginetest"
	"example.com/tidings/server/internal/engine/local"
)

func openAt(t *testing.T, dir string, sync engine.Sync) engine.Engine {
	t.Helper()
	e, err := local.Open(t.Context(), local.Config{
		DataDir: dir, MaxRecordBytes: 1 << 20, Sync: sync, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

var syncs = []engine.Sync{engine.SyncWritten, engine.SyncFsync}

func TestSuite(t *testing.T) {
	for _, sync := range syncs {
		t.Run(string(sync), func(t *testing.T) {
			enginetest.Run(t, func(t *testing.T) func() engine.Engine {
				dir := t.TempDir()
				return func() engine.Engine { return openAt(t, dir, sync) }
			})
		})
	}
}

func testKill(t *testing.T, sync engine.Sync) {
	t.Helper()
	enginetest.Kill(t,
		func(t *testing.T) string { return t.TempDir() },
		func(t *testing.T, dir string) engine.Engine { return openAt(t, dir, sync) })
}

func TestKillWritten(t *testing.T) { testKill(t, engine.SyncWritten) }

func TestKillFsync(t *testing.T) { testKill(t, engine.SyncFsync) }
