package local

import (
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/guard"
)

const (
	// cacheBytes is the size of the cache of blocks.
	cacheBytes = 64 << 20
	// minMemTable and maxMemTable bound the size of a memtable. A volume of a
	// size gets memtables of a share of it: what is in them is in the write-ahead
	// log too.
	minMemTable   = 1 << 20
	maxMemTable   = 16 << 20
	memTableShare = 64
	// memTables is the number of memtables that may wait to be written before
	// changes wait.
	memTables = 4
	// maxSublevels is the number of sorted runs at which changes wait for the
	// compactions.
	maxSublevels = 64
	// blockBytes and indexBlockBytes are the sizes of blocks, before they are
	// compressed.
	blockBytes      = 16 << 10
	indexBlockBytes = 128 << 10
	// filterBits is what a key takes in a filter: with 10, one search in a
	// hundred for what isn't there reads a block in vain.
	filterBits = 10
	// rangeDeletionDelay is the time after which the space that a deletion freed
	// begins to be given back.
	rangeDeletionDelay = 10 * time.Second
)

// openStore opens Pebble, and the mark beside it.
func (e *Engine) openStore() (err error) {
	base := e.config.fs
	if base == nil {
		base = vfs.Default
	}
	dir := base.PathJoin(e.config.DataDir, storeDir)
	options := e.storeOptions()
	options.FS = base
	f, err := inspect(base, e.config.DataDir, options, e.config.boot)
	if err != nil {
		return err
	}
	if err := base.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := syncDir(base, base.PathDir(e.config.DataDir)); err != nil {
		return err
	}
	e.sayFound(f)
	if e.mark, err = createMark(base, e.config.DataDir, markSlot{
		commit: f.commit, restored: f.jump, boot: e.config.boot, written: e.config.Sync == engine.SyncWritten,
	}); err != nil {
		return err
	}
	if f.rest != nil {
		if err := cutLog(base, dir, *f.rest); err != nil {
			return err
		}
	}
	volume := e.config.MaxStoreBytes
	if usage, err := base.GetDiskUsage(dir); err == nil && (volume == 0 || volume > int64(usage.TotalBytes)) {
		volume = int64(usage.TotalBytes)
	}
	fit(options, volume)
	if e.config.Sync == engine.SyncWritten {
		e.syncer = newWALFS(base, e.fatal)
		options.FS = e.syncer
	}
	options.WithFSDefaults()
	if err := guard.Do(func() error { e.db, err = pebble.Open(dir, options); return err }); err != nil {
		return openError(err)
	}
	commit, err := readCommit(e.db)
	if err != nil {
		return err
	}
	if commit != f.commit {
		return damage("log", fmt.Errorf("it ends with commit %d, but Pebble made it %d", f.commit, commit))
	}
	e.disk, err = openDisk(e.db, base, dir, e.config.MaxStoreBytes, e.log)
	return err
}

// sayFound says what is missing, or was damaged, though the storage is opened.
func (e *Engine) sayFound(f found) {
	if f.damaged != nil {
		_ = e.damaged(nil, markName, f.damaged)
		e.damages.forget(0, markName) // It is written anew.
	}
	if f.lost > 0 || f.restored {
		e.lost++
	}
	if f.jump {
		e.log.Warn("the storage may lack what came last: the machine stopped before its disk had it, or a backup was restored; "+
			"every topic goes on with higher sequences, and positions among those that are lost are refused", "missing_commits", f.lost)
	}
}

func (e *Engine) storeOptions() *pebble.Options {
	options := &pebble.Options{
		CacheSize:                   cacheBytes,
		CompactionConcurrencyRange:  func() (lower, upper int) { return 1, 2 },
		FlushDelayDeleteRange:       rangeDeletionDelay,
		FormatMajorVersion:          pebble.FormatNewest,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       maxSublevels,
		Logger:                      storeLog{e.log, e.fatal},
		MemTableStopWritesThreshold: memTables,
		EventListener: &pebble.EventListener{
			BackgroundError: e.background.fail,
			FlushEnd:        func(info pebble.FlushInfo) { e.background.flushed(info.Err) },
			TableCreated:    func(pebble.TableCreateInfo) { e.background.pause() },
			DataCorruption: func(info pebble.DataCorruptionInfo) {
				_ = e.damaged(nil, "file "+filepath.Base(info.Path), info.Details)
			},
			DiskSlow: func(info pebble.DiskSlowInfo) {
				e.log.Warn("the disk is slow", "path", info.Path, "operation", info.OpType.String(), "duration", info.Duration)
			},
			WriteStallBegin: func(info pebble.WriteStallBeginInfo) {
				e.log.Debug("changes wait for the disk", "reason", info.Reason)
			},
		},
	}
	options.Experimental.SpanPolicyFunc = spans
	// Reading doesn't change what is stored.
	options.Experimental.ReadSamplingMultiplier = -1
	options.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionFastest })
	for i := range options.Levels {
		options.Levels[i].BlockSize = blockBytes
		options.Levels[i].IndexBlockSize = indexBlockBytes
		options.Levels[i].FilterPolicy = bloom.FilterPolicy(filterBits)
	}
	return options
}

// spans keeps keys of one kind in tables of their own: those with records hold
// nothing else then, and move to lower levels without being written again.
func spans(start []byte) (policy pebble.SpanPolicy, end []byte, err error) {
	if len(start) == 0 {
		return pebble.SpanPolicy{}, []byte{0}, nil
	}
	if start[0] == math.MaxUint8 {
		return pebble.SpanPolicy{}, nil, nil
	}
	return pebble.SpanPolicy{}, []byte{start[0] + 1}, nil
}

func (e *Engine) closeStore() {
	clean := e.opened
	close(e.background.closing)
	if e.disk != nil {
		e.disk.close()
	}
	if e.db != nil {
		// Pebble may panic where it has met damage.
		if err := guard.Do(e.db.Close); err != nil {
			clean = false
			e.log.Error("closing the storage", "error", err)
		}
	}
	if e.syncer != nil {
		e.syncer.close()
	}
	if e.mark != nil {
		if err := e.mark.close(clean); err != nil {
			e.log.Error("closing the storage", "error", err)
		}
	}
}

// fatal ends the process: the disk failed a write, and what is stored and what
// isn't is known only once the storage is opened again. Everything that was
// answered is.
func (e *Engine) fatal(err error) {
	if e.config.fatal != nil {
		e.config.fatal(err)
	}
	e.log.Error("the disk failed a write; the process ends rather than guess what is stored, "+
		"and has everything that it answered for when it starts again", "error", err)
	os.Exit(1)
}

// storeLog takes what Pebble says.
type storeLog struct {
	log   *slog.Logger
	fatal func(error)
}

func (l storeLog) Infof(format string, args ...any) {
	l.log.Debug("store: " + fmt.Sprintf(format, args...))
}

func (l storeLog) Errorf(format string, args ...any) {
	l.log.Error("store: " + fmt.Sprintf(format, args...))
}

func (l storeLog) Fatalf(format string, args ...any) {
	l.fatal(fmt.Errorf(format, args...)) //nolint:err113 // It is shown as it is.
}
