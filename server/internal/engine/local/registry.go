package local

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"google.golang.org/protobuf/proto"

	"example.com/tidings/server/internal/engine"
)

// kind is what a registry has to know of its entities.
type kind[C engine.Configuration, S holder[C]] struct {
	what     string
	key      byte
	notFound error
	exists   error
	config   func() C
	// stamp sets the form.
	stamp func(config C)
	// state makes what is kept of an entity while it exists.
	state func() S
	// owned are the kinds of keys that go with an entity.
	owned []byte
	// gone is called once an entity is deleted.
	gone func(uid uint64)
}

// held is what a registry keeps with the state of an entity.
type held[C engine.Configuration] struct {
	uid  uint64
	name string
	// entity is the entity as it is.
	entity atomic.Pointer[engine.Entity[C]]
	// gone is closed once the entity is deleted.
	gone chan struct{}
	// deleted says so too, before anything of the entity is gone from the store.
	deleted atomic.Bool
}

func (h *held[C]) base() *held[C] { return h }

// holder is a state.
type holder[C engine.Configuration] interface{ base() *held[C] }

// registry keeps the configurations of a kind, and the state of each entity.
type registry[C engine.Configuration, S holder[C]] struct {
	kind[C, S]

	committer *committer
	revisions *revisions

	mu     sync.RWMutex
	byName map[string]*engine.Entity[C]
	byUID  map[uint64]S
	// sorted is byName ordered by name. It is replaced, not changed.
	sorted []*engine.Entity[C]

	// latest is byName, with what isn't durable yet. It is the committer's.
	latest map[string]*engine.Entity[C]
}

// revisions counts the changes of configurations. It is the committer's.
type revisions struct{ last uint64 }

// loadRevisions reads the counter.
func loadRevisions(db *pebble.DB) (*revisions, error) {
	value, closer, err := db.Get([]byte{kindRevision})
	if errors.Is(err, pebble.ErrNotFound) {
		return new(revisions), nil
	}
	if err != nil {
		return nil, err
	}
	defer closer.Close() //nolint:errcheck // Nothing was written.
	last, err := parseNumber(value)
	return &revisions{uint64(last)}, err
}

func (r *revisions) next(batch *pebble.Batch) (uint64, error) {
	r.last++
	return r.last, batch.Set([]byte{kindRevision}, encodeNumber(int64(r.last)), nil)
}

func openRegistry[C engine.Configuration, S holder[C]](db *pebble.DB, c *committer, r *revisions, k kind[C, S]) (*registry[C, S], error) {
	g := &registry[C, S]{
		kind:      k,
		committer: c,
		revisions: r,
		byName:    make(map[string]*engine.Entity[C]),
		byUID:     make(map[uint64]S),
		latest:    make(map[string]*engine.Entity[C]),
	}
	iter, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{k.key}, UpperBound: []byte{k.key + 1}})
	if err != nil {
		return nil, err
	}
	defer iter.Close() //nolint:errcheck // Error says it.
	for valid := iter.First(); valid; valid = iter.Next() {
		entity, err := g.decode(string(iter.Key()[1:]), iter.Value())
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", k.what, iter.Key()[1:], err)
		}
		g.latest[entity.Name] = entity
		g.add(entity)
		g.sorted = append(g.sorted, entity)
	}
	return g, iter.Error()
}

const revisionSize = 8

func (g *registry[C, S]) decode(name string, value []byte) (*engine.Entity[C], error) {
	if len(value) < revisionSize {
		return nil, errSize
	}
	config := g.config()
	if err := engine.Decode(value[revisionSize:], config); err != nil {
		return nil, err
	}
	return &engine.Entity[C]{Name: name, Config: config, Revision: binary.BigEndian.Uint64(value)}, nil
}

// put stores a configuration at the next revision.
func (g *registry[C, S]) put(batch *pebble.Batch, name string, config C) (*engine.Entity[C], error) {
	revision, err := g.revisions.next(batch)
	if err != nil {
		return nil, err
	}
	value, err := proto.MarshalOptions{}.MarshalAppend(binary.BigEndian.AppendUint64(nil, revision), config)
	if err != nil {
		return nil, err
	}
	entity := &engine.Entity[C]{Name: name, Config: config, Revision: revision}
	g.latest[name] = entity
	return entity, batch.Set(nameKey(g.key, name), value, nil)
}

// add makes the state of an entity.
func (g *registry[C, S]) add(entity *engine.Entity[C]) {
	state := g.state()
	h := state.base()
	h.uid, h.name, h.gone = entity.Config.GetUid(), entity.Name, make(chan struct{})
	h.entity.Store(entity)
	g.byName[entity.Name] = entity
	g.byUID[h.uid] = state
}

func compareName[C engine.Configuration](entity *engine.Entity[C], name string) int {
	return strings.Compare(entity.Name, name)
}

func (g *registry[C, S]) get(name string) (*engine.Entity[C], error) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if entity := g.byName[name]; entity != nil {
		return entity, nil
	}
	return nil, g.notFound
}

func (g *registry[C, S]) list() []*engine.Entity[C] {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.sorted
}

// of returns the state of an entity.
func (g *registry[C, S]) of(entity *engine.Entity[C]) (S, error) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	state, ok := g.byUID[entity.Config.GetUid()]
	if !ok {
		return state, g.notFound
	}
	return state, nil
}

// states returns all states.
func (g *registry[C, S]) states() []S {
	g.mu.RLock()
	defer g.mu.RUnlock()
	list := make([]S, 0, len(g.sorted))
	for _, entity := range g.sorted {
		list = append(list, g.byUID[entity.Config.GetUid()])
	}
	return list
}

func (g *registry[C, S]) create(ctx context.Context, name string, config C) (*engine.Entity[C], error) {
	g.stamp(config)
	var created *engine.Entity[C]
	err := g.committer.do(ctx, func(batch *pebble.Batch) (err error) {
		if g.latest[name] != nil {
			return g.exists
		}
		created, err = g.put(batch, name, config)
		return err
	}, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.add(created)
		at, _ := slices.BinarySearchFunc(g.sorted, name, compareName)
		g.sorted = slices.Insert(slices.Clone(g.sorted), at, created)
	})
	if err != nil {
		return nil, err
	}
	return created, nil
}

// stands returns an error unless an entity is still at its revision.
func (g *registry[C, S]) stands(entity *engine.Entity[C]) error {
	latest := g.latest[entity.Name]
	switch {
	case latest == nil:
		return g.notFound
	case latest.Revision != entity.Revision:
		return engine.ErrRevision
	default:
		return nil
	}
}

func (g *registry[C, S]) update(ctx context.Context, entity *engine.Entity[C], config C) (*engine.Entity[C], error) {
	g.stamp(config)
	uid := entity.Config.GetUid()
	var updated *engine.Entity[C]
	err := g.committer.do(ctx, func(batch *pebble.Batch) (err error) {
		if err := g.stands(entity); err != nil {
			return err
		}
		updated, err = g.put(batch, entity.Name, config)
		return err
	}, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.byName[updated.Name] = updated
		g.byUID[uid].base().entity.Store(updated)
		at, _ := slices.BinarySearchFunc(g.sorted, updated.Name, compareName)
		g.sorted = slices.Clone(g.sorted)
		g.sorted[at] = updated
	})
	if err != nil {
		return nil, err
	}
	return updated, nil
}

func (g *registry[C, S]) delete(ctx context.Context, entity *engine.Entity[C]) error {
	uid := entity.Config.GetUid()
	return g.committer.do(ctx, func(batch *pebble.Batch) error {
		if err := g.stands(entity); err != nil {
			return err
		}
		delete(g.latest, entity.Name)
		state, err := g.of(entity)
		if err != nil {
			return err
		}
		state.base().deleted.Store(true)
		for _, kind := range g.owned {
			if err := batch.DeleteRange(uidKey(kind, uid), afterUID(kind, uid), nil); err != nil {
				return err
			}
		}
		return batch.Delete(nameKey(g.key, entity.Name), nil)
	}, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		close(g.byUID[uid].base().gone)
		delete(g.byUID, uid)
		delete(g.byName, entity.Name)
		at, _ := slices.BinarySearchFunc(g.sorted, entity.Name, compareName)
		g.sorted = slices.Delete(slices.Clone(g.sorted), at, at+1)
		g.gone(uid)
	})
}

// closed is closed.
var closed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

func (g *registry[C, S]) whenGone(entity *engine.Entity[C]) <-chan struct{} {
	state, err := g.of(entity)
	if err != nil {
		return closed
	}
	return state.base().gone
}
