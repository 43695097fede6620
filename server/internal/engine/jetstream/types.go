package jetstream

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"

	"example.com/tidings/server/internal/engine"

	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// typesBucket holds the revisions of event types: see
// tidings.storage.v1.TypeRevisions. Nothing in it is changed or deleted.
const typesBucket = "tidings-types"

// types are the revisions of event types, as far as this server has asked.
type types struct {
	entries *bucket

	mu   sync.Mutex
	list []*storagev1.TypeRevisions
}

func openTypes(ctx context.Context, e *Engine) (*types, error) {
	entries, err := openPassive(ctx, e, typesBucket, "The event types that Tidings was given")
	return &types{entries: entries}, err
}

func typesKey(number int64) string { return "revisions." + strconv.FormatInt(number, 10) }

func fileKey(hash string) string { return "file." + hex.EncodeToString([]byte(hash)) }

// TypeRevisions implements engine.Schemas.
func (e *Engine) TypeRevisions(ctx context.Context) ([]*storagev1.TypeRevisions, error) {
	t := e.types
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		number := int64(len(t.list)) + 1
		value, err := call(ctx, func(ctx context.Context) ([]byte, error) {
			value, _, err := t.entries.get(ctx, typesKey(number))
			return value, err
		})
		if errors.Is(err, engine.ErrRecordNotFound) {
			return slices.Clip(t.list), nil
		}
		revisions := new(storagev1.TypeRevisions)
		if err == nil {
			err = engine.Decode(value, revisions)
		}
		if err != nil {
			return nil, fmt.Errorf("revisions of event types %d: %w", number, err)
		}
		t.list = append(t.list, revisions)
	}
}

// AddTypeRevisions implements engine.Schemas.
func (e *Engine) AddTypeRevisions(ctx context.Context, after int64, revisions *storagev1.TypeRevisions, contents map[string][]byte) error {
	value, err := engine.EncodeTypes(revisions, after+1, contents, e.MaxRecordBytes())
	if err != nil {
		return err
	}
	for _, hash := range slices.Sorted(maps.Keys(contents)) {
		if err := e.types.put(ctx, fileKey(hash), contents[hash]); err != nil && !errors.Is(err, engine.ErrRevision) {
			return err
		}
	}
	return e.types.put(ctx, typesKey(after+1), value)
}

// put stores an entry, or returns engine.ErrRevision where there is one.
func (t *types) put(ctx context.Context, key string, value []byte) error {
	err := do(ctx, func(ctx context.Context) error {
		_, err := t.entries.put(ctx, key, value, 0)
		return err
	})
	if errors.Is(err, engine.ErrSequence) {
		return engine.ErrRevision
	}
	return err
}

// SchemaFile implements engine.Schemas.
func (e *Engine) SchemaFile(ctx context.Context, hash string) ([]byte, error) {
	return call(ctx, func(ctx context.Context) ([]byte, error) {
		value, _, err := e.types.entries.get(ctx, fileKey(hash))
		return value, err
	})
}
