package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"example.com/tidings/server/internal/engine"
)

// kind is what a registry has to know of its entities.
type kind[C engine.Configuration] struct {
	what        string
	bucket      string
	description string
	notFound    error
	exists      error
	new         func() C
	// stamp sets the form, and whether the entity is being deleted.
	stamp func(config C, deleting bool)
	// prepare brings the streams of an entity in line with its configuration.
	prepare func(context.Context, *engine.Entity[C]) error
	// remove deletes the streams of an entity, where they exist.
	remove func(context.Context, *engine.Entity[C]) error
}

// registry keeps the configurations of a kind: a key-value bucket is the truth,
// and every server follows it.
type registry[C engine.Configuration] struct {
	kind[C]

	engine  *Engine
	log     *slog.Logger
	entries *bucket

	mu     sync.RWMutex
	byName map[string]*engine.Entity[C]
	// deleted holds the revision at which an entity went, lest an older update
	// that is still under way brings it back.
	deleted map[string]uint64
	gone    map[uint64]chan struct{} // By uid: see whenGone.
}

func openRegistry[C engine.Configuration](ctx context.Context, e *Engine, progress func(), k kind[C]) (*registry[C], error) {
	r := &registry[C]{
		kind:    k,
		engine:  e,
		log:     e.log,
		byName:  make(map[string]*engine.Entity[C]),
		deleted: make(map[string]uint64),
		gone:    make(map[uint64]chan struct{}),
	}
	var err error
	if r.entries, err = openBucket(ctx, e, progress, k.bucket, k.description, r.apply); err != nil {
		return nil, err
	}
	if err := r.reconcile(ctx, progress); err != nil {
		r.entries.close()
		return nil, err
	}
	return r, nil
}

func (r *registry[C]) apply(entry jetstream.KeyValueEntry) {
	if entry.Operation() != jetstream.KeyValuePut {
		r.forget(entry.Key(), entry.Revision())
		return
	}
	entity, err := r.decode(entry.Key(), entry.Value(), entry.Revision())
	if err != nil {
		r.log.Error("configuration is not readable", r.what, entry.Key(), "error", err)
		return
	}
	r.remember(entity)
}

func (r *registry[C]) decode(name string, value []byte, revision uint64) (*engine.Entity[C], error) {
	config := r.new()
	if err := engine.Decode(value, config); err != nil {
		return nil, err
	}
	return &engine.Entity[C]{Name: name, Config: config, Revision: revision}, nil
}

func (r *registry[C]) remember(entity *engine.Entity[C]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.byName[entity.Name]
	if known != nil && known.Revision >= entity.Revision || r.deleted[entity.Name] >= entity.Revision {
		return
	}
	if known != nil && (entity.Config.GetDeleting() || known.Config.GetUid() != entity.Config.GetUid()) {
		r.tellGone(known)
	}
	r.byName[entity.Name] = entity
	delete(r.deleted, entity.Name)
}

func (r *registry[C]) forget(name string, revision uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.byName[name]; known == nil || known.Revision < revision {
		r.tellGone(known)
		delete(r.byName, name)
		r.deleted[name] = max(revision, r.deleted[name])
	}
}

// get returns an entity, or the error that it doesn't exist.
func (r *registry[C]) get(ctx context.Context, name string) (*engine.Entity[C], error) {
	r.mu.RLock()
	entity := r.byName[name]
	r.mu.RUnlock()
	if entity == nil {
		// Another server may have created it a moment ago.
		var err error
		if entity, err = r.load(ctx, name); err != nil {
			return nil, err
		}
	}
	if entity.Config.GetDeleting() {
		return nil, r.notFound
	}
	return entity, nil
}

func (r *registry[C]) load(ctx context.Context, name string) (*engine.Entity[C], error) {
	value, revision, err := r.entries.get(ctx, name)
	if errors.Is(err, engine.ErrRecordNotFound) {
		return nil, r.notFound
	}
	if err != nil {
		return nil, err
	}
	entity, err := r.decode(name, value, revision)
	if err != nil {
		return nil, fmt.Errorf("%w: configuration of %s %s: %w", engine.ErrUnavailable, r.what, name, err)
	}
	r.remember(entity)
	return entity, nil
}

// list returns every entity, ordered by name.
func (r *registry[C]) list() []*engine.Entity[C] {
	r.mu.RLock()
	defer r.mu.RUnlock()
	list := make([]*engine.Entity[C], 0, len(r.byName))
	for _, name := range slices.Sorted(maps.Keys(r.byName)) {
		if entity := r.byName[name]; !entity.Config.GetDeleting() {
			list = append(list, entity)
		}
	}
	return list
}

// create creates an entity and its streams, or returns the error that it
// exists.
func (r *registry[C]) create(ctx context.Context, name string, config C) (*engine.Entity[C], error) {
	if existing, err := r.load(ctx, name); err == nil {
		if !existing.Config.GetDeleting() {
			return nil, r.exists
		}
		if err := r.finishDelete(ctx, existing); err != nil {
			return nil, err
		}
	} else if !errors.Is(err, r.notFound) {
		return nil, err
	}
	// With the copies that the bucket has by now.
	if err := r.engine.copies(ctx, r.bucket); err != nil {
		return nil, err
	}
	entity, err := r.put(ctx, &engine.Entity[C]{Name: name, Config: config})
	if errors.Is(err, engine.ErrRevision) {
		return nil, r.exists
	}
	if err != nil {
		return nil, err
	}
	if err := r.prepare(ctx, entity); err != nil {
		// Without its streams it is of no use: take it back.
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), engine.CallTimeout)
		defer cancel()
		return nil, errors.Join(err, r.delete(undo, entity))
	}
	return entity, nil
}

// update changes the configuration of an entity that is still at the revision
// of the given one, or returns ErrRevision.
func (r *registry[C]) update(ctx context.Context, entity *engine.Entity[C], config C) (*engine.Entity[C], error) {
	changed := &engine.Entity[C]{Name: entity.Name, Config: config, Revision: entity.Revision}
	updated, err := r.put(ctx, changed)
	if errors.Is(err, engine.ErrFull) {
		updated, err = r.updateFull(ctx, entity, changed)
	}
	if err != nil {
		return nil, err
	}
	// Of two updates at the same time, the one whose configuration is the older
	// may come to the streams last: it brings them to the newer one's.
	for applied := updated; ; {
		if err := r.prepare(ctx, applied); err != nil {
			return nil, err
		}
		present, err := r.load(ctx, entity.Name)
		switch {
		case err != nil:
			return nil, err
		case present.Revision == applied.Revision || present.Config.GetDeleting():
			return updated, nil
		}
		applied = present
	}
}

// put writes an entity where its revision, 0 for none, is the present one, or
// returns ErrRevision.
func (r *registry[C]) put(ctx context.Context, entity *engine.Entity[C]) (*engine.Entity[C], error) {
	r.stamp(entity.Config, entity.Config.GetDeleting())
	value, err := proto.Marshal(entity.Config)
	if err != nil {
		return nil, err
	}
	after := entity.Revision
	if after == 0 {
		// Where there was one of this name, its deletion is what comes before.
		if _, after, err = r.entries.get(ctx, entity.Name); err == nil {
			return nil, engine.ErrRevision
		} else if !errors.Is(err, engine.ErrRecordNotFound) {
			return nil, err
		}
	}
	revision, err := r.entries.put(ctx, entity.Name, value, after)
	if err != nil {
		if !errors.Is(err, engine.ErrSequence) {
			return nil, err
		}
		// Another server may have changed it: the watcher will say so, but the
		// caller may look again at once.
		if _, err := r.load(ctx, entity.Name); err != nil && entity.Revision != 0 {
			return nil, err
		}
		return nil, engine.ErrRevision
	}
	written := &engine.Entity[C]{Name: entity.Name, Config: entity.Config, Revision: revision}
	r.remember(written)
	return written, nil
}

// delete deletes an entity that is still at the revision of the given one, with
// its streams, or returns ErrRevision.
func (r *registry[C]) delete(ctx context.Context, entity *engine.Entity[C]) error {
	config := proto.CloneOf(entity.Config)
	r.stamp(config, true)
	// From here on it is gone for clients, and a crash is made good by
	// reconcile.
	deleting, err := r.put(ctx, &engine.Entity[C]{Name: entity.Name, Config: config, Revision: entity.Revision})
	if errors.Is(err, engine.ErrFull) {
		return r.deleteFull(ctx, entity)
	}
	if err != nil {
		return err
	}
	return r.finishDelete(ctx, deleting)
}

func (r *registry[C]) finishDelete(ctx context.Context, entity *engine.Entity[C]) error {
	if err := r.remove(ctx, entity); err != nil {
		return err
	}
	err := r.entries.remove(ctx, entity.Name, entity.Revision)
	if err != nil && !errors.Is(err, engine.ErrSequence) { // Another server was faster.
		return err
	}
	// The deletion has a revision of its own, above the entity's.
	r.forget(entity.Name, entity.Revision+1)
	return nil
}

// check returns the error that an entity doesn't exist where this server knows
// that it is deleted: there may be another of its name, which has its streams.
func (r *registry[C]) check(entity *engine.Entity[C]) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	known := r.byName[entity.Name]
	if known == nil {
		if r.deleted[entity.Name] > entity.Revision {
			return r.notFound
		}
		return nil // Another server may have created it a moment ago.
	}
	if known.Config.GetDeleting() || known.Config.GetUid() != entity.Config.GetUid() {
		return r.notFound
	}
	return nil
}

// isGone reports whether an entity is deleted: not where nobody can say.
func (r *registry[C]) isGone(ctx context.Context, entity *engine.Entity[C]) bool {
	select {
	case <-r.whenGone(entity):
		return true
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	present, err := r.load(ctx, entity.Name)
	if errors.Is(err, r.notFound) {
		r.forget(entity.Name, entity.Revision+1)
		return true
	}
	if err != nil {
		return false
	}
	return present.Config.GetDeleting() || present.Config.GetUid() != entity.Config.GetUid()
}

// whenGone returns a channel that is closed once an entity is deleted, by
// whichever server.
func (r *registry[C]) whenGone(entity *engine.Entity[C]) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	uid := entity.Config.GetUid()
	known := r.byName[entity.Name]
	if known == nil || known.Config.GetUid() != uid || known.Config.GetDeleting() {
		closed := make(chan struct{})
		close(closed)
		return closed
	}
	gone := r.gone[uid]
	if gone == nil {
		gone = make(chan struct{})
		r.gone[uid] = gone
	}
	return gone
}

// tellGone closes the channel of an entity. r.mu is held.
func (r *registry[C]) tellGone(entity *engine.Entity[C]) {
	if entity == nil {
		return
	}
	uid := entity.Config.GetUid()
	if gone := r.gone[uid]; gone != nil {
		close(gone)
		delete(r.gone, uid)
	}
}
