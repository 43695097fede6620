package governance

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/schema"

	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// TypeRevision is a revision of an event type that a server on this storage was
// given.
type TypeRevision struct {
	// Number grows with time.
	Number     int64
	Revision   string
	CreateTime time.Time

	record *storagev1.TypeRevisions
	file   int32
}

// history knows every revision of every event type that was ever in force. A set
// of types is put in force only when its revisions are stored.
type history struct {
	engine engine.Engine

	mu     sync.Mutex
	last   int64                     // The number of the last of what the storage has.
	byType map[string][]TypeRevision // The oldest first.
	files  map[string]bool           // By their hashes.
}

// maxTypes is how many types are stored together.
const maxTypes = 500

// refresh takes over what the storage has. The caller holds mu.
func (h *history) refresh(ctx context.Context) error {
	list, err := h.engine.TypeRevisions(ctx)
	if err != nil {
		return err
	}
	for _, record := range list {
		if record.GetNumber() <= h.last {
			continue
		}
		h.last = record.GetNumber()
		for _, file := range record.GetFiles() {
			h.files[string(file.GetHash())] = true
		}
		for _, one := range record.GetTypes() {
			h.byType[one.GetName()] = append(h.byType[one.GetName()], TypeRevision{
				Number: record.GetNumber(), Revision: schema.FormatRevision(one.GetRevision()), CreateTime: record.GetCreateTime().AsTime(),
				record: record, file: one.GetFile(),
			})
		}
	}
	return nil
}

// keep stores what isn't stored of a set of types. Its errors are the engine's
// ErrTooLarge, ErrFull and ErrUnavailable, and the context's.
func (h *history) keep(ctx context.Context, set *schema.Set) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		if err := h.refresh(ctx); err != nil {
			return err
		}
		fresh := h.unknown(set)
		if len(fresh) == 0 {
			return nil
		}
		record, contents, err := h.describe(set, fresh[:min(len(fresh), maxTypes)])
		if err == nil {
			err = h.engine.AddTypeRevisions(ctx, h.last, record, contents)
		}
		// Another server may have stored the same, or has stored a part of it.
		if err != nil && !errors.Is(err, engine.ErrRevision) {
			return fmt.Errorf("the revisions of the event types can't be stored: %w", err)
		}
	}
}

// unknown returns the types of a set whose revisions aren't stored.
func (h *history) unknown(set *schema.Set) []*schema.Type {
	var unknown []*schema.Type
	for _, name := range set.Names(true) {
		t, err := set.Type(name)
		if err != nil {
			continue
		}
		revision := t.Revision()
		if _, ok := h.find(name, schema.FormatRevision(revision[:])); !ok {
			unknown = append(unknown, t)
		}
	}
	return unknown
}

func (h *history) find(name, revision string) (TypeRevision, bool) {
	list := h.byType[name]
	if i := slices.IndexFunc(list, func(r TypeRevision) bool { return r.Revision == revision }); i >= 0 {
		return list[i], true
	}
	return TypeRevision{}, false
}

// describe returns what is stored of types, and the contents of their files that
// aren't stored.
func (h *history) describe(set *schema.Set, types []*schema.Type) (*storagev1.TypeRevisions, map[string][]byte, error) {
	record := &storagev1.TypeRevisions{CreateTime: timestamppb.Now()}
	contents := make(map[string][]byte)
	places := make(map[string]int32)
	var add func(path string) (int32, error)
	add = func(path string) (int32, error) {
		if place, ok := places[path]; ok {
			return place, nil
		}
		file := set.Image().File(path)
		stored := new(storagev1.StoredFile)
		for _, imported := range file.GetDependency() {
			place, err := add(imported)
			if err != nil {
				return 0, err
			}
			stored.Imports = append(stored.Imports, place)
		}
		hash, content, err := encodeFile(file, h.engine.MaxRecordBytes())
		if err != nil {
			return 0, fmt.Errorf("%s: %w", path, err)
		}
		if stored.Hash = []byte(hash); !h.files[hash] {
			contents[hash] = content
		}
		places[path] = int32(len(record.GetFiles()))
		record.Files = append(record.Files, stored)
		return places[path], nil
	}
	for _, t := range types {
		place, err := add(t.Descriptor().ParentFile().Path())
		if err != nil {
			return nil, nil, err
		}
		revision := t.Revision()
		record.Types = append(record.Types, &storagev1.TypeRevision{Name: t.Name, Revision: revision[:], File: place})
	}
	return record, contents, nil
}

// hashSize is the size of the hash of a content.
const hashSize = 16

// encodeFile returns a file as it is stored, and the hash of that. The comments
// are left out where they don't fit.
func encodeFile(file *descriptorpb.FileDescriptorProto, most int) (hash string, content []byte, err error) {
	for _, comments := range []bool{true, false} {
		encoded, err := proto.MarshalOptions{Deterministic: true, AllowPartial: true}.Marshal(schema.Documented(file, comments))
		if err != nil {
			return "", nil, err
		}
		sum := sha256.Sum256(encoded)
		var compressed bytes.Buffer
		w, err := flate.NewWriter(&compressed, flate.DefaultCompression)
		if err == nil {
			_, err = w.Write(encoded)
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			return "", nil, err
		}
		hash, content = string(sum[:hashSize]), compressed.Bytes()
		if len(content) <= most {
			break
		}
	}
	return hash, content, nil
}

// maxFileBytes bounds a file that is read back. What is stored was smaller.
const maxFileBytes = 256 << 20

// decodeFile is the reverse of encodeFile.
func decodeFile(hash string, content []byte) (*descriptorpb.FileDescriptorProto, error) {
	encoded, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(content)), maxFileBytes))
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(encoded); string(sum[:hashSize]) != hash {
		return nil, errors.New("it has another hash")
	}
	file := new(descriptorpb.FileDescriptorProto)
	return file, proto.Unmarshal(encoded, file)
}
