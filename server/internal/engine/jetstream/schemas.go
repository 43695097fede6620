package engine

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
	"google.golang.org/protobuf/proto"

	storagev1 "example.com/tidings/gen/go/tidings/storage/v1"
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

func openSchemas(ctx context.Context, e *Engine) (*schemas, error) {
	s := &schemas{log: e.log, byKey: make(map[uint64]*storagev1.SchemaRevision), changed: make(chan struct{})}
	var err error
	if s.entries, err = openBucket(ctx, e, schemasBucket, "The schemas that were registered with Tidings", s.apply); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *schemas) apply(entry jetstream.KeyValueEntry) {
	revision := new(storagev1.SchemaRevision)
	err := proto.Unmarshal(entry.Value(), revision)
	var number uint64
	if err == nil && entry.Key() != schemasBase {
		number, err = strconv.ParseUint(entry.Key(), 10, 64)
	}
	if err == nil && revision.GetFormat() != configFormat {
		err = fmt.Errorf("form %d is not known: a later release wrote it", revision.GetFormat())
	}
	if err != nil {
		s.log.Error("registered schemas are not readable", "number", entry.Key(), "error", err)
		return
	}
	if entry.Key() == schemasBase {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.base = revision
		return
	}
	s.remember(number, revision)
}

// SchemaBase returns what SetSchemaBase stored last, by whichever server, as far
// as this one knows, or nil. It is not to be changed.
func (e *Engine) SchemaBase() *storagev1.SchemaRevision {
	e.schemas.mu.Lock()
	defer e.schemas.mu.Unlock()
	return e.schemas.base
}

// SetSchemaBase stores the schemas that a server was started with, in the place
// of those before. It fills format. Its errors are ErrTooLarge, ErrFull and
// ErrUnavailable.
func (e *Engine) SetSchemaBase(ctx context.Context, base *storagev1.SchemaRevision) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	value, err := e.encodeRevision(base)
	if err != nil {
		return err
	}
	if _, err := e.schemas.entries.kv.Put(ctx, schemasBase, value); err != nil {
		return translate(err)
	}
	e.schemas.mu.Lock()
	defer e.schemas.mu.Unlock()
	e.schemas.base = base
	return nil
}

func (e *Engine) encodeRevision(revision *storagev1.SchemaRevision) ([]byte, error) {
	revision.Format = configFormat
	value, err := proto.Marshal(revision)
	if err != nil {
		return nil, err
	}
	if len(value) > e.MaxRecordBytes() {
		return nil, fmt.Errorf("%w: schemas of %d bytes", ErrTooLarge, len(value))
	}
	return value, nil
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

// SchemaRevisions returns the registered schemas, the oldest first, as far as
// this server knows, and a channel that is closed once there are more. They are
// not to be changed.
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

// AddSchemaRevision stores schemas as the next after a number of them, or
// returns ErrRevision where another server has stored some, which
// SchemaRevisions then returns too. It fills format. Its other errors are
// ErrTooLarge, ErrFull and ErrUnavailable.
func (e *Engine) AddSchemaRevision(ctx context.Context, after int, revision *storagev1.SchemaRevision) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	value, err := e.encodeRevision(revision)
	if err != nil {
		return err
	}
	number := uint64(after) + 1
	key := strconv.FormatUint(number, 10)
	_, err = e.schemas.entries.kv.Create(ctx, key, value)
	switch {
	case errors.Is(err, jetstream.ErrKeyExists):
		return e.schemas.load(ctx, key, number)
	case err != nil:
		return translate(err)
	}
	if err := e.syncer.wait(ctx); err != nil {
		return err
	}
	e.schemas.remember(number, revision)
	return nil
}

// load takes note of what another server stored, and returns ErrRevision.
func (s *schemas) load(ctx context.Context, key string, number uint64) error {
	entry, err := s.entries.kv.Get(ctx, key)
	if err != nil {
		return translate(err)
	}
	s.apply(entry)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byKey[number] == nil {
		return fmt.Errorf("%w: registered schemas %s are not readable", ErrUnavailable, key)
	}
	return ErrRevision
}
