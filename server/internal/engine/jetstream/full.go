package jetstream

import (
	"context"
	"errors"

	"example.com/tidings/server/internal/engine"
)

// updateFull is put where there is no room for the configuration. There may be
// some once the streams are in line with it.
func (r *registry[C]) updateFull(ctx context.Context, entity, changed *engine.Entity[C]) (*engine.Entity[C], error) {
	if err := r.checkRevision(ctx, entity); err != nil {
		return nil, err
	}
	if err := r.prepare(ctx, changed); err != nil {
		return nil, err
	}
	updated, err := r.put(ctx, changed)
	if err != nil {
		err = errors.Join(err, r.prepare(ctx, entity))
	}
	return updated, err
}

// checkRevision returns ErrRevision where an entity has another revision by now.
func (r *registry[C]) checkRevision(ctx context.Context, entity *engine.Entity[C]) error {
	present, err := r.load(ctx, entity.Name)
	if err == nil && present.Revision != entity.Revision {
		err = engine.ErrRevision
	}
	return err
}

// deleteFull is delete where there is no room to say so. Then a crash may leave an
// entity whose streams are gone, and other servers may only notice when they need
// it.
func (r *registry[C]) deleteFull(ctx context.Context, entity *engine.Entity[C]) error {
	if err := r.checkRevision(ctx, entity); err != nil {
		return err
	}
	if err := r.remove(ctx, entity); err != nil {
		return err
	}
	err := r.entries.remove(ctx, entity.Name, entity.Revision) // There may be room now.
	if errors.Is(err, engine.ErrFull) {
		err = r.entries.drop(ctx, entity.Name)
	}
	if err == nil {
		r.forget(entity.Name, entity.Revision+1)
	}
	return err
}
