package local

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"example.com/tidings/server/internal/engine"
)

// indexed is a topic, and what its index of keys has to find.
type indexed struct {
	t      *testing.T
	e      *Engine
	topic  *engine.Topic
	random *rand.Rand
	// keys are those of the events, from the first sequence on.
	keys []string
	// records are the first sequences.
	records []int64
}

func newIndexed(t *testing.T, e *Engine) *indexed {
	t.Helper()
	return &indexed{t: t, e: e, topic: newTopic(t, e, "orders", nil), random: rand.New(rand.NewPCG(1, 2))} //nolint:gosec // It is to be the same each time.
}

// put appends a record of events with some of the keys, or without.
func (x *indexed) put(size, keys int) {
	x.t.Helper()
	if _, err := x.start(size, keys).Wait(x.t.Context()); err != nil {
		x.t.Fatal(err)
	}
}

// start begins to put.
func (x *indexed) start(size, keys int) engine.Append {
	x.t.Helper()
	x.records = append(x.records, int64(len(x.keys)+1))
	events := make([]keyedEvent, size)
	for i := range events {
		key := ""
		if n := x.random.IntN(keys + 1); n < keys {
			key = fmt.Sprint("key-", n)
		}
		x.keys = append(x.keys, key)
		events[i] = keyedEvent{id: fmt.Sprint(len(x.keys)), key: key, text: key}
	}
	started, err := x.e.Start(x.t.Context(), x.topic, batchOf(x.t, events...), nil)
	if err != nil {
		x.t.Fatal(err)
	}
	return started
}

func (x *indexed) fold() {
	x.t.Helper()
	if err := x.e.fold(x.t.Context(), x.log()); err != nil {
		x.t.Fatal(err)
	}
}

func (x *indexed) merge() (merged bool) {
	x.t.Helper()
	for {
		more, err := x.e.mergeSegments(x.t.Context(), x.log())
		if err != nil {
			x.t.Fatal(err)
		}
		if !more {
			return merged
		}
		merged = true
	}
}

func (x *indexed) log() *topicLog {
	x.t.Helper()
	log, err := x.e.topicLog(x.topic)
	if err != nil {
		x.t.Fatal(err)
	}
	return log
}

func (x *indexed) reopen() {
	x.t.Helper()
	x.e = reopen(x.t, x.e)
	topic, err := x.e.Topic(x.t.Context(), x.topic.Name)
	if err != nil {
		x.t.Fatal(err)
	}
	x.topic = topic
}

// check reads the events with a key from a sequence on, and asks for the last one.
func (x *indexed) check(key string, from int64) {
	x.t.Helper()
	oldest := stateOf(x.t, x.e, x.topic).First
	var want []int64
	last := int64(0)
	for i, has := range x.keys {
		if sequence := int64(i + 1); has == key && sequence >= oldest {
			if last = sequence; sequence >= from {
				want = append(want, sequence)
			}
		}
	}
	var got []int64
	for _, record := range readAll(x.t, x.e, x.topic, engine.ReadFrom{Sequence: from, Key: key}) {
		for i, text := range textsOf(x.t, record) {
			if sequence := record.First + int64(i); text == key && sequence >= from {
				got = append(got, sequence)
			}
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		x.t.Errorf("%s from %d: %d, want %d", key, from, got, want)
	}
	if found, err := x.e.lastOfKey(x.log(), key); err != nil || found != last {
		x.t.Errorf("the last of %s: %d, %v, want %d", key, found, err, last)
	}
}

func (x *indexed) checkSome(keys int) {
	x.t.Helper()
	for range 20 {
		x.check(fmt.Sprint("key-", x.random.IntN(keys+2)), 1+x.random.Int64N(int64(len(x.keys)+1)))
	}
}

func TestIndexOfKeys(t *testing.T) {
	const keys = 500
	x := newIndexed(t, open(t, vfs.NewCrashableMem()))
	for round := range 24 {
		for range 20 {
			x.put(1+x.random.IntN(60)*x.random.IntN(2), keys)
		}
		x.checkSome(keys)
		switch round % 4 {
		case 1:
			x.fold()
		case 2:
			x.reopen()
		case 3: // The newest alone is in memory.
			x.fold()
			x.merge()
			x.put(10, keys)
		}
		x.checkSome(keys)
	}
	size := stateOf(t, x.e, x.topic).Bytes / 3
	x.topic = reconfigure(t, x.e, x.topic, retain(size, 0))
	await(t, "the size", func() bool { return stateOf(t, x.e, x.topic).Bytes <= size })
	x.checkSome(keys)
	look, err := x.e.lookInto(x.log().uid, 0)
	if err != nil {
		t.Fatal(err)
	}
	look.close()
	if s := look.segments; len(s) == 0 || s[0].last < stateOf(t, x.e, x.topic).First && len(s) > 1 {
		t.Errorf("the segments are %v", s)
	}
	x.reopen()
	x.checkSome(keys)
	x.put(10, keys)
	x.checkSome(keys)
}

// A topic is folded by itself when it has gathered enough.
func TestFoldInTime(t *testing.T) {
	x := newIndexed(t, open(t, vfs.NewCrashableMem()))
	for range foldEntries / 4096 {
		x.put(4096, 1<<50)
	}
	await(t, "a segment", func() bool { return countKeys(t, x.e, kindBucket, x.log().uid) > foldEntries/bucketEntries })
	x.check(x.keys[0], 1)
	x.check(x.keys[len(x.keys)-1], 1)
}

// Where that is late, an append folds it, and others that are under way leave that
// alone.
func TestFoldLate(t *testing.T) {
	x := newIndexed(t, open(t, vfs.NewCrashableMem()))
	x.e.folder.close()
	var started []engine.Append
	for range 2*overdue*foldEntries/4096 + 3 {
		started = append(started, x.start(4096, 1<<50))
	}
	for _, a := range started {
		if _, err := a.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	settle(t, x.e)
	log := x.log()
	entries, _ := log.gathered.size()
	for i, s := range log.segments {
		if entries += s.count; s.count != overdue*foldEntries {
			t.Errorf("segment %d has %d entries", i, s.count)
		}
	}
	if len(log.segments) != 2 || entries != len(x.keys) {
		t.Errorf("%d segments and %d entries of %d events", len(log.segments), entries, len(x.keys))
	}
	x.check(x.keys[0], 1)
	x.check(x.keys[len(x.keys)-1], 1)
}

// Segments become one in steps, also where what an earlier attempt has left is in
// the way.
func TestMergeSegments(t *testing.T) {
	const each, segments = 4096, mostMerged + 1
	x := newIndexed(t, open(t, vfs.NewCrashableMem()))
	x.e.folder.close()
	for range segments {
		x.put(each, 20_000)
		x.fold()
	}
	log := x.log()
	sources := log.toMerge()
	if len(sources) != mostMerged || sources[0] != log.segments[0] {
		t.Fatalf("of %v: %v", log.segments, sources)
	}
	into := segment{last: sources[mostMerged-1].last, level: 1, count: 1}
	if err := x.e.copyEntries(t.Context(), log, sources[1:], into); err != nil {
		t.Fatal(err)
	}
	x.checkSome(20_000)
	if !x.merge() {
		t.Error("nothing was merged")
	}
	x.checkSome(20_000)
	count := 0
	for _, s := range log.segments {
		count += s.count
	}
	if len(log.segments) != 2 || log.segments[0].level != 1 || log.segments[1].level != 0 || count < segments*each*9/10 {
		t.Errorf("the segments are %v", log.segments)
	}
	x.reopen()
	x.checkSome(20_000)
}

// What an earlier release has written had another index, and what a repair has
// written has none.
func TestIndexIsMadeAnew(t *testing.T) {
	x := newIndexed(t, open(t, vfs.NewCrashableMem()))
	for range 20 {
		x.put(20, 50)
	}
	x.fold()
	uid := x.log().uid
	err := x.e.committer.do(t.Context(), func(b *pebble.Batch) error {
		for _, kind := range append(bucketKinds[:], kindSegment) {
			if err := b.DeleteRange(uidKey(kind, uid), afterUID(kind, uid), nil); err != nil {
				return err
			}
		}
		for _, first := range x.records {
			key := numberKey(kindRecord, uid, first)
			value, closer, err := x.e.db.Get(key)
			if err != nil {
				return err
			}
			old := append([]byte{oldRecordFormat}, value[1:]...)
			_ = closer.Close()
			if err := b.Set(key, old, nil); err != nil {
				return err
			}
		}
		return b.Set(append(uidKey(kindOldKey, uid), "key"...), nil, nil)
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		x.reopen()
		x.checkSome(50)
		if countKeys(t, x.e, kindOldKey, uid) != 0 || countKeys(t, x.e, kindSegment, uid) != 1 {
			t.Error("the index has not been replaced")
		}
		value, closer, err := x.e.db.Get(numberKey(kindRecord, uid, x.records[len(x.records)-1]))
		if err != nil {
			t.Fatal(err)
		}
		if value[0] != recordFormat {
			t.Errorf("the last record has form %d", value[0])
		}
		_ = closer.Close()
		x.put(20, 50)
		x.checkSome(50)
	}
}

// Keys whose entries can't be told apart are told apart by their events.
func TestIndexWithEqualEntries(t *testing.T) {
	x := newIndexed(t, open(t, vfs.NewCrashableMem()))
	x.put(20, 5)
	log := x.log()
	log.gathered.add(log.gathered.last, []uint64{keyHash(log.uid, "another")}, log.gathered.bytes, 0)
	for range 2 {
		x.check("another", 1)
		x.put(20, 5)
		x.check("another", 1)
		x.fold()
	}
}
