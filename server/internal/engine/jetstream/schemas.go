package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"example.com/tidings/server/internal/engine"

	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// schemasBucket holds the registered schemas: see tidings.storage.v1.SchemaRevision.
const schemasBucket = "tidings-schemas"

// schemasBase is the key of what a server was last started with.
const schemasBase = "base"

// schemas follows the schemas that servers register. Revisions are only ever
// added, numbered from 1 on.
type schemas struct {
	log     *slog.Logger
	entries *bucket

	mu      sync.Mutex
	base    *storagev1.SchemaRevision // nil: none was stored.
	byKey   map[uint64]*storagev1.SchemaRevision
	changed chan struct{} // Closed at the next change.
}

func openSchemas(ctx context.Context, e *Engine, progress func()) (*schemas, error) {
	s := &schemas{log: e.log, byKey: make(map[uint64]*storagev1.SchemaRevision), changed: make(chan struct{})}
	var err error
	if s.entries, err = openBucket(ctx, e, progress, schemasBucket, "The schemas that were registered with Tidings", s.apply); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *schemas) apply(entry jetstream.KeyValueEntry) { s.take(entry.Key(), entry.Value()) }

func (s *schemas) take(key string, value []byte) {
	revision := new(storagev1.SchemaRevision)
	err := engine.Decode(value, revision)
	var number uint64
	if err == nil && key != schemasBase {
		number, err = strconv.ParseUint(key, 10, 64)
	}
	if err != nil {
		s.log.Error("registered schemas are not readable", "number", key, "error", err)
		return
	}
	if key == schemasBase {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.base = revision
		return
	}
	s.remember(number, revision)
}

// SchemaBase implements engine.Schemas.
func (e *Engine) SchemaBase() *storagev1.SchemaRevision {
	e.schemas.mu.Lock()
	defer e.schemas.mu.Unlock()
	return e.schemas.base
}

// SetSchemaBase implements engine.Schemas.
func (e *Engine) SetSchemaBase(ctx context.Context, base *storagev1.SchemaRevision) error {
	value, err := engine.EncodeSchemas(base, e.MaxRecordBytes())
	if err != nil {
		return err
	}
	err = do(ctx, func(ctx context.Context) error { return e.schemas.entries.set(ctx, schemasBase, value) })
	if err != nil {
		return err
	}
	e.schemas.mu.Lock()
	defer e.schemas.mu.Unlock()
	e.schemas.base = base
	return nil
}

func (s *schemas) remember(number uint64, revision *storagev1.SchemaRevision) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byKey[number] == nil {
		s.byKey[number] = revision
		close(s.changed)
		s.changed = make(chan struct{})
	}
}

// SchemaRevisions implements engine.Schemas.
func (e *Engine) SchemaRevisions() (list []*storagev1.SchemaRevision, more <-chan struct{}) {
	s := e.schemas
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, number := range slices.Sorted(maps.Keys(s.byKey)) {
		if number != uint64(len(list))+1 {
			break // Those that follow build on one that can't be read.
		}
		list = append(list, s.byKey[number])
	}
	return list, s.changed
}

// AddSchemaRevision implements engine.Schemas.
func (e *Engine) AddSchemaRevision(ctx context.Context, after int, revision *storagev1.SchemaRevision) error {
	value, err := engine.EncodeSchemas(revision, e.MaxRecordBytes())
	if err != nil {
		return err
	}
	number := uint64(after) + 1
	key := strconv.FormatUint(number, 10)
	return do(ctx, func(ctx context.Context) error {
		_, err := e.schemas.entries.put(ctx, key, value, 0)
		switch {
		case errors.Is(err, engine.ErrSequence):
			return e.schemas.load(ctx, key, number)
		case err != nil:
			return err
		}
		e.schemas.remember(number, revision)
		return nil
	})
}

// load takes note of what another server stored, and returns ErrRevision.
func (s *schemas) load(ctx context.Context, key string, number uint64) error {
	value, _, err := s.entries.get(ctx, key)
	if err != nil {
		return err
	}
	s.take(key, value)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byKey[number] == nil {
		return fmt.Errorf("%w: registered schemas %s are not readable", engine.ErrUnavailable, key)
	}
	return engine.ErrRevision
}
