package local

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/guard"
)

const (
	// lookEvery is how often the volume is looked at, at least.
	lookEvery = time.Second
	// maxReserve and reserveShare bound what is kept free of events: a share of
	// the volume. It is for what goes on in a full storage: settling, deleting,
	// and what Pebble writes before it gives space back.
	maxReserve   = 1 << 30
	reserveShare = 8
	// maxRanges bounds the ranges of deleted keys that are remembered.
	maxRanges = 256
)

// disk knows how much room there is for events. Everything else is stored
// whether or not there is.
type disk struct {
	db  *pebble.DB
	fs  vfs.FS
	dir string
	// max is the bound of the storage. 0: three quarters of what the volume has
	// for it.
	max int64
	log *slog.Logger

	// room is how many bytes may be appended until the next look.
	room atomic.Int64
	// refuses says that there is no room.
	refuses atomic.Bool

	mu sync.Mutex
	// seen is what the last look saw, and metrics what Pebble said of itself then.
	seen    volume
	metrics *pebble.Metrics
	// wanted is the size of the largest record that was refused since there was
	// room for all: until there is room for it, there is for none.
	wanted int64
	// deleted are ranges of keys whose space may not be given back yet.
	deleted []keyRange

	stop    context.CancelFunc
	running guard.Group
}

// volume is what a look at the volume sees, in bytes.
type volume struct {
	stored, max   int64
	free, reserve int64
	// unflushed is what is in memory, and will take space beside the log.
	unflushed int64
}

// room is how much may be appended.
func (v volume) room() int64 {
	return min(v.max-v.stored, v.free-v.reserve-v.unflushed)
}

// keyRange is keys from start to before end.
type keyRange struct{ start, end []byte }

// openDisk looks at the volume and then keeps looking.
func openDisk(db *pebble.DB, fs vfs.FS, dir string, limit int64, log *slog.Logger) (*disk, error) {
	d := &disk{db: db, fs: fs, dir: dir, max: limit, log: log}
	if err := d.look(0); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	d.stop = cancel
	d.running.Go(func() error { return d.run(ctx) }, guard.Log(log, "looking after the space of the storage"))
	return d, nil
}

// close ends the looking.
func (d *disk) close() {
	d.stop()
	d.running.Wait()
}

// full reports whether there is no room for an event of a size.
func (d *disk) full(size int) bool {
	if d.refuses.Load() {
		return true
	}
	if d.room.Load() > int64(size) {
		return false
	}
	// What was counted is more than what was stored, because Pebble compresses.
	if err := d.look(int64(size)); err != nil {
		d.log.Error("looking at the volume of the storage", "error", err)
	}
	return d.refuses.Load()
}

// hasRoom reports whether there is room for what can as well be left undone.
func (d *disk) hasRoom(size int) bool { return !d.refuses.Load() && d.room.Load() > int64(size) }

// wrote takes note of bytes that were written.
func (d *disk) wrote(size int) { d.room.Add(-int64(size)) }

// look looks at the volume, where wanted bytes are to be written.
func (d *disk) look(wanted int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	usage, err := d.fs.GetDiskUsage(d.dir)
	if errors.Is(err, vfs.ErrUnsupported) {
		usage.AvailBytes, err = math.MaxInt64/2, nil
	}
	if err != nil {
		return err
	}
	m := d.db.Metrics()
	v := volume{
		free:      int64(usage.AvailBytes),
		reserve:   reserve(usage.TotalBytes),
		unflushed: int64(m.WAL.Size),
		max:       d.max,
	}
	// Tables that others have taken the place of are gone soon.
	v.stored = int64(m.Table.Local.LiveSize + m.WAL.Size)
	if v.max == 0 {
		v.max = (v.free + v.stored) / 4 * 3
	}
	d.seen, d.metrics = v, m
	d.room.Store(v.room())
	d.wanted = max(d.wanted, wanted)
	full := v.room() <= d.wanted
	if !full {
		d.wanted = 0
	}
	if d.refuses.Swap(full) != full {
		d.say(full)
	}
	return nil
}

func (d *disk) say(full bool) {
	numbers := []any{
		"stored_bytes", d.seen.stored, "max_bytes", d.seen.max,
		"free_bytes", d.seen.free, "reserve_bytes", d.seen.reserve,
	}
	if full {
		d.log.Warn("the storage is full: events are refused until there is room", numbers...)
		return
	}
	d.log.Info("the storage has room again", numbers...)
}

// reserve is what is kept free on a volume of a size.
func reserve(total uint64) int64 { return int64(min(total/reserveShare, maxReserve)) }

// status fills what is to be shown.
func (d *disk) status(status *engine.Status) {
	d.mu.Lock()
	defer d.mu.Unlock()
	status.StoredBytes, status.MaxBytes = d.seen.stored, d.seen.max
	status.FreeBytes, status.Reserve = d.seen.free, d.seen.reserve
	status.Full = d.refuses.Load()
	status.Store = storeStatus(d.metrics)
}

// reclaim takes note of keys that were deleted. Pebble gives their space back in
// its own time, and in a full storage that is now.
func (d *disk) reclaim(start, end []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := len(d.deleted); n > 0 && bytes.Equal(d.deleted[n-1].end, start) {
		d.deleted[n-1].end = bytes.Clone(end) // Retention goes on where it was.
		return
	}
	if len(d.deleted) == maxRanges {
		d.deleted = slices.Delete(d.deleted, 0, 1)
	}
	d.deleted = append(d.deleted, keyRange{bytes.Clone(start), bytes.Clone(end)})
}

// reclaimAll is reclaim of all keys of kinds and a uid.
func (d *disk) reclaimAll(kinds []byte, uid uint64) {
	for _, kind := range kinds {
		d.reclaim(uidKey(kind, uid), afterUID(kind, uid))
	}
}

func (d *disk) run(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if d.tight() {
			d.compact(ctx)
		}
		if err := d.look(0); err != nil {
			d.log.Error("looking at the volume of the storage", "error", err)
		}
	}
}

// tight reports whether space is to be given back at once.
func (d *disk) tight() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.refuses.Load() || d.seen.room() < d.seen.max/4
}

// compact gives back the space of what was deleted.
func (d *disk) compact(ctx context.Context) {
	d.mu.Lock()
	ranges := d.deleted
	d.deleted = nil
	d.mu.Unlock()
	for _, r := range ranges {
		if err := guard.Do(func() error { return d.db.Compact(ctx, r.start, r.end, false) }); err != nil {
			if ctx.Err() == nil {
				d.log.Error("giving back the space of what was deleted", "error", err)
			}
			return
		}
	}
}

// fit sizes Pebble for a volume: what it keeps in memory is on the volume too, as
// log, as log to be used again and as table.
func fit(o *pebble.Options, capacity int64) {
	o.MemTableSize = uint64(min(max(capacity/memTableShare, minMemTable), maxMemTable))
	if o.MemTableSize < maxMemTable/2 {
		o.MemTableStopWritesThreshold = 2
	}
	flushed := int64(o.MemTableSize)
	o.TargetFileSizes[0] = flushed
	o.TargetFileSizes[1] = flushed / baseTableShare
	o.TargetFileSizes[2] = flushed / 2 // From there on, each level has twice the size of the one before it.
}

// baseTableShare makes the tables of the first level that flushed tables go to
// small. Pebble adds to a compaction into that level what is flushed beside it, up
// to 25 times their size. That is to be less than the records of two flushes are,
// compressed, so that they are left out: they go down by themselves, each flush one
// table that isn't written again.
const baseTableShare = 32
