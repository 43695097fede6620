package local

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/eventlog"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

const (
	damageCount = "TIDINGS_DAMAGES"      // How many times TestDamages damages a storage.
	damageSeed  = "TIDINGS_DAMAGES_SEED" // What a run prints as its seed, to repeat its choices.
)

// setting returns a number from the environment.
func setting(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	number, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return number
}

// stored is all that a storage was told to keep.
type stored struct {
	events  map[string]map[int64]string // By topic and sequence.
	dropped map[int64]string            // Those of topic short that retention has removed.
	entries [][]byte
	letters map[int64]string
	schemas []string
	uids    map[string]uint64
}

// topic returns a topic, which a repair may have given another name.
func (s *stored) topic(e *Engine, name string) *engine.Topic {
	for _, topic := range e.Topics() {
		if topic.Config.GetUid() == s.uids[name] {
			return topic
		}
	}
	return nil
}

// TestDamages damages a storage in many ways. Each has to be noticed when it is
// opened, read or verified, or do no harm; a repair has to keep what is right.
func TestDamages(t *testing.T) {
	t.Parallel()
	seed := setting(t, damageSeed, rand.Uint64()) //nolint:gosec // Any will do.
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // It is to repeat itself.
	clean, unclean := t.TempDir(), t.TempDir()
	want := fillForDamage(t, rng, clean, unclean)
	tally := make(map[string]int)
	for i := range setting(t, damageCount, 12) {
		from, stop := clean, "clean"
		if i%2 == 1 {
			from, stop = unclean, "unclean"
		}
		dir := t.TempDir()
		replaceDir(t, from, dir)
		damage := damageFile(t, rng, dir)
		noticed := afterDamage(t, dir, want, fmt.Sprintf("damage %d: %s stop, %s", i, stop, damage))
		kind, _, _ := strings.Cut(damage, " ")
		tally[fmt.Sprintf("%-7s %-8s %s", stop, kind, noticed)]++
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range slices.Sorted(maps.Keys(tally)) {
		t.Logf("%4d %s", tally[line], line)
	}
}

// fillForDamage fills a storage, which it copies while it runs and stops.
func fillForDamage(t *testing.T, rng *rand.Rand, clean, unclean string) *stored {
	t.Helper()
	e := openConfig(t, diskConfig(t, clean))
	want := &stored{
		events: make(map[string]map[int64]string), dropped: make(map[int64]string), letters: make(map[int64]string),
		uids: make(map[string]uint64),
	}
	topics := map[string]*engine.Topic{
		"by-request": newTopic(t, e, "by-request", nil),
		"by-event":   newTopic(t, e, "by-event", byEvent),
		"short": newTopic(t, e, "short", func(c *storagev1.TopicConfig) {
			c.Retention = &optionsv1.Retention{MaxBytes: 40_000}
		}),
		"deleted": newTopic(t, e, "deleted", nil),
	}
	for name, topic := range topics {
		want.events[name], want.uids[name] = make(map[int64]string), topic.Config.GetUid()
	}
	subscription := newSubscription(t, e, "audit")
	journal := e.Journal(subscription)
	number := 0
	more := func(batches int) {
		for range batches {
			for name, topic := range topics {
				var events []keyedEvent
				for range 1 + rng.IntN(4) {
					number++
					text := fmt.Sprint(number, strings.Repeat("x", rng.IntN(400)), filler(rng.IntN(400)))
					events = append(events, keyedEvent{id: fmt.Sprint(number), key: fmt.Sprint("key ", rng.IntN(9)), text: text})
				}
				first := put(t, e, topic, events...).First
				for i, event := range events {
					want.events[name][first+int64(i)] = event.text
				}
			}
			entry, err := proto.Marshal(&storagev1.JournalEntry{Format: 1, Changes: []*storagev1.JournalChange{
				{Change: &storagev1.JournalChange_Settled{Settled: &storagev1.JournalSettled{}}},
			}})
			if err != nil {
				t.Fatal(err)
			}
			letter, err := proto.Marshal(&storagev1.DeadLetterRecord{Format: 1})
			if err != nil {
				t.Fatal(err)
			}
			want.entries = append(want.entries, entry)
			sequence := int64(len(want.entries))
			want.letters[sequence] = string(letter)
			if err := journal.Append(t.Context(), [][]byte{entry}, []engine.DeadLetter{{Sequence: sequence, Data: letter}}, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	more(100)
	if err := e.DeleteTopic(t.Context(), topics["deleted"]); err != nil {
		t.Fatal(err)
	}
	delete(topics, "deleted")
	delete(want.events, "deleted")
	if err := e.AddSchemaRevision(t.Context(), 0, &storagev1.SchemaRevision{Revision: "one"}); err != nil {
		t.Fatal(err)
	}
	want.schemas = []string{"one"}
	types := &storagev1.TypeRevisions{Files: []*storagev1.StoredFile{{Hash: []byte("hash")}}}
	if err := e.AddTypeRevisions(t.Context(), 0, types, map[string][]byte{"hash": []byte("content")}); err != nil {
		t.Fatal(err)
	}
	if err := e.db.Flush(); err != nil {
		t.Fatal(err)
	}
	more(100)
	if err := e.db.Flush(); err != nil {
		t.Fatal(err)
	}
	more(60)
	// What retention is to remove it has removed, and its deletions are stored.
	short := topics["short"]
	await(t, "retention", func() bool { return stateOf(t, e, short).Bytes <= 40_000 })
	for sequence := range want.events["short"] {
		if sequence < stateOf(t, e, short).First {
			want.dropped[sequence] = want.events["short"][sequence]
			delete(want.events["short"], sequence)
		}
	}
	replaceDir(t, clean, unclean)
	e.Close()
	return want
}

// damageFile damages a file, and says how.
func damageFile(t *testing.T, rng *rand.Rand, dir string) string {
	t.Helper()
	var files []string
	if err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && entry.Name() != "tidings.lock" {
			files = append(files, path)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	path := files[rng.IntN(len(files))]
	name := filepath.Base(path)
	kind := strings.TrimPrefix(filepath.Ext(name), ".")
	if kind != "sst" && kind != "log" {
		kind, _, _ = strings.Cut(name, "-")
		kind, _, _ = strings.Cut(kind, ".")
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	how := rng.IntN(4)
	if len(data) == 0 || how == 0 {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		return kind + " is missing, " + name
	}
	var what string
	used := len(data)
	for used > 1 && data[used-1] == 0 {
		used-- // The rest of a log is zeros.
	}
	switch at := rng.IntN(used); how {
	case 1:
		data, what = data[:at], fmt.Sprint("is cut at ", at)
	case 2:
		data[at] ^= 1 << rng.IntN(8)
		what = fmt.Sprint("has a flipped bit at ", at)
	default:
		size := min(1+rng.IntN(5000), len(data)-at)
		for i := range data[at : at+size] {
			data[at+i] = byte(rng.Uint32())
		}
		what = fmt.Sprint("is overwritten from ", at, " to ", at+size)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return kind + " " + what + ", " + name
}

// afterDamage says how damage is noticed, and fails the test where it isn't.
func afterDamage(t *testing.T, dir string, want *stored, damage string) (noticed string) {
	t.Helper()
	copied := t.TempDir()
	replaceDir(t, dir, copied)
	found := verify(t, dir)
	noticed = "open"
	e, err := Open(t.Context(), diskConfig(t, dir))
	if err == nil {
		whole, problem := compareStored(t, e, want, false)
		if problem == nil {
			problem = goesOn(t, e, want)
		}
		marked := e.Status().Damages > 0
		e.Close()
		switch {
		case problem != nil && !errors.Is(problem, engine.ErrDamaged):
			t.Fatalf("%s: opened, and %v; verify found %v", damage, problem, found)
		case problem != nil:
			noticed = "read"
		case !whole:
			t.Fatalf("%s: something is missing; verify found %v", damage, found)
		case marked:
			noticed = "reported, harmless"
		case len(found) > 0:
			noticed = "verify, harmless"
		default:
			return "harmless"
		}
	} else if !errors.Is(err, engine.ErrDamaged) {
		t.Fatalf("%s: opened with %v", damage, err)
	}
	if len(found) == 0 {
		t.Fatalf("%s: noticed by %s, but not by verify", damage, noticed)
	}
	lost := repairs(t, copied, want, damage)
	return fmt.Sprintf("%s; a repair gave up %s", noticed, lost)
}

func verify(t *testing.T, dir string) (found []string) {
	t.Helper()
	_, err := Verify(t.Context(), dir, Report{
		Found:    func(d *engine.DamageError) { found = append(found, d.Error()) },
		Progress: func(int64) {},
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return found
}

// repairs makes a repair and checks what is left.
func repairs(t *testing.T, dir string, want *stored, damage string) (lost string) {
	t.Helper()
	var found []string
	_, _, err := Repair(t.Context(), dir, Report{
		Found:    func(d *engine.DamageError) { found = append(found, d.Error()) },
		Progress: func(int64) {},
	})
	if err != nil {
		t.Fatalf("%s: repaired with %v", damage, err)
	}
	if found := verify(t, dir); len(found) > 0 {
		t.Fatalf("%s: after a repair verify found %v", damage, strings.Join(found, "\n"))
	}
	e, err := Open(t.Context(), diskConfig(t, dir))
	if err != nil {
		t.Fatalf("%s: opened after a repair with %v", damage, err)
	}
	defer e.Close()
	if _, problem := compareStored(t, e, want, true); problem != nil {
		t.Fatalf("%s: after a repair %v; it had found %v", damage, problem, found)
	}
	kept, all := 0, 0
	for name, events := range want.events {
		all += len(events)
		topic := want.topic(e, name)
		if topic == nil {
			continue
		}
		count, _, err := e.Count(t.Context(), topic, 0)
		if err != nil {
			t.Fatal(err)
		}
		kept += int(count)
	}
	if problem := goesOn(t, e, want); problem != nil {
		t.Fatalf("%s: after a repair %v", damage, problem)
	}
	switch gone := all - kept; {
	case gone == 0:
		return "no event"
	case gone*10 <= all:
		return "up to a tenth of the events"
	case gone < all:
		return "more of the events"
	default:
		return "all events"
	}
}

// errWrong says that something else is there than what was stored.
var errWrong = errors.New("wrong")

// compareStored compares a storage with what was stored. problem is errWrong, or
// what reading returned. In one that was repaired, what retention has removed may
// be back: that it had may be what was lost.
func compareStored(t *testing.T, e *Engine, want *stored, repaired bool) (whole bool, problem error) {
	t.Helper()
	whole = true
	for name, events := range want.events {
		topic := want.topic(e, name)
		if topic == nil || topic.Name != name {
			whole = false
		}
		if topic == nil {
			continue
		}
		state, err := e.State(t.Context(), topic)
		if err != nil {
			return whole, err
		}
		byKey := 0
		for key := -1; key < 9; key++ {
			from := engine.ReadFrom{}
			if key >= 0 {
				from.Key = fmt.Sprint("key ", key)
			}
			found, err := readEvents(t, e, topic, from)
			if err != nil {
				return whole, err
			}
			for sequence, text := range found {
				if repaired && name == "short" && want.dropped[sequence] == text {
					delete(found, sequence)
				} else if events[sequence] != text {
					return whole, fmt.Errorf("%w: topic %s, event %d is %.20q instead of %.20q", errWrong, name, sequence, text, events[sequence])
				}
			}
			switch {
			case key < 0 && len(found) < len(events):
				whole = false
				for sequence := range events {
					if _, ok := found[sequence]; !ok && sequence >= state.First && !isHole(state, sequence) {
						return whole, fmt.Errorf("%w: topic %s, event %d is missing without a word", errWrong, name, sequence)
					}
				}
			case key >= 0:
				byKey += len(found)
			}
		}
		if whole && byKey == 0 {
			return whole, fmt.Errorf("%w: topic %s, reading by key finds nothing", errWrong, name)
		}
	}
	for _, topic := range e.Topics() {
		if want.events[topic.Name] == nil && !strings.HasPrefix(topic.Name, "recovered-") {
			return whole, fmt.Errorf("%w: topic %s is back", errWrong, topic.Name)
		}
	}
	schemas, _ := e.SchemaRevisions()
	types, err := e.TypeRevisions(t.Context())
	if len(schemas) != len(want.schemas) || err != nil || len(types) == 0 {
		whole = false
	}
	for _, one := range types { // What they need is there.
		content, err := e.SchemaFile(t.Context(), string(one.GetFiles()[0].GetHash()))
		if err != nil || string(content) != "content" {
			return whole, fmt.Errorf("%w: the file of event types is %q, %w", errWrong, content, err)
		}
	}
	subscription, err := e.Subscription(t.Context(), "audit")
	if err != nil {
		return false, nil //nolint:nilerr // It was given up.
	}
	number := 0
	if err := e.Journal(subscription).Replay(t.Context(), func(entry []byte) error {
		number++
		if number > len(want.entries) || string(entry) != string(want.entries[number-1]) {
			return errWrong
		}
		return nil
	}); err != nil {
		return whole, err
	}
	letters := 0
	if err := e.ReadDeadLetters(t.Context(), subscription, 0, func(letter engine.DeadLetter) (bool, error) {
		letters++
		if text, ok := want.letters[letter.Sequence]; !ok || text != string(letter.Data) {
			return false, errWrong
		}
		_, err := e.DeadLetter(t.Context(), subscription, letter.Sequence)
		return true, err
	}); err != nil {
		return whole, err
	}
	if count, err := e.DeadLetterCount(t.Context(), subscription); err != nil {
		return whole, err
	} else if int(count) != letters {
		return whole, fmt.Errorf("%w: %d dead letters of %d", errWrong, letters, count)
	}
	return whole && number == len(want.entries) && letters == len(want.letters), nil
}

func isHole(state engine.State, sequence int64) bool {
	return sequence >= state.End || slices.ContainsFunc(state.Holes, func(h engine.Hole) bool { return sequence >= h.First && sequence < h.Next })
}

// readEvents returns the events that a reader returns.
func readEvents(t *testing.T, e *Engine, topic *engine.Topic, from engine.ReadFrom) (map[int64]string, error) {
	t.Helper()
	found := make(map[int64]string)
	r, err := e.Read(t.Context(), topic, from)
	if err != nil {
		return found, err
	}
	defer r.Close()
	for more := r.More(); more; {
		record, err := r.Next(t.Context())
		if err != nil {
			return found, err
		}
		if more = record.More; len(record.Data) == 0 {
			continue // Of the key there is no more.
		}
		events, err := eventlog.Events(record.First, record.Data, nil)
		if err != nil {
			return found, fmt.Errorf("%w: %w", errWrong, err)
		}
		for i, raw := range events {
			var event tidingsv1.Event
			if err := proto.Unmarshal(raw, &event); err != nil {
				return found, fmt.Errorf("%w: %w", errWrong, err)
			}
			found[record.First+int64(i)] = event.GetSubject()
		}
	}
	return found, nil
}

// goesOn appends to each topic: no sequence may be given out twice.
func goesOn(t *testing.T, e *Engine, want *stored) error {
	t.Helper()
	for name, events := range want.events {
		topic := want.topic(e, name)
		if topic == nil {
			continue
		}
		appended, err := appendTo(t.Context(), e, topic, batchOf(t, keyedEvent{id: "after", key: "after"}))
		if err != nil {
			return err
		}
		if last := slices.Max(slices.Collect(maps.Keys(events))); appended.First <= last {
			return fmt.Errorf("%w: topic %s, sequence %d is given out twice", errWrong, name, appended.First)
		}
	}
	return nil
}
