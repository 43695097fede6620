package local

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/guard"
)

// damageOf returns the damage that an error is.
func damageOf(t *testing.T, err error) *engine.DamageError {
	t.Helper()
	var damage *engine.DamageError
	if !errors.As(err, &damage) {
		t.Fatalf("got %v, want a damage", err)
	}
	return damage
}

// What is missing, or isn't a record, is damage that has a name. What is before
// and after it can be read.
func TestDamagedRecords(t *testing.T) {
	for name, harm := range map[string]func(*Engine, []byte) error{
		"missing": func(e *Engine, key []byte) error { return e.db.Delete(key, nil) },
		"not a record": func(e *Engine, key []byte) error {
			return e.db.Set(key, []byte("something else, and long enough"), nil)
		},
		"too short": func(e *Engine, key []byte) error { return e.db.Set(key, nil, nil) },
		"of fewer events": func(e *Engine, key []byte) error {
			value, closer, err := e.db.Get(key)
			if err != nil {
				return err
			}
			shorter := append([]byte(nil), value...)
			shorter[3]--
			return errors.Join(closer.Close(), e.db.Set(key, shorter, nil))
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := open(t, vfs.NewCrashableMem())
			topic, sound := newTopic(t, e, "orders", nil), newTopic(t, e, "sound", nil)
			for _, text := range []string{"1", "3", "5", "7"} {
				put(t, e, topic, keyedEvent{text, "key", text}, keyedEvent{text + "+", "other", text})
			}
			put(t, e, sound, keyedEvent{"1", "", "1"})
			uid := topic.Config.GetUid()
			if err := harm(e, numberKey(kindRecord, uid, 5)); err != nil {
				t.Fatal(err)
			}
			for from, want := range map[engine.ReadFrom][]int64{
				{Sequence: 1}: {1, 3}, {Sequence: 5}: nil, {Sequence: 6}: nil, {Sequence: 7}: {7}, {Key: "key"}: {1, 3}, {Key: "key", Sequence: 6}: {7},
			} {
				if name == "of fewer events" { // It is known once the next one is read.
					switch {
					case from.Key == "key" && from.Sequence == 0:
						want = []int64{1, 3, 5, 7}
					case from.Sequence == 1:
						want = []int64{1, 3, 5}
					case from.Sequence == 5:
						want = []int64{5}
					}
				}
				got, err := readTo(t, e, topic, from, 8)
				if len(got) != len(want) {
					t.Errorf("from %+v: read %d, want %d", from, got, want)
				}
				if n := len(got); n > 0 && got[n-1] == 7 {
					continue
				}
				if damage := damageOf(t, err); damage.Topic != "orders" || !strings.Contains(damage.Place, "sequence 5") && !strings.Contains(damage.Place, "sequence 6") {
					t.Errorf("from %+v: %v", from, err)
				}
			}
			_, err := e.Get(t.Context(), topic, 6)
			if damage := damageOf(t, err); damage.Topic != "orders" || !strings.Contains(damage.Place, "sequence 6") {
				t.Errorf("get: %v", err)
			}
			if record, err := e.Get(t.Context(), topic, 4); err != nil || record.First != 3 {
				t.Errorf("get before it: %+v, %v", record, err)
			}
			if err := e.Ready(t.Context()); !errors.Is(err, engine.ErrDamaged) || e.Status().Damages == 0 {
				t.Errorf("ready: %v, %+v", err, e.Status())
			}
			if got := put(t, e, topic, keyedEvent{"9", "", "9"}); got.First != 9 {
				t.Errorf("after it: %+v", got)
			}
			if got := readAll(t, e, sound, engine.ReadFrom{}); len(got) != 1 {
				t.Errorf("another topic: %+v", got)
			}
			if err := e.DeleteTopic(t.Context(), topic); err != nil {
				t.Fatal(err)
			}
			if err := e.Ready(t.Context()); err != nil {
				t.Errorf("once the topic is gone: %v", err)
			}
		})
	}
}

// readTo reads up to a sequence, or an error.
func readTo(t *testing.T, e *Engine, topic *engine.Topic, from engine.ReadFrom, last int64) (firsts []int64, err error) {
	t.Helper()
	r, err := e.Read(t.Context(), topic, from)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	for {
		record, err := r.Next(t.Context())
		if err != nil {
			return firsts, err
		}
		if record.Data != nil {
			firsts = append(firsts, record.First)
		}
		if record.Last >= last {
			return firsts, nil
		}
	}
}

// A topic whose end can't be read takes no events: their sequences may have been
// given out.
func TestDamagedEnd(t *testing.T) {
	e := open(t, vfs.NewCrashableMem())
	topic := newTopic(t, e, "orders", nil)
	put(t, e, topic, keyedEvent{"1", "", "1"})
	if err := e.db.Set(numberKey(kindRecord, topic.Config.GetUid(), 1), []byte("nonsense"), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	e = reopen(t, e)
	_, err := appendTo(t.Context(), e, topic, batchOf(t, keyedEvent{"2", "", "2"}))
	wantDamage := func(err error) {
		t.Helper()
		if damage := damageOf(t, err); damage.Topic != "orders" {
			t.Errorf("got %v", err)
		}
	}
	wantDamage(err)
	_, err = e.State(t.Context(), topic)
	wantDamage(err)
}

// Whatever is removed while it is read, nothing is taken for damaged.
func TestRemovalIsNoDamage(t *testing.T) {
	cfg := testConfig(t, nil)
	cfg.DataDir = t.TempDir() // Where waiting for the disk takes a while.
	e, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for round := range 3 {
		topic := newTopic(t, e, "orders", retain(2000, 0))
		s := newSubscription(t, e, "s")
		var group guard.Group
		ended := func(err error) {
			if !errors.Is(err, engine.ErrTopicNotFound) && !errors.Is(err, engine.ErrSubscriptionNotFound) {
				t.Error(err)
			}
		}
		for i := range 2 {
			group.Go(func() error {
				for number := 0; ; number++ {
					event := keyedEvent{fmt.Sprint(i, "/", number), fmt.Sprint("k", number%3), "text"}
					if _, err := appendTo(t.Context(), e, topic, batchOf(t, event)); err != nil {
						return err
					}
				}
			}, ended)
		}
		for _, from := range []engine.ReadFrom{{}, {}, {Key: "k1"}} {
			group.Go(func() error {
				for {
					if _, err := readTo(t, e, topic, from, 1); err != nil {
						return err
					}
					state, err := e.State(t.Context(), topic)
					if err != nil {
						return err
					}
					if _, err := e.Get(t.Context(), topic, state.First); err != nil && !errors.Is(err, engine.ErrRecordNotFound) {
						return err
					}
					if _, err := e.FirstAt(t.Context(), topic, state.LastTime); err != nil {
						return err
					}
				}
			}, ended)
		}
		group.Go(func() error { return journalAll(t, e, s) }, ended)
		group.Go(func() error {
			for {
				j := e.Journal(s)
				if err := j.Replay(t.Context(), func([]byte) error { return nil }); err != nil {
					return err
				}
				if _, err := e.DeadLetter(t.Context(), s, 3); err != nil && !errors.Is(err, engine.ErrRecordNotFound) {
					return err
				}
			}
		}, ended)
		await(t, "some events", func() bool { return stateOf(t, e, topic).First > int64(20*(round+1)) })
		if err := errors.Join(e.DeleteTopic(t.Context(), topic), e.DeleteSubscription(t.Context(), s)); err != nil {
			t.Fatal(err)
		}
		group.Wait()
	}
	if damages := e.Status().Damages; damages != 0 {
		t.Errorf("%d damages: %v", damages, e.Ready(t.Context()))
	}
}

// journalAll writes a journal, with dead letters, and compacts it.
func journalAll(t *testing.T, e *Engine, s *engine.Subscription) error {
	t.Helper()
	j := e.Journal(s)
	for i := int64(0); ; i++ {
		letters := []engine.DeadLetter{{Sequence: i % 7, Data: fmt.Append(nil, i)}}
		if err := j.Append(t.Context(), [][]byte{[]byte("one"), []byte("two")}, letters, []int64{(i + 3) % 7}); err != nil {
			return err
		}
		if i%10 == 9 {
			if err := j.Compact(t.Context(), [][]byte{[]byte("all")}); err != nil {
				return err
			}
		}
	}
}
