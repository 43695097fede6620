package local

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/guard"
)

// write is a change of the store.
type write interface {
	// prepare adds what is to change to a batch, or says why nothing does. Only the
	// committer calls it, so that what is written in prepare alone needs no lock.
	prepare(batch *pebble.Batch) error
	// joins reports whether prepare may be called with the batch of writes that join
	// too. Otherwise all that was prepared before is in the store, and the batch empty.
	joins() bool
	// end is called once what was prepared is durable, and all that was prepared
	// before it, or with the error of prepare. The calls are in the order of
	// those of prepare.
	end(err error)
}

const (
	// maxQueued bounds the changes that wait for the committer, and maxGroup
	// those that wait for the disk together. maxGroups bounds the groups that
	// wait for the disk at a time.
	maxQueued = 1024
	maxGroup  = 256
	maxGroups = 8
	// maxJoined is the size of a batch that no further change joins.
	maxJoined = 128 << 10
)

// committer is the one goroutine that changes the store, and the one that waits
// for the disk and tells those who wait. Changes that come while the disk is at
// work become one group, which then waits for it once.
type committer struct {
	db *pebble.DB
	// mark says outside of the store what was answered for.
	mark *mark
	// number is that of the last commit. It is run's.
	number uint64
	recent *recent
	log    *slog.Logger
	fatal  func(error)
	queue  chan write
	groups chan group
	quit   chan struct{}
	ended  guard.Group
}

// prepared is a change whose prepare has been called.
type prepared struct {
	write write
	err   error
}

type group struct {
	changes []prepared
	// last is what to wait for: nil where nothing was changed.
	last *pebble.Batch
	// number is that of the last commit of the group.
	number uint64
}

// startCommitter begins to take changes, after the commit that the mark says.
// fatal is called when the store fails: what is in it then isn't known, and it
// doesn't return.
func startCommitter(db *pebble.DB, m *mark, written *atomic.Bool, log *slog.Logger, fatal func(error)) *committer {
	c := &committer{
		db:     db,
		mark:   m,
		number: m.last.commit,
		recent: newRecent(db, m.last.commit, written),
		log:    log,
		fatal:  fatal,
		queue:  make(chan write, maxQueued),
		groups: make(chan group, maxGroups),
		quit:   make(chan struct{}),
	}
	failed := func(err error) {
		if err != nil {
			c.fatal(err)
		}
	}
	c.ended.Go(c.run, failed)
	c.ended.Go(c.settle, failed)
	return c
}

// close ends the committer once all that was begun has ended.
func (c *committer) close() {
	close(c.quit)
	c.ended.Wait()
}

var errClosed = fmt.Errorf("%w: it is closed", engine.ErrUnavailable)

// begin queues a change. It blocks while too many wait.
func (c *committer) begin(ctx context.Context, w write) error {
	select {
	case c.queue <- w:
		return nil
	default:
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	select {
	case c.queue <- w:
		return nil
	case <-c.quit:
		return errClosed
	case <-ctx.Done():
		return cause(ctx)
	}
}

func (c *committer) run() error {
	defer close(c.groups)
	for {
		var first write
		select {
		case first = <-c.queue:
		case <-c.quit:
			select {
			case first = <-c.queue:
			default:
				return nil
			}
		}
		c.groups <- c.commit(first)
	}
}

// commit changes the store by what waits.
func (c *committer) commit(first write) (g group) {
	var batch *pebble.Batch // Not applied yet. nil: there is none.
	open, changed := false, false
	runtime.Gosched() // Those who are about to come need not wait for another turn of the disk.
	c.recent.begin(c.number)
	defer c.recent.end()
	for next := first; next != nil; next = c.waiting(len(g.changes)) {
		joins := next.joins()
		if batch != nil && (!open || !joins || batch.Len() > maxJoined) {
			c.apply(batch, false)
			_ = batch.Close() // Nothing is open that could fail.
			batch, changed = nil, true
		}
		if batch == nil {
			batch = c.db.NewBatch()
		}
		open = joins
		var err error
		if batch, err = c.prepare(batch, next); batch.Empty() {
			_ = batch.Close() // As above.
			batch = nil
		}
		g.changes = append(g.changes, prepared{next, c.known(err)})
	}
	if batch == nil && changed {
		batch = c.db.NewBatch() // With its number alone.
	}
	if batch != nil {
		c.apply(batch, true)
		g.last, g.number = batch, c.number
	}
	return g
}

// prepare adds a change to a batch, and returns that, or where the change fails one
// with what the batch had before.
func (c *committer) prepare(batch *pebble.Batch, w write) (*pebble.Batch, error) {
	before, count := batch.Len(), batch.Count()
	err := guard.Do(func() error { return w.prepare(batch) })
	if err == nil || batch.Count() == count {
		return batch, err
	}
	kept := c.db.NewBatch()
	if count > 0 {
		content := bytes.Clone(batch.Repr()[:before])
		binary.LittleEndian.PutUint32(content[8:], count)
		if err := kept.SetRepr(content); err != nil {
			c.fatal(err)
		}
	}
	_ = batch.Close() // Nothing is open that could fail.
	return kept, err
}

// waiting returns a change that waits, unless a group is complete.
func (c *committer) waiting(size int) write {
	if size >= maxGroup {
		return nil
	}
	select {
	case next := <-c.queue:
		return next
	default:
		return nil
	}
}

func (c *committer) apply(batch *pebble.Batch, durable bool) {
	// Each batch has a number of its own: where the log breaks off between two,
	// that is seen.
	c.number++
	err := batch.Set(commitKey, encodeNumber(int64(c.number)), nil)
	switch {
	case err != nil:
	case durable:
		err = c.db.ApplyNoSyncWait(batch, pebble.Sync)
	default:
		err = c.db.Apply(batch, pebble.NoSync)
	}
	if err != nil {
		c.fatal(err)
	}
}

// known makes sure that an error is one of package engine's.
func (c *committer) known(err error) error {
	if err == nil || isKnown(err) {
		return err
	}
	c.log.Error("a change failed", "error", err)
	return fmt.Errorf("%w: %w", engine.ErrUnavailable, err)
}

// settle waits for the disk and tells those who wait.
func (c *committer) settle() error {
	for g := range c.groups {
		if g.last != nil {
			err := g.last.SyncWait()
			if err == nil {
				err = c.mark.set(g.number)
			}
			if err != nil {
				c.fatal(err)
			}
			_ = g.last.Close() // Nothing is open that could fail.
		}
		for _, change := range g.changes {
			change.write.end(change.err)
		}
	}
	return nil
}

// change is a write that a call waits for.
type change struct {
	// plan is prepare. It isn't called once the call has returned, so that what
	// the caller passed in may be used in it, and not be kept.
	plan func(batch *pebble.Batch) error
	// then is called once the change is durable.
	then func()
	err  error
	done chan struct{}

	mu        sync.Mutex
	abandoned bool
}

func (c *change) prepare(batch *pebble.Batch) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.abandoned {
		return engine.ErrUnavailable
	}
	return c.plan(batch)
}

func (c *change) joins() bool { return false }

func (c *change) end(err error) {
	if err == nil && c.then != nil {
		c.then()
	}
	c.err = err
	close(c.done)
}

// do changes the store and waits until the change is durable. then, where it
// isn't nil, is called before anybody hears of it.
func (c *committer) do(ctx context.Context, plan func(batch *pebble.Batch) error, then func()) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	w := &change{plan: plan, then: then, done: make(chan struct{})}
	if err := c.begin(ctx, w); err != nil {
		return err
	}
	select {
	case <-w.done:
		return w.err
	case <-ctx.Done():
		w.mu.Lock()
		defer w.mu.Unlock()
		w.abandoned = true
		return cause(ctx)
	}
}

var errNoAnswer = fmt.Errorf("%w: no answer within %v", engine.ErrUnavailable, engine.CallTimeout)

// bounded gives a context without a deadline the one of a call.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, engine.CallTimeout, errNoAnswer)
}

// cause returns why a context of bounded has ended.
func cause(ctx context.Context) error {
	if err := context.Cause(ctx); errors.Is(err, engine.ErrUnavailable) {
		return err
	}
	return ctx.Err()
}
