package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/guard"
)

func TestBackupWhileAppending(t *testing.T) {
	t.Parallel()
	for _, sync := range []engine.Sync{engine.SyncFsync, engine.SyncWritten} {
		t.Run(string(sync), func(t *testing.T) {
			t.Parallel()
			cfg := diskConfig(t, t.TempDir())
			cfg.Sync = sync
			e := openConfig(t, cfg)
			topic := newTopic(t, e, "orders", nil)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var answered atomic.Int64
			var group guard.Group
			for writer := range 4 {
				group.Go(func() error {
					for i := 0; ctx.Err() == nil; i++ {
						text := fmt.Sprint(writer, " ", i)
						appended, err := appendTo(ctx, e, topic, batchOf(t, keyedEvent{id: text, key: "k", text: text}))
						if errors.Is(err, context.Canceled) {
							return nil
						}
						if err != nil {
							return err
						}
						answered.Store(max(answered.Load(), appended.First)) // At least about that.
					}
					return nil
				}, func(err error) {
					if err != nil {
						t.Error(err)
					}
				})
			}
			await(t, "events", func() bool { return answered.Load() > 200 })
			backup := filepath.Join(t.TempDir(), "backup")
			before := answered.Load() - 4
			if err := Backup(t.Context(), cfg.DataDir, backup); err != nil {
				t.Fatal(err)
			}
			cancel()
			group.Wait()
			last := stateOf(t, e, topic).End
			e.Close()
			if err := Backup(t.Context(), cfg.DataDir, backup); !errors.Is(err, os.ErrExist) {
				t.Errorf("backed up over a backup with %v", err)
			}
			if found := verify(t, backup); len(found) > 0 {
				t.Fatal(found)
			}

			restored := diskConfig(t, filepath.Join(t.TempDir(), "data"))
			if err := Restore(t.Context(), backup, restored.DataDir); err != nil {
				t.Fatal(err)
			}
			if err := Restore(t.Context(), backup, restored.DataDir); err == nil {
				t.Error("restored into a directory that isn't empty")
			}
			r := openConfig(t, restored)
			defer r.Close()
			records := readAll(t, r, topic, engine.ReadFrom{})
			for i, record := range records {
				if record.First != int64(i+1) {
					t.Fatalf("record %d is at %d", i, record.First)
				}
			}
			if int64(len(records)) < before {
				t.Errorf("%d events, but %d were answered for before", len(records), before)
			}
			if next := put(t, r, topic, keyedEvent{id: "next"}).First; next <= last {
				t.Errorf("sequence %d again", next)
			}
		})
	}
}

func TestBackupThatNobodyWaitsFor(t *testing.T) {
	t.Parallel()
	cfg := diskConfig(t, t.TempDir())
	e := openConfig(t, cfg)
	e.Close()
	path := filepath.Join(t.TempDir(), "backup")
	if err := writeFile(filepath.Join(cfg.DataDir, backupRequest), request{Directory: path}); err != nil {
		t.Fatal(err)
	}
	e = openConfig(t, cfg)
	defer e.Close()
	if err := Backup(t.Context(), cfg.DataDir, path); err != nil { // And not a second time.
		t.Fatal(err)
	}
	if err := e.backup("relative"); err == nil {
		t.Error("made a backup in the server's directory")
	}
}
