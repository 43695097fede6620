package local

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"example.com/tidings/server/internal/engine"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// surveyedTopic is what a survey knows of a topic.
type surveyedTopic struct {
	name  string
	holes []engine.Hole
	// next is the sequence that the next record has to have. 0: any.
	next int64
	// time and bytes are those of the last record.
	time  int64
	bytes uint64
	// first is the sequence of the first event, or 0.
	first int64
	// segments are those of the index of keys, by their last records, folded is
	// the last of these, and indexed a sum over the entries that the segments have
	// to have, less those that they have.
	segments map[int64]segment
	folded   int64
	indexed  uint64
	// last is the sequence of the last event of a topic that retention emptied.
	last int64
	// missing are runs of sequences without an event that nothing explains.
	missing []engine.Hole
}

// configurations reads the topics and the subscriptions.
func (s *survey) configurations() error {
	last := uint64(0)
	revision := func(value []byte) []byte {
		last = max(last, binary.BigEndian.Uint64(value))
		return value[revisionSize:]
	}
	err := s.span(kindTopic, func(key, value []byte) error {
		name, config := string(key[1:]), new(storagev1.TopicConfig)
		if err := parseConfiguration(value, revision, config); err != nil {
			s.report(name, "its configuration", err)
			return nil
		}
		s.topics[config.GetUid()] = &surveyedTopic{name: name}
		return s.keep(key, value)
	})
	if err != nil {
		return err
	}
	err = s.span(kindSubscription, func(key, value []byte) error {
		name, config := string(key[1:]), new(storagev1.SubscriptionConfig)
		if err := parseConfiguration(value, revision, config); err != nil {
			s.report("", "the configuration of subscription "+name, err)
			return nil
		}
		s.subscriptions[config.GetUid()] = &surveyedSubscription{name: name}
		return s.keep(key, value)
	})
	if err != nil {
		return err
	}
	err = s.span(kindRevision, func(_, value []byte) error {
		stored, err := parseNumber(value)
		if err == nil && uint64(stored) < last {
			err = fmt.Errorf("it is %d, but a configuration has %d", stored, last)
		}
		if err != nil {
			s.report("", "the last revision", err)
		}
		last = max(last, uint64(stored))
		return nil
	})
	if err != nil || last == 0 {
		return err
	}
	return s.keep([]byte{kindRevision}, encodeNumber(int64(last)))
}

func parseConfiguration(value []byte, revision func([]byte) []byte, config engine.Configuration) error {
	if len(value) < revisionSize {
		return errSize
	}
	if err := proto.Unmarshal(revision(value), config); err != nil {
		return err
	}
	if config.GetFormat() != engine.ConfigFormat {
		return fmt.Errorf("form %d is not known: a later release wrote it", config.GetFormat())
	}
	return nil
}

// schemas reads the schemas.
func (s *survey) schemas() error {
	check := func(place string, key, value []byte) error {
		if err := proto.Unmarshal(value, new(storagev1.SchemaRevision)); err != nil {
			s.report("", place, err)
			return nil
		}
		return s.keep(key, value)
	}
	if err := s.span(kindBase, func(key, value []byte) error {
		return check("the schemas of the start", key, value)
	}); err != nil {
		return err
	}
	next, broken := int64(1), false
	return s.span(kindSchemas, func(key, value []byte) error {
		number := numberOf(key)
		if number != next {
			broken = true
			s.report("", fmt.Sprintf("the registered schemas %d", next), errGap)
		}
		next = number + 1
		if broken { // They build on one another.
			s.report("", fmt.Sprintf("the registered schemas %d", number), errors.New("earlier ones are missing"))
			return nil
		}
		return check(fmt.Sprintf("the registered schemas %d", number), key, value)
	})
}

// types reads the revisions of event types and their files. Revisions whose files
// are lost go too, so that the next start stores those anew that it has.
func (s *survey) types() error {
	files := make(map[string]bool)
	if err := s.span(kindFile, func(key, value []byte) error {
		files[string(key[1:])] = true
		return s.keep(key, value)
	}); err != nil {
		return err
	}
	return s.span(kindTypes, func(key, value []byte) error {
		revisions := new(storagev1.TypeRevisions)
		err := proto.Unmarshal(value, revisions)
		for _, file := range revisions.GetFiles() {
			if !files[string(file.GetHash())] {
				err = errors.New("the file of one of them is missing")
			}
		}
		if err != nil {
			s.report("", fmt.Sprintf("the revisions of event types %d", numberOf(key)), err)
			return nil
		}
		return s.keep(key, value)
	})
}

// topic returns what is known of the topic of a key. A topic whose configuration
// is lost gets another one, under another name.
func (s *survey) topic(key []byte) (*surveyedTopic, error) {
	uid := uidOf(key)
	if t := s.topics[uid]; t != nil {
		return t, nil
	}
	t := &surveyedTopic{name: fmt.Sprintf("recovered-%016x", uid)}
	s.topics[uid] = t
	s.report(t.name, "its configuration", errors.New("it is missing; it gets this name and default settings"))
	config, err := proto.Marshal(&storagev1.TopicConfig{
		Format: engine.ConfigFormat, Uid: uid,
		Description:  "Recovered by a repair: the configuration was lost.",
		Dedupe:       optionsv1.Dedupe_DEDUPE_REQUEST,
		DedupeWindow: durationpb.New(2 * time.Minute),
		CreateTime:   timestamppb.Now(),
		UpdateTime:   timestamppb.Now(),
	})
	if err != nil {
		return nil, err
	}
	return t, s.keep(nameKey(kindTopic, t.name), append(encodeNumber(1), config...))
}

// holes reads the holes.
func (s *survey) holes() error {
	return s.span(kindHole, func(key, value []byte) error {
		t, err := s.topic(key)
		if err != nil {
			return err
		}
		hole := engine.Hole{First: numberOf(key)}
		hole.Next, err = parseNumber(value)
		if n := len(t.holes); err == nil && (hole.Next <= hole.First || n > 0 && hole.First < t.holes[n-1].Next) {
			err = fmt.Errorf("it is from %d to before %d", hole.First, hole.Next)
		}
		if err != nil {
			s.report(t.name, fmt.Sprintf("the hole at sequence %d", hole.First), err)
			return nil
		}
		t.holes = append(t.holes, hole)
		return nil // It is kept once it is known what else is missing.
	})
}

// ends reads what remains of topics that retention has emptied.
func (s *survey) ends() error {
	return s.span(kindEnd, func(key, value []byte) error {
		t, err := s.topic(key)
		if err != nil {
			return err
		}
		end, err := parseTail(value)
		if err != nil {
			s.report(t.name, "its end", err)
			return nil
		}
		t.last = end.last
		return s.keep(key, value)
	})
}

// records reads the events.
func (s *survey) records() error {
	err := s.span(kindRecord, func(key, value []byte) error {
		t, err := s.topic(key)
		if err != nil {
			return err
		}
		if err := s.record(t, key, value); err != nil {
			s.report(t.name, eventPlace(numberOf(key)), err)
		}
		return nil // What follows finds that something is missing.
	})
	if err != nil {
		return err
	}
	for uid, t := range s.topics {
		for _, hole := range joinHoles(t.holes, t.missing) {
			if err := s.keep(numberKey(kindHole, uid, hole.First), encodeNumber(hole.Next)); err != nil {
				return err
			}
		}
	}
	return nil
}

// joinHoles returns holes with others, as few as they can be.
func joinHoles(holes, others []engine.Hole) (joined []engine.Hole) {
	all := slices.SortedFunc(slices.Values(slices.Concat(holes, others)), func(a, b engine.Hole) int {
		return cmp.Compare(a.First, b.First)
	})
	for _, hole := range all {
		if n := len(joined); n > 0 && hole.First <= joined[n-1].Next {
			joined[n-1].Next = max(joined[n-1].Next, hole.Next)
			continue
		}
		joined = append(joined, hole)
	}
	return joined
}

// record checks a record against those before it, and keeps it.
func (s *survey) record(t *surveyedTopic, key, value []byte) error {
	first := numberOf(key)
	info, data, err := parseRecord(value)
	if err != nil {
		return err
	}
	keys, err := keysOf(first, data)
	if err != nil {
		return err
	}
	if len(keys) != info.count {
		return fmt.Errorf("%d events instead of %d", len(keys), info.count)
	}
	hashes := hashesOf(uidOf(key), slices.Values(keys))
	if info.keyed != (len(hashes) > 0) {
		return errors.New("it says otherwise whether its events have partition keys")
	}
	s.follow(t, first, info, len(data))
	s.events += int64(info.count)
	if t.first == 0 {
		t.first = first
	}
	if first <= t.folded {
		for _, hash := range hashes {
			t.indexed += entryOf(hash, first).digest()
		}
	}
	return s.keep(key, value)
}

// follow checks that a record follows the one before it.
func (s *survey) follow(t *surveyedTopic, first int64, info recordInfo, size int) {
	next := t.next
	for _, hole := range t.holes {
		if next >= hole.First && next < hole.Next {
			next = hole.Next
		}
	}
	switch {
	case t.next == 0: // Retention has removed what was before.
	case first < t.next:
		s.report(t.name, eventPlace(first), fmt.Errorf("the record before it ends after it, at %d", t.next-1))
	case first > next:
		t.missing = append(t.missing, engine.Hole{First: t.next, Next: first})
		s.report(t.name, fmt.Sprintf("the events %d to %d", next, first-1), errGap)
	case first == t.next && info.bytes != t.bytes+recordBytes(size):
		s.report(t.name, eventPlace(first), errors.New("it doesn't add up to the size of the topic"))
	}
	if info.time < t.time {
		s.report(t.name, eventPlace(first), errors.New("it is older than the one before it"))
	}
	t.next, t.time, t.bytes = first+int64(info.count), info.time, info.bytes
}

// segments finds out what the index of keys has in the store. It isn't kept: a
// server that finds none makes it anew.
func (s *survey) segments() error {
	return s.span(kindSegment, func(key, value []byte) error {
		t, err := s.topic(key)
		if err != nil {
			return err
		}
		found, err := parseSegment(key, value)
		if err != nil {
			s.report(t.name, "the index of keys", err)
			return nil
		}
		if t.segments == nil {
			t.segments = make(map[int64]segment)
		}
		t.segments[found.last], t.folded = found, found.last
		return nil
	})
}

// buckets checks the index of keys.
func (s *survey) buckets() error {
	check := func(key, value []byte) error {
		t := s.topics[uidOf(key)]
		entries, err := parseBucket(value)
		if t == nil || len(key) != bucketKeySize || err != nil {
			s.report("", "the index of keys", errSize)
			return nil //nolint:nilerr // It is reported.
		}
		last := numberOf(key[:len(key)-2])
		if of, ok := t.segments[last]; !ok || kindBucket+of.level != key[0] {
			return nil // A merge has left it that was cut off.
		}
		for i := range entries.count() {
			if k := entries.at(i); t.first != 0 && k.first() >= t.first {
				t.indexed -= k.digest()
			}
		}
		return nil
	}
	for _, kind := range bucketKinds {
		if err := s.span(kind, check); err != nil {
			return err
		}
	}
	for _, t := range s.topics {
		if t.indexed != 0 {
			s.report(t.name, "the index of keys", errors.New("it doesn't agree with the events; it can be made anew"))
		}
	}
	return nil
}

// identities reads the identities. Those of events that are lost are given up,
// so that sending these again stores them.
func (s *survey) identities() error {
	return s.span(kindIdentity, func(key, value []byte) error {
		t, err := s.topic(key)
		if err != nil {
			return err
		}
		id, err := parseIdentity(value)
		if err == nil && len(key) != 1+8+idSize {
			err = errSize
		}
		if err != nil {
			s.report(t.name, "an identity", err)
			return nil
		}
		if t.lacks(id.sequence) {
			return nil
		}
		return s.keep(key, value)
	})
}

// lacks reports whether an event is lost.
func (t *surveyedTopic) lacks(sequence int64) bool {
	for _, hole := range t.missing {
		if sequence >= hole.First && sequence < hole.Next {
			return true
		}
	}
	return sequence >= t.next && sequence > t.last
}

// expiries reads what identities records brought.
func (s *survey) expiries() error {
	return s.span(kindExpiry, func(key, value []byte) error {
		t, err := s.topic(key)
		if err != nil {
			return err
		}
		if _, _, err := parseExpiry(value); err != nil {
			s.report(t.name, fmt.Sprintf("the identities of event %d", numberOf(key)), err)
			return nil
		}
		return s.keep(key, value)
	})
}

var digestSeed = maphash.MakeSeed()

// digest is of an entry of an index, so that sums of them tell indexes apart.
func digest(key, value []byte) uint64 {
	return maphash.Bytes(digestSeed, bytes.Join([][]byte{key, value}, []byte{0}))
}

func (k keyEntry) digest() uint64 { return maphash.Comparable(digestSeed, k) }
