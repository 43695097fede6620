package service

import (
	"context"
	"errors"
	"time"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/eventlog"
)

// finishEach stores the records of a topic whose events are recognised one by
// one: together, except for those that are stored already.
func (s *Service) finishEach(ctx context.Context, p *publication) error {
	first, err := s.firstOfEach(p)
	if err != nil {
		return err
	}
	if err := s.acquire(ctx, p); err != nil {
		return err
	}
	defer s.release(p)
	places := make(map[int]engine.Ack, len(p.entries)) // By entry.
	// Each round finds what others have stored since the one before.
	for round := range maxRounds {
		var fresh []int
		for i := range p.entries {
			if _, placed := places[i]; !placed && first[i] == i {
				fresh = append(fresh, i)
			}
		}
		if len(fresh) == 0 {
			err = nil
			break
		}
		if err := pause(ctx, round); err != nil {
			return err
		}
		err = s.appendFresh(ctx, p, fresh, places)
		switch {
		case err == nil:
			continue
		case errors.Is(err, engine.ErrDuplicate), errors.Is(err, engine.ErrSequence):
			found, findErr := s.findStored(ctx, p, fresh, places)
			if findErr != nil {
				return findErr
			}
			if errors.Is(err, engine.ErrSequence) && found < len(fresh) {
				return s.mismatch(ctx, p)
			}
		default:
			return storageFault(err, p.topic.Name)
		}
	}
	if err != nil {
		// Only if others store some of the same events all the time.
		return storageFault(errors.Join(engine.ErrUnavailable, err), p.topic.Name)
	}
	p.receive(func(i int) (int64, bool) {
		place := places[first[i]]
		return eventlog.SequenceOf(place.Sequence, 0), place.Duplicate || first[i] != i
	})
	return nil
}

// maxEachEvents is the number of events of a request in a topic whose events are
// recognised one by one.
const maxEachEvents = engine.MaxAtomic

// maxRounds bounds the attempts to store a batch of which others are storing
// parts.
const maxRounds = 10

// pause waits before a round other than the first: what is in the way may be a
// batch that isn't stored yet and so can't be found.
func pause(ctx context.Context, round int) error {
	if round == 0 {
		return nil
	}
	timer := time.NewTimer(time.Millisecond << round)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// firstOfEach returns, for each entry, the first entry with its identity, which
// is the one to store.
func (s *Service) firstOfEach(p *publication) ([]int, error) {
	first := make([]int, len(p.entries))
	byID := make(map[string]int, len(p.entries))
	for i, entry := range p.entries {
		other, repeated := byID[entry.ID]
		if !repeated {
			byID[entry.ID], first[i] = i, i
			continue
		}
		first[i] = other
		raws, err := eventlog.Events(0, entry.Data, nil)
		if err != nil {
			return nil, err
		}
		others, err := eventlog.Events(0, p.entries[other].Data, nil)
		if err != nil {
			return nil, err
		}
		if !sameEvent(s.Types(), raws[0], others[0]) {
			return nil, conflictWithin(p.topic.Name, raws[0])
		}
	}
	return first, nil
}

// appendFresh stores entries together and notes their places.
func (s *Service) appendFresh(ctx context.Context, p *publication, fresh []int, places map[int]engine.Ack) error {
	entries := make([]engine.Entry, len(fresh))
	for i, entry := range fresh {
		entries[i] = p.entries[entry]
	}
	// What is expected is expected of the first that is stored.
	entries[0].ExpectedLast, entries[0].ExpectKey = p.entries[0].ExpectedLast, p.entries[0].ExpectKey
	if len(entries) == 1 {
		started, err := s.engine.Start(p.topic, entries[0])
		if err != nil {
			return err
		}
		ack, err := started.Wait(ctx)
		if err == nil && ack.Duplicate {
			err = engine.ErrDuplicate
		}
		if err == nil {
			places[fresh[0]] = ack
		}
		return err
	}
	sequence, err := s.engine.AppendAtomic(ctx, p.topic, entries)
	if err != nil {
		return err
	}
	for i, entry := range fresh {
		places[entry] = engine.Ack{Sequence: sequence + uint64(i)}
	}
	return nil
}

// findStored notes the places of the entries that are stored and returns how
// many they are.
func (s *Service) findStored(ctx context.Context, p *publication, entries []int, places map[int]engine.Ack) (found int, err error) {
	for _, i := range entries {
		ack, err := s.engine.Find(ctx, p.topic, p.entries[i].ID)
		if errors.Is(err, engine.ErrRecordNotFound) {
			continue
		}
		if err != nil {
			return 0, storageFault(err, p.topic.Name)
		}
		if err := s.compare(ctx, p, i, ack.Sequence); err != nil {
			return 0, err
		}
		places[i] = ack
		found++
	}
	return found, nil
}
