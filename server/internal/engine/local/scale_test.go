package local

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/tidings/server/internal/guard"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// heap is what the process holds.
func heap() int64 {
	runtime.GC()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	return int64(memory.HeapAlloc)
}

// Topics and subscriptions that nobody uses take little, and opening a storage
// doesn't wait for them.
func TestManyTopicsAndSubscriptions(t *testing.T) {
	const count, each = 2000, 10_000 // What a topic and a subscription may take together, in bytes.
	cfg := testConfig(t, nil)
	cfg.DataDir = t.TempDir()
	e, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	var group guard.Group
	var next atomic.Int64
	for range 64 {
		group.Go(func() error {
			for {
				i := next.Add(1)
				if i > count {
					return nil
				}
				topic, err := e.CreateTopic(t.Context(), fmt.Sprint("topic-", i), &storagev1.TopicConfig{
					Uid: uint64(i), Dedupe: optionsv1.Dedupe_DEDUPE_REQUEST, DedupeWindow: durationpb.New(time.Hour),
				})
				if err != nil {
					return err
				}
				if _, err := appendTo(t.Context(), e, topic, batchOf(t, keyedEvent{fmt.Sprint(i), "key", "text"})); err != nil {
					return err
				}
				if _, err := e.CreateSubscription(t.Context(), fmt.Sprint("subscription-", i), &storagev1.SubscriptionConfig{
					Uid: uint64(i), TokenKey: make([]byte, 32), Topic: topic.Name, TopicUid: topic.Config.GetUid(),
				}); err != nil {
					return err
				}
			}
		}, func(err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	e.Close()
	t.Logf("created in %v", time.Since(began))

	e = nil
	before := heap()
	began = time.Now()
	if e, err = Open(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	opened := time.Since(began)
	if n := len(e.Topics()); n != count || len(e.Subscriptions()) != count {
		t.Fatalf("%d topics, %d subscriptions", n, len(e.Subscriptions()))
	}
	for _, topic := range e.Topics() {
		if state := stateOf(t, e, topic); state.End != 2 {
			t.Fatalf("topic %s: %+v", topic.Name, state)
		}
	}
	for _, s := range e.Subscriptions() {
		if err := e.Journal(s).Check(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	taken := (heap() - before) / count
	t.Logf("opened in %v, all loaded after %v, %d bytes each", opened, time.Since(began), taken)
	if taken > each {
		t.Errorf("each takes %d bytes", taken)
	}
}
