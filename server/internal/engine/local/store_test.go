package local

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A record that was flushed isn't written again for what is stored beside it: the
// index of keys, and identities.
func TestRecordsAreFlushedOnce(t *testing.T) {
	e := open(t, vfs.NewCrashableMem())
	topic := newTopic(t, e, "orders", nil)
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // It is to be the same each time.
	text := make([]byte, 150)
	for n := range 1000 {
		events := make([]keyedEvent, 200)
		for i := range events {
			for j := range text {
				text[j] = byte(' ' + random.IntN(64))
			}
			id := fmt.Sprint(n, "-", i)
			events[i] = keyedEvent{id: id, key: "order-" + id, text: string(text)}
		}
		if _, err := appendTo(t.Context(), e, topic, batchOf(t, events...)); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "the compactions", func() bool {
		m := e.db.Metrics()
		return m.Flush.NumInProgress == 0 && m.Compact.NumInProgress == 0
	})
	total := e.db.Metrics().Total()
	if flushed, compacted := total.TableBytesFlushed, total.TableBytesCompacted; flushed < 20<<20 || compacted > flushed/50 {
		t.Errorf("%d bytes were flushed, and %d written by compactions", flushed, compacted)
	}
}
