package local

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"example.com/tidings/server/internal/engine"

	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// schemas are the schemas that were stored.
type schemas struct {
	mu   sync.Mutex
	base *storagev1.SchemaRevision
	// list is only ever appended to.
	list []*storagev1.SchemaRevision
	more chan struct{}

	// count is the number of those in the list, with what isn't durable yet. It
	// is the committer's.
	count int
}

func schemasKey(number int) []byte {
	return binary.BigEndian.AppendUint64([]byte{kindSchemas}, uint64(number))
}

func (e *Engine) openSchemas() (*schemas, error) {
	s := &schemas{more: make(chan struct{})}
	value, closer, err := e.db.Get([]byte{kindBase})
	if err == nil {
		s.base, err = decodeSchemas(value)
		_ = closer.Close() // Nothing was written.
	}
	if err != nil && !errors.Is(err, pebble.ErrNotFound) {
		return nil, fmt.Errorf("the schemas of the last start: %w", err)
	}
	iter, err := e.db.NewIter(&pebble.IterOptions{LowerBound: []byte{kindSchemas}, UpperBound: []byte{kindSchemas + 1}})
	if err != nil {
		return nil, err
	}
	defer iter.Close() //nolint:errcheck // Error says it.
	for valid := iter.First(); valid; valid = iter.Next() {
		revision, err := decodeSchemas(iter.Value())
		if err == nil && string(iter.Key()) != string(schemasKey(len(s.list)+1)) {
			err = broken(errGap)
		}
		if err != nil {
			return nil, fmt.Errorf("registered schemas %d: %w", len(s.list)+1, err)
		}
		s.list = append(s.list, revision)
	}
	s.count = len(s.list)
	return s, iter.Error()
}

func decodeSchemas(value []byte) (*storagev1.SchemaRevision, error) {
	revision := new(storagev1.SchemaRevision)
	return revision, engine.Decode(value, revision)
}

// SchemaBase returns what SetSchemaBase stored last, or nil.
func (e *Engine) SchemaBase() *storagev1.SchemaRevision {
	e.schemas.mu.Lock()
	defer e.schemas.mu.Unlock()
	return e.schemas.base
}

// SetSchemaBase stores the schemas that a server was started with, in the place
// of those before.
func (e *Engine) SetSchemaBase(ctx context.Context, base *storagev1.SchemaRevision) error {
	value, err := engine.EncodeSchemas(base, e.MaxRecordBytes())
	if err != nil {
		return err
	}
	return e.committer.do(ctx, func(batch *pebble.Batch) error {
		return batch.Set([]byte{kindBase}, value, nil)
	}, func() {
		e.schemas.mu.Lock()
		defer e.schemas.mu.Unlock()
		e.schemas.base = base
	})
}

// SchemaRevisions returns the registered schemas, the oldest first, and a
// channel that is closed once there are more.
func (e *Engine) SchemaRevisions() (list []*storagev1.SchemaRevision, more <-chan struct{}) {
	e.schemas.mu.Lock()
	defer e.schemas.mu.Unlock()
	return e.schemas.list, e.schemas.more
}

// AddSchemaRevision stores schemas as the next after a number of them, or
// returns engine.ErrRevision.
func (e *Engine) AddSchemaRevision(ctx context.Context, after int, revision *storagev1.SchemaRevision) error {
	value, err := engine.EncodeSchemas(revision, e.MaxRecordBytes())
	if err != nil {
		return err
	}
	s := e.schemas
	return e.committer.do(ctx, func(batch *pebble.Batch) error {
		if s.count != after {
			return engine.ErrRevision
		}
		s.count++
		return batch.Set(schemasKey(s.count), value, nil)
	}, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.list = append(s.list, revision)
		close(s.more)
		s.more = make(chan struct{})
	})
}
