package local

import (
	"bytes"
	"encoding/binary"
	"iter"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"example.com/tidings/server/internal/engine"
)

// seekIdentity returns what the store, as an iterator sees it, has for an identity. key is
// room for its key.
func seekIdentity(in *pebble.Iterator, key *[identityKeySize]byte, uid uint64, id engine.ID) (known identity, ok bool, err error) {
	if !in.SeekPrefixGE(appendIdentityKey(key[:0], uid, id)) {
		return known, false, in.Error()
	}
	known, err = parseIdentity(in.Value())
	return known, err == nil, err
}

// fresh says where the events will be, or are. It returns the indices of those
// that aren't stored, or nil where none is.
func (a *appending) fresh(byEvent bool, oldest, first int64) (fresh []int, err error) {
	if byEvent {
		return a.freshEvents(oldest, first)
	}
	return nil, a.freshRequest(oldest, first)
}

// find returns what an identity was stored for after a time.
func (a *appending) find(id engine.ID, oldest int64) (known identity, ok bool, err error) {
	known, ok, err = a.engine.committer.recent.find(a.topic.uid, id)
	if ok && known.time <= oldest { // It may be stored anew: see forget.
		a.topic.revived.Add(1)
		ok = false
	}
	return known, ok, a.engine.failed(a.topic, "an identity", err)
}

// freshRequest says where the events will be, or are.
func (a *appending) freshRequest(oldest, first int64) error {
	known, ok, err := a.find(a.batch.ID, oldest)
	switch {
	case err != nil:
		return err
	case !ok:
		a.result.First = first
	case known.hash != a.batch.Hash:
		return &engine.ConflictError{Sequence: known.sequence, Hash: known.hash}
	default:
		a.result = engine.Appended{First: known.sequence, Duplicate: true}
	}
	return nil
}

// storedFor returns what the identity of each event was stored for after a time, with
// sequence 0 where it wasn't. They are looked for in their order: so tables are gone
// through once.
func (a *appending) storedFor(oldest int64) ([]identity, error) {
	order, stored := make([]int, len(a.batch.Events)), make([]identity, len(a.batch.Events))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return bytes.Compare(a.batch.Events[i].ID[:], a.batch.Events[j].ID[:]) })
	for _, i := range order {
		known, ok, err := a.find(a.batch.Events[i].ID, oldest)
		if err != nil {
			return nil, err
		}
		if ok {
			stored[i] = known
		}
	}
	return stored, nil
}

// freshEvents says where each event will be, or is, and returns those that
// aren't stored.
func (a *appending) freshEvents(oldest, first int64) (fresh []int, err error) {
	stored, err := a.storedFor(oldest)
	if err != nil {
		return nil, err
	}
	fresh = make([]int, 0, len(a.batch.Events))
	a.result.Each = make([]engine.Place, len(a.batch.Events))
	var taken *engine.ConflictError
	for i, event := range a.batch.Events {
		known := stored[i]
		switch {
		case known.sequence == 0:
			a.result.Each[i].Sequence = first + int64(len(fresh))
			fresh = append(fresh, i)
		case known.hash != event.Hash:
			conflict := engine.ConflictError{Event: i, Sequence: known.sequence, Hash: known.hash}
			if taken == nil {
				taken = &conflict
			} else {
				taken.Others = append(taken.Others, conflict)
			}
		default:
			a.result.Each[i] = engine.Place{Sequence: known.sequence, Duplicate: true}
		}
	}
	switch {
	case taken != nil:
		return nil, taken
	case len(fresh) == 0:
		a.result.First, a.result.Duplicate = a.result.Each[0].Sequence, true
	default:
		a.result.First = a.result.Each[fresh[0]].Sequence
	}
	return fresh, nil
}

// identities gives the identities of the record with what they are stored for.
func (a *appending) identities(first, now int64, fresh []int, byEvent bool) iter.Seq2[engine.ID, identity] {
	return func(yield func(engine.ID, identity) bool) {
		if !byEvent {
			yield(a.batch.ID, identity{sequence: first, time: now, hash: a.batch.Hash})
			return
		}
		for i := range int(a.last.last - first + 1) {
			event := &a.batch.Events[event(fresh, i)]
			if !yield(event.ID, identity{sequence: first + int64(i), time: now, hash: event.Hash}) {
				return
			}
		}
	}
}

// storeIdentities adds the identities of the record, and what finds them once
// they are old.
func (a *appending) storeIdentities(b *pebble.Batch, first, now int64, fresh []int, byEvent bool) error {
	count := 1
	if byEvent {
		count = int(a.last.last - first + 1)
	}
	stored := b.SetDeferred(numberKeySize, expiryHeader+count*idSize)
	appendNumberKey(stored.Key[:0], kindExpiry, a.topic.uid, first)
	expiry := binary.BigEndian.AppendUint64(stored.Value[:0], uint64(now))
	for id := range a.identities(first, now, fresh, byEvent) {
		expiry = append(expiry, id[:]...)
	}
	if err := stored.Finish(); err != nil {
		return err
	}
	for id, known := range a.identities(first, now, fresh, byEvent) {
		entry := b.SetDeferred(identityKeySize, identitySize)
		appendIdentityKey(entry.Key[:0], a.topic.uid, id)
		known.put(entry.Value)
		if err := entry.Finish(); err != nil {
			return err
		}
	}
	return nil
}
