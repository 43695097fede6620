// Package local keeps topics with their events, subscriptions and schemas on one
// machine: all of them in one Pebble store, with one write-ahead log, so that
// whoever waits for the disk waits together, and what belongs together changes
// together.
package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sync/semaphore"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/eventlog"

	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// Config says where the storage is.
type Config struct {
	// DataDir is the directory of the storage. It is created where it doesn't
	// exist.
	DataDir string
	// MaxStoreBytes bounds what events may take of the volume. 0: three quarters
	// of what is free or taken by the storage already.
	MaxStoreBytes int64
	// MaxRecordBytes is the size of the largest record.
	MaxRecordBytes int
	// Sync is what a change waits for.
	Sync engine.Sync
	// Log takes what is to be said of the storage. Required.
	Log *slog.Logger

	// fs is the file system, in place of the machine's: then there is no lock,
	// and DataDir isn't looked at.
	fs vfs.FS
	// boot is the machine's boot ID, in place of the true one.
	boot string
	// fatal is called when the store fails, in place of ending the process. It
	// doesn't return.
	fatal func(error)
}

// storeDir is where the store is in the data directory, and oldStoreDir where
// releases until 0.1.0 have theirs.
const (
	storeDir    = "store"
	oldStoreDir = "jetstream"
)

// Engine is an open storage.
type Engine struct {
	log    *slog.Logger
	config Config

	lock      *dirLock
	mark      *mark
	db        *pebble.DB
	syncer    *walFS
	committer *committer
	disk      *disk
	underWay  *semaphore.Weighted
	retention *retention
	folder    *folder
	backups   *backups

	topics        *registry[*storagev1.TopicConfig, *topicLog]
	subscriptions *registry[*storagev1.SubscriptionConfig, *subscriber]
	schemas       *schemas
	types         *types
	damages       damages
	// shared is what readers hold for each other, in bytes.
	shared     atomic.Int64
	background background
	// lost is how often changes were missing that had been answered for.
	lost int64
	// opened says that all of the above is there.
	opened bool
}

var _ engine.Engine = (*Engine)(nil)

// Open opens the storage in a data directory, which no other process may use
// meanwhile.
func Open(ctx context.Context, cfg Config) (*Engine, error) {
	if cfg.boot == "" {
		cfg.boot = bootID()
	}
	e := &Engine{
		log:        cfg.Log,
		config:     cfg,
		underWay:   semaphore.NewWeighted(engine.MaxBytesUnderWay),
		damages:    damages{found: make(map[damagePlace]*engine.DamageError)},
		background: background{log: cfg.Log, closing: make(chan struct{})},
	}
	if err := e.open(ctx); err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

func (e *Engine) open(ctx context.Context) (err error) {
	if e.config.fs == nil {
		if e.lock, err = lockDir(e.config.DataDir); err != nil {
			return err
		}
		if err := refuseOldForm(e.config.DataDir); err != nil {
			return err
		}
	}
	if err := e.openStore(); err != nil {
		return e.failed(nil, "opening the storage", err)
	}
	e.committer = startCommitter(e.db, e.mark, &e.background.written, e.log, e.fatal)
	if err := e.load(); err != nil {
		return e.failed(nil, "configurations", err)
	}
	e.folder = startFolder(e)
	if e.mark.last.restored {
		if err := e.jump(ctx, time.Now()); err != nil {
			return err
		}
		if err := e.renewTokens(ctx); err != nil {
			return err
		}
		if err := e.mark.current(); err != nil {
			return err
		}
	}
	e.retention = startRetention(e)
	if e.config.fs == nil {
		if e.backups, err = startBackups(e); err != nil {
			return err
		}
	}
	e.opened = true
	return nil
}

// refuseOldForm returns an error where a release until 0.1.0 has its storage in
// a data directory.
func refuseOldForm(dir string) error {
	_, err := os.Stat(filepath.Join(dir, oldStoreDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("data directory %s: a release until 0.1.0 wrote it, in a form that this one doesn't read; "+
		"to move it, start that release with it, export each topic with its `tidings read`, "+
		"and import that with this release's `tidings import` into a server with a new directory", dir)
}

// load reads the configurations.
func (e *Engine) load() error {
	revisions, err := loadRevisions(e.db)
	if err != nil {
		return err
	}
	if e.topics, err = e.openTopics(revisions); err != nil {
		return err
	}
	if e.subscriptions, err = e.openSubscriptions(revisions); err != nil {
		return err
	}
	if e.schemas, err = e.openSchemas(); err != nil {
		return err
	}
	e.types, err = e.openTypes()
	return err
}

// Features is what every topic can do.
func (e *Engine) Features() engine.Features {
	return engine.Features{
		FirstSequence:     1,
		ExactCount:        true,
		KeyPreconditions:  true,
		ManyPreconditions: true,
		KeyIndex:          true,
		OneCommit:         true,
		MaxEach:           eventlog.MaxEvents,
	}
}

// MaxRecordBytes is the size of the largest record.
func (e *Engine) MaxRecordBytes() int { return e.config.MaxRecordBytes }

// Ready returns nil, engine.ErrFull, a *engine.DamageError or
// engine.ErrUnavailable.
func (e *Engine) Ready(context.Context) error {
	if err := e.damages.any(); err != nil {
		return err
	}
	if err := e.background.stalled.Load(); err != nil {
		return fmt.Errorf("%w: %w", engine.ErrUnavailable, *err)
	}
	if e.disk.refuses.Load() {
		return engine.ErrFull
	}
	return nil
}

// Status is what is to be shown of the storage.
func (e *Engine) Status() engine.Status {
	status := engine.Status{Damages: e.damages.number(), Lost: e.lost}
	e.disk.status(&status)
	return status
}

// Close waits for the appends under way and closes the storage.
func (e *Engine) Close() {
	if e.backups != nil {
		e.backups.close()
	}
	if e.retention != nil {
		e.retention.close()
	}
	if e.folder != nil {
		e.folder.close()
	}
	if e.committer != nil {
		e.committer.close()
	}
	e.closeStore()
	if e.lock != nil {
		e.lock.close()
	}
}

// Exclusive is true: the directory is locked.
func (e *Engine) Exclusive() bool { return true }

// Serve does nothing: there is no other server that calls.
func (e *Engine) Serve(*engine.Subscription, func([]byte, func([]byte))) (stop func(), err error) {
	return func() {}, nil
}

// Call returns engine.ErrNobody.
func (e *Engine) Call(context.Context, *engine.Subscription, []byte) ([]byte, error) {
	return nil, engine.ErrNobody
}
