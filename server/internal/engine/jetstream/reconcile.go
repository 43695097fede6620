package jetstream

import (
	"context"
	"maps"
	"slices"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/guard"
)

// maxReconciled is the number of entities that reconcile works on at a time.
const maxReconciled = 16

// reconcile finishes what a crash between two steps left: it brings each
// stream in line and ends deletions.
func (r *registry[C]) reconcile(ctx context.Context, progress func()) error {
	r.mu.RLock()
	all := slices.Collect(maps.Values(r.byName))
	r.mu.RUnlock()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan *engine.Entity[C])
	var workers guard.Group
	for range min(maxReconciled, len(all)) {
		workers.Go(func() error {
			for entity := range next {
				err := r.engine.insist(ctx, r.what+" "+entity.Name, func(ctx context.Context) error {
					return r.reconcileOne(ctx, entity)
				})
				if err != nil {
					return err
				}
				progress()
			}
			return nil
		}, func(err error) {
			if err != nil {
				cancel(err)
			}
		})
	}
	for _, entity := range all {
		select {
		case next <- entity:
		case <-ctx.Done():
		}
	}
	close(next)
	workers.Wait()
	return context.Cause(ctx)
}

func (r *registry[C]) reconcileOne(ctx context.Context, entity *engine.Entity[C]) error {
	if entity.Config.GetDeleting() {
		return r.finishDelete(ctx, entity)
	}
	return r.prepare(ctx, entity)
}
