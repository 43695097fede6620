package local

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"testing"

	"example.com/tidings/server/internal/engine"
)

// filler returns text that Pebble can't compress.
func filler(size int) string {
	random := make([]byte, size/2)
	_, _ = rand.Read(random) // It never fails.
	return hex.EncodeToString(random)
}

// fill appends events of 50 kB until the storage is full, and notes them.
func fill(t *testing.T, e *Engine, topic *engine.Topic, stored map[int64]string) {
	t.Helper()
	for i := range 2000 {
		text := filler(100_000)
		appended, err := appendTo(t.Context(), e, topic, batchOf(t, keyedEvent{id: fmt.Sprint(len(stored), " ", i), key: "k", text: text}))
		if errors.Is(err, engine.ErrFull) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		stored[appended.First] = text
	}
	t.Fatal("the volume doesn't get full")
}

// holdsAll checks that a topic has all events that were stored.
func holdsAll(t *testing.T, e *Engine, topic *engine.Topic, stored map[int64]string) {
	t.Helper()
	found := 0
	for _, record := range readAll(t, e, topic, engine.ReadFrom{}) {
		for i, text := range textsOf(t, record) {
			if want, ok := stored[record.First+int64(i)]; !ok || want != text {
				t.Fatalf("event %d isn't as it was stored", record.First+int64(i))
			}
			found++
		}
	}
	if found != len(stored) {
		t.Fatalf("%d events of %d", found, len(stored))
	}
}

func TestBoundOfTheStorage(t *testing.T) {
	t.Parallel()
	cfg := diskConfig(t, t.TempDir())
	cfg.MaxStoreBytes = 3 << 20
	e := openConfig(t, cfg)
	defer e.Close()
	topic, events := newTopic(t, e, "orders", nil), make(map[int64]string)
	fill(t, e, topic, events)
	if stored := e.Status().StoredBytes; stored > cfg.MaxStoreBytes || stored < cfg.MaxStoreBytes/2 {
		t.Errorf("%d bytes are stored", stored)
	}
	if err := e.DeleteTopic(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	await(t, "room", func() bool { return e.Ready(t.Context()) == nil })
	fill(t, e, newTopic(t, e, "orders", nil), make(map[int64]string))
}
