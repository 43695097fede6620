package local

import (
	"bytes"
	"slices"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"example.com/tidings/server/internal/engine"
)

// recent finds identities for the committer, to which it belongs. Most of those
// that are looked for aren't there, and the filters of the tables say so at once.
// A memtable has none, and to search one takes as long as the rest of a small
// commit: so the identities in memtables are here too, and memtables aren't
// searched.
type recent struct {
	db *pebble.DB
	// since is the commit after which all identities were added.
	since uint64
	// inTables is the last commit of which it is known that all is in tables.
	inTables uint64
	// written is background's.
	written *atomic.Bool
	// generations are the identities by when they were added, the oldest first.
	generations []generation

	iter *pebble.Iterator // Of the commits under way. nil: none yet.
	key  [identityKeySize]byte
}

// generation are the identities of the commits up to one.
type generation struct {
	last uint64
	of   map[topicID]identity
}

type topicID struct {
	uid uint64
	id  engine.ID
}

// newRecent returns one for the commits after since.
func newRecent(db *pebble.DB, since uint64, written *atomic.Bool) *recent {
	written.Store(true) // Nothing is known yet.
	return &recent{db: db, since: since, written: written, generations: []generation{{of: make(map[topicID]identity)}}}
}

// add takes note of an identity of the commit that is being prepared.
func (r *recent) add(uid uint64, id engine.ID, known identity) {
	r.generations[len(r.generations)-1].of[topicID{uid, id}] = known
}

// begin is called before commits are prepared, with the number of the last one,
// and end after that.
func (r *recent) begin(last uint64) {
	if !r.written.Swap(false) {
		return
	}
	if err := r.look(); err != nil { // It is said where an identity is looked for.
		r.written.Store(true)
		return
	}
	r.generations[len(r.generations)-1].last = last
	for len(r.generations) > 0 && r.generations[0].last <= r.inTables {
		r.generations = r.generations[1:]
	}
	r.generations = append(r.generations, generation{of: make(map[topicID]identity)})
}

// look finds out what is in tables. Memtables are written in their order, and a
// commit is in one of them: so every commit is there up to the one that the tables
// name.
func (r *recent) look() error {
	iter, err := r.db.NewIter(&pebble.IterOptions{OnlyReadGuaranteedDurable: true})
	if err != nil {
		return err
	}
	defer iter.Close() //nolint:errcheck // Error says it.
	if iter.SeekGE(commitKey) && bytes.Equal(iter.Key(), commitKey) {
		number, err := parseNumber(iter.Value())
		if err != nil {
			return err
		}
		r.inTables = uint64(number)
	}
	return iter.Error()
}

func (r *recent) end() {
	if r.iter != nil {
		_ = r.iter.Close() // find has returned its errors.
		r.iter = nil
	}
}

// find returns what an identity of a topic was stored for, durable or not, or
// perhaps for one that was forgotten.
func (r *recent) find(uid uint64, id engine.ID) (known identity, ok bool, err error) {
	for _, g := range slices.Backward(r.generations) {
		if known, ok = g.of[topicID{uid, id}]; ok {
			return known, true, nil
		}
	}
	if r.iter == nil {
		// DB.Get doesn't ask the filters of the lowest level.
		r.iter, err = r.db.NewIter(&pebble.IterOptions{UseL6Filters: true, OnlyReadGuaranteedDurable: r.inTables >= r.since})
		if err != nil {
			return known, false, err
		}
	}
	return seekIdentity(r.iter, &r.key, uid, id)
}
