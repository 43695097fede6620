package local

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/guard"
)

// What was answered outlives the process, and with engine.SyncFsync the machine:
// whenever that is, and whatever else was written by then.
func TestReceiptsOutliveACrash(t *testing.T) {
	for _, test := range []struct {
		sync    engine.Sync
		written int // The share of what wasn't synced that is there after the crash.
	}{{engine.SyncFsync, 0}, {engine.SyncFsync, 50}, {engine.SyncFsync, 100}, {engine.SyncWritten, 100}} {
		t.Run(fmt.Sprintf("%s with %d%%", test.sync, test.written), func(t *testing.T) {
			for seed := range uint64(5) {
				fs := vfs.NewCrashableMem()
				cfg := testConfig(t, fs)
				cfg.Sync = test.sync
				e, err := Open(t.Context(), cfg)
				if err != nil {
					t.Fatal(err)
				}
				topic := newTopic(t, e, "orders", nil)
				receipts, crashed := appendUntilCrash(t, e, topic, vfs.CrashCloneCfg{
					UnsyncedDataPercent: test.written, RNG: rand.New(rand.NewPCG(seed, 0)), //nolint:gosec // It is to repeat itself.
				})
				e.Close()
				checkReceipts(t, open(t, crashed), receipts)
			}
		})
	}
}

// appendUntilCrash appends in several goroutines, crashes the machine meanwhile,
// and returns the events that were acknowledged before, by their sequences.
func appendUntilCrash(t *testing.T, e *Engine, topic *engine.Topic, crash vfs.CrashCloneCfg) (receipts map[int64]string, crashed *vfs.MemFS) {
	t.Helper()
	const writers, after = 8, 200
	var mu sync.Mutex
	receipts = make(map[int64]string)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	enough := make(chan struct{})
	var group guard.Group
	for writer := range writers {
		group.Go(func() error {
			for i := 0; ; i++ {
				text := fmt.Sprintf("%d/%d", writer, i)
				event := keyedEvent{id: text, key: fmt.Sprint(writer), text: text}
				appended, err := appendTo(ctx, e, topic, batchOf(t, event, event))
				if err != nil {
					return err
				}
				mu.Lock()
				receipts[appended.First] = text
				if len(receipts) == after {
					close(enough)
				}
				mu.Unlock()
			}
		}, func(err error) {
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	<-enough
	mu.Lock()
	known := maps.Clone(receipts)
	mu.Unlock()
	crashed = e.config.fs.(*vfs.MemFS).CrashClone(crash)
	cancel()
	group.Wait()
	return known, crashed
}

func checkReceipts(t *testing.T, e *Engine, receipts map[int64]string) {
	t.Helper()
	topic, err := e.Topic(t.Context(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	next := int64(1)
	last := make(map[byte]string) // Of each writer.
	for _, record := range readAll(t, e, topic, engine.ReadFrom{Sequence: 1}) {
		texts := textsOf(t, record)
		if record.First != next || len(texts) != 2 || texts[0] != texts[1] {
			t.Fatalf("record %d to %d, after %d: %q", record.First, record.Last, next-1, texts)
		}
		next = record.Last + 1
		if text, ok := receipts[record.First]; ok && text != texts[0] {
			t.Errorf("%d is %q, not %q", record.First, texts[0], text)
		}
		delete(receipts, record.First)
		writer := texts[0][0]
		if before := last[writer]; before != "" && fmt.Sprintf("%c/%d", writer, number(t, before)+1) != texts[0] {
			t.Errorf("%q follows %q", texts[0], before)
		}
		last[writer] = texts[0]
	}
	if len(receipts) > 0 {
		t.Errorf("lost: %v", receipts)
	}
	for writer := range byte(8) {
		keyed := readAll(t, e, topic, engine.ReadFrom{Key: fmt.Sprint(writer)})
		if n := len(keyed); n > 0 && textsOf(t, keyed[n-1])[0] != last['0'+writer] {
			t.Errorf("the last of writer %d is %q", writer, textsOf(t, keyed[n-1]))
		}
	}
}

func number(t *testing.T, text string) (n int) {
	t.Helper()
	if _, err := fmt.Sscanf(text[2:], "%d", &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// Of what is under way at once, each sees what was begun before.
func TestAppendsUnderWayTogether(t *testing.T) {
	e := open(t, vfs.NewCrashableMem())
	topic := newTopic(t, e, "orders", nil)
	const appends = 500
	started := make([]engine.Append, appends)
	for i := range started {
		b := batchOf(t, keyedEvent{fmt.Sprint(i / 2), "key", "text"}) // Each twice.
		if i%2 == 0 {
			b.Expect = []engine.Expectation{{Last: int64(i / 2)}, {Key: "key", Last: int64(i / 2)}}
		}
		var err error
		if started[i], err = e.Start(t.Context(), topic, b, nil); err != nil {
			t.Fatal(err)
		}
	}
	for i, a := range started {
		appended, err := a.Wait(t.Context())
		if want := (engine.Appended{First: int64(i/2) + 1, Duplicate: i%2 == 1}); err != nil || !slices.Equal(appended.Each, want.Each) ||
			appended.First != want.First || appended.Duplicate != want.Duplicate {
			t.Errorf("%d: %+v, %v", i, appended, err)
		}
	}
}

// A change that comes with another in one call is there with it or not at all.
func TestJournalAndDeadLettersAreOneCommit(t *testing.T) {
	e := open(t, vfs.NewCrashableMem())
	s := newSubscription(t, e, "s")
	j := e.Journal(s)
	if err := j.Append(t.Context(), [][]byte{[]byte("one")}, []engine.DeadLetter{{Sequence: 7, Data: []byte("seven")}, {Sequence: 8, Data: []byte("eight")}}, nil); err != nil {
		t.Fatal(err)
	}
	other := e.Journal(s)
	err := other.Append(t.Context(), [][]byte{[]byte("another")}, []engine.DeadLetter{{Sequence: 9}}, []int64{7})
	if !errors.Is(err, engine.ErrSequence) {
		t.Errorf("another writer: %v", err)
	}
	if err := j.Append(t.Context(), [][]byte{[]byte("two"), []byte("three")}, []engine.DeadLetter{{Sequence: 7, Data: []byte("again")}}, []int64{8, 99}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		var letters []engine.DeadLetter
		if err := e.ReadDeadLetters(t.Context(), s, 1, func(letter engine.DeadLetter) (bool, error) {
			letters = append(letters, letter)
			return true, nil
		}); err != nil {
			t.Fatal(err)
		}
		if len(letters) != 1 || letters[0].Sequence != 7 || string(letters[0].Data) != "again" || letters[0].Place != 3 {
			t.Errorf("dead letters %+v", letters)
		}
		if count, err := e.DeadLetterCount(t.Context(), s); err != nil || count != 1 {
			t.Errorf("%d dead letters, %v", count, err)
		}
		var entries []string
		if err := e.Journal(s).Replay(t.Context(), func(entry []byte) error {
			entries = append(entries, string(entry))
			return nil
		}); err != nil || !slices.Equal(entries, []string{"one", "two", "three"}) {
			t.Errorf("entries %q, %v", entries, err)
		}
		e = reopen(t, e)
	}
}

// A disk that fails a write of the log ends the process before anything is
// answered that may not be stored.
func TestTheDiskFailsAWrite(t *testing.T) {
	for name, kinds := range map[string][]errorfs.OpKind{
		"write": {errorfs.OpFileWrite},
		"sync":  {errorfs.OpFileSync, errorfs.OpFileSyncData},
	} {
		t.Run(name, func(t *testing.T) {
			var broken atomic.Bool
			disk := vfs.NewCrashableMem()
			cfg := testConfig(t, errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if broken.Load() && strings.HasSuffix(op.Path, ".log") && slices.Contains(kinds, op.Kind) {
					return syscall.EIO
				}
				return nil
			})))
			failed := make(chan error, 10)
			cfg.fatal = func(err error) { // It doesn't return, and this process goes on.
				failed <- err
				runtime.Goexit()
			}
			e, err := Open(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			topic := newTopic(t, e, "orders", nil)
			put(t, e, topic, keyedEvent{"1", "", "one"})
			broken.Store(true)
			a, err := e.Start(t.Context(), topic, batchOf(t, keyedEvent{"2", "", "two"}), nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := <-failed; !errors.Is(err, syscall.EIO) {
				t.Errorf("it fails with %v", err)
			}
			select {
			case <-a.(*appending).done:
				t.Error("an append was answered")
			default:
			}
			after := open(t, disk.CrashClone(vfs.CrashCloneCfg{}))
			if topic, err = after.Topic(t.Context(), "orders"); err != nil {
				t.Fatal(err)
			}
			if got := readAll(t, after, topic, engine.ReadFrom{}); len(got) != 1 {
				t.Errorf("there are %d records", len(got))
			}
		})
	}
}
