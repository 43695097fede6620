package local

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"example.com/tidings/server/internal/engine"

	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// types are the revisions of event types that were stored.
type types struct {
	mu sync.Mutex
	// list is only ever appended to.
	list []*storagev1.TypeRevisions

	// last is the number of the last of them, with what isn't durable yet. It is
	// the committer's.
	last int64
}

func typesKey(number int64) []byte {
	return binary.BigEndian.AppendUint64([]byte{kindTypes}, uint64(number))
}

func fileKey(hash string) []byte { return nameKey(kindFile, hash) }

func (e *Engine) openTypes() (*types, error) {
	t := new(types)
	iter, err := e.db.NewIter(&pebble.IterOptions{LowerBound: []byte{kindTypes}, UpperBound: []byte{kindTypes + 1}})
	if err != nil {
		return nil, err
	}
	defer iter.Close() //nolint:errcheck // Error says it.
	for valid := iter.First(); valid; valid = iter.Next() {
		number := numberOf(iter.Key())
		revisions := new(storagev1.TypeRevisions)
		if err := engine.Decode(iter.Value(), revisions); err != nil {
			return nil, fmt.Errorf("revisions of event types %d: %w", number, err)
		}
		t.list, t.last = append(t.list, revisions), number
	}
	return t, iter.Error()
}

// TypeRevisions returns what AddTypeRevisions has stored, the oldest first.
func (e *Engine) TypeRevisions(context.Context) ([]*storagev1.TypeRevisions, error) {
	e.types.mu.Lock()
	defer e.types.mu.Unlock()
	return slices.Clip(e.types.list), nil
}

// AddTypeRevisions stores revisions of types as the next after those with a
// number, with the contents of their files, or returns engine.ErrRevision.
func (e *Engine) AddTypeRevisions(ctx context.Context, after int64, revisions *storagev1.TypeRevisions, contents map[string][]byte) error {
	value, err := engine.EncodeTypes(revisions, after+1, contents, e.MaxRecordBytes())
	if err != nil {
		return err
	}
	t := e.types
	return e.committer.do(ctx, func(batch *pebble.Batch) error {
		if t.last != after {
			return engine.ErrRevision
		}
		t.last++
		for hash, content := range contents {
			if err := batch.Set(fileKey(hash), content, nil); err != nil {
				return err
			}
		}
		return batch.Set(typesKey(t.last), value, nil)
	}, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.list = append(t.list, revisions)
	})
}

// SchemaFile returns the content of a file by its hash, or
// engine.ErrRecordNotFound.
func (e *Engine) SchemaFile(_ context.Context, hash string) ([]byte, error) {
	value, closer, err := e.db.Get(fileKey(hash))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, engine.ErrRecordNotFound
	}
	if err != nil {
		return nil, e.failed(nil, "a file of schemas", err)
	}
	return slices.Clone(value), closer.Close()
}
