package governance

import (
	"context"
	"errors"
	"slices"
	"sync"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/schema"
)

// ErrNoRevision says that no server on this storage was given a revision of an
// event type.
var ErrNoRevision = errors.New("there is no such revision of the event type")

// TypeRevisions returns the revisions of an event type, the newest first, or none
// where no server on this storage ever had the type. Its errors are the engine's
// ErrUnavailable and the context's.
func (s *Schemas) TypeRevisions(ctx context.Context, name string) ([]TypeRevision, error) {
	h := s.history
	h.mu.Lock()
	defer h.mu.Unlock()
	// Another server may have stored some.
	if err := h.refresh(ctx); err != nil {
		return nil, err
	}
	list := slices.Clone(h.byType[name])
	slices.Reverse(list)
	return list, nil
}

// SetAt returns a set that has an event type in a revision, and what it depends
// on. It returns ErrNoRevision, the engine's ErrUnavailable or a *DamageError, or
// the context's.
func (s *Schemas) SetAt(ctx context.Context, name, revision string) (*schema.Set, error) {
	found, err := s.history.lookup(ctx, name, revision)
	if err != nil {
		return nil, err
	}
	key := setKey{found.Number, found.file}
	if set := s.sets.get(key); set != nil {
		return set, nil
	}
	if err := s.checking.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer s.checking.Release(1)
	encoded, err := s.history.filesOf(ctx, found)
	if err != nil {
		return nil, err
	}
	image, err := schema.ReadImage(encoded)
	if err != nil {
		return nil, err
	}
	set, err := image.Set()
	if err == nil {
		s.sets.put(key, set, len(encoded))
	}
	return set, err
}

func (h *history) lookup(ctx context.Context, name, revision string) (TypeRevision, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if found, ok := h.find(name, revision); ok {
		return found, nil
	}
	if err := h.refresh(ctx); err != nil {
		return TypeRevision{}, err
	}
	found, ok := h.find(name, revision)
	if !ok {
		return found, ErrNoRevision
	}
	return found, nil
}

// filesOf returns the encoded file that declares a type, and all that it imports,
// dependencies first.
func (h *history) filesOf(ctx context.Context, of TypeRevision) ([]byte, error) {
	stored := of.record.GetFiles()
	needed := make(map[int32]bool)
	var need func(place int32)
	need = func(place int32) {
		if needed[place] || place < 0 || int(place) >= len(stored) {
			return
		}
		needed[place] = true
		for _, imported := range stored[place].GetImports() {
			need(imported)
		}
	}
	need(of.file)
	files := new(descriptorpb.FileDescriptorSet)
	for place, one := range stored {
		if !needed[int32(place)] {
			continue
		}
		hash := string(one.GetHash())
		content, err := h.engine.SchemaFile(ctx, hash)
		if err != nil && !errors.Is(err, engine.ErrRecordNotFound) {
			return nil, err
		}
		var file *descriptorpb.FileDescriptorProto
		if err == nil {
			file, err = decodeFile(hash, content)
		}
		if err != nil {
			return nil, &engine.DamageError{Place: "a file of event types", Cause: err}
		}
		files.File = append(files.File, file)
	}
	return proto.MarshalOptions{AllowPartial: true}.Marshal(files)
}

// setKey is what a set was made of: a file of a stored record.
type setKey struct {
	number int64
	file   int32
}

const (
	// maxSets and maxSetsBytes bound the sets of earlier revisions that are kept,
	// the latter by the size of their files.
	maxSets      = 16
	maxSetsBytes = 4 << 20
)

// sets are those that were looked up last. The zero value has none.
type sets struct {
	mu    sync.Mutex
	list  []keptSet // The one that was used last is the last.
	bytes int
}

type keptSet struct {
	key   setKey
	set   *schema.Set
	bytes int
}

func (s *sets) get(key setKey) *schema.Set {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.list, func(k keptSet) bool { return k.key == key })
	if i < 0 {
		return nil
	}
	found := s.list[i]
	s.list = append(slices.Delete(s.list, i, i+1), found)
	return found.set
}

func (s *sets) put(key setKey, set *schema.Set, bytes int) {
	if bytes > maxSetsBytes || s.get(key) != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, keptSet{key, set, bytes})
	s.bytes += bytes
	for len(s.list) > maxSets || s.bytes > maxSetsBytes {
		s.bytes -= s.list[0].bytes
		s.list = slices.Delete(s.list, 0, 1)
	}
}
