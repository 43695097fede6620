package local

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/guard"

	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// benchBatch makes a batch of events of some 264 bytes and a key each.
func benchBatch(b *testing.B, events int) *engine.Batch {
	b.Helper()
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // It is to be the same each time.
	list := make([]keyedEvent, events)
	for i := range list {
		var text strings.Builder
		for text.Len() < 230 { // It is to be compressed by about a half.
			fmt.Fprintf(&text, "%08x", random.Uint32())
		}
		list[i] = keyedEvent{fmt.Sprint(i), fmt.Sprint("customer-", i%20), text.String()}
	}
	return batchOf(b, list...)
}

// renamed is a batch with other identities.
func renamed(batch *engine.Batch, number uint64) *engine.Batch {
	other := *batch
	binary.BigEndian.PutUint64(other.ID[:], number*0x9e3779b97f4a7c15)
	binary.BigEndian.PutUint64(other.ID[8:], number)
	other.Events = append([]engine.BatchEvent(nil), batch.Events...)
	for i := range other.Events {
		binary.BigEndian.PutUint64(other.Events[i].ID[:], (number*4096+uint64(i))*0x9e3779b97f4a7c15)
		binary.BigEndian.PutUint64(other.Events[i].ID[8:], number)
	}
	return &other
}

func openBench(b *testing.B, sync engine.Sync) *Engine {
	b.Helper()
	e, err := Open(b.Context(), Config{
		DataDir: b.TempDir(), MaxRecordBytes: 4 << 20, Sync: sync, Log: slog.New(slog.NewTextHandler(b.Output(), nil)),
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(e.Close)
	return e
}

func BenchmarkAppend(b *testing.B) {
	for _, sync := range []engine.Sync{engine.SyncWritten, engine.SyncFsync} {
		for _, events := range []int{1, 100} {
			for _, writers := range []int{1, 8, 64} {
				for dedupe, change := range map[string]func(*storagev1.TopicConfig){"request": nil, "event": byEvent} {
					b.Run(fmt.Sprintf("%s/events=%d/writers=%d/%s", sync, events, writers, dedupe), func(b *testing.B) {
						benchAppend(b, sync, benchBatch(b, events), writers, change)
					})
				}
			}
		}
	}
}

func benchAppend(b *testing.B, sync engine.Sync, batch *engine.Batch, writers int, change func(*storagev1.TopicConfig)) {
	e := openBench(b, sync)
	topic := newTopic(b, e, "bench", change)
	var number atomic.Uint64
	b.SetParallelism(writers / 2)
	b.ReportAllocs()
	before := cpuTime(b)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := appendTo(b.Context(), e, topic, renamed(batch, number.Add(1))); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N*len(batch.Events))/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
}

// cpuTime is what the process has used of the processors.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func fillBench(b *testing.B, e *Engine, topic *engine.Topic, batch *engine.Batch, records int) {
	b.Helper()
	var last engine.Append
	for i := range records {
		var err error
		if last, err = e.Start(b.Context(), topic, renamed(batch, uint64(i)), nil); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := last.Wait(b.Context()); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkRead(b *testing.B) {
	for _, events := range []int{1, 100} {
		b.Run(fmt.Sprintf("events=%d", events), func(b *testing.B) {
			e := openBench(b, engine.SyncWritten)
			topic := newTopic(b, e, "bench", nil)
			records := 400_000 / (events*3 + 1)
			fillBench(b, e, topic, benchBatch(b, events), records)
			b.ReportAllocs()
			b.ResetTimer()
			var reader engine.Reader
			for i := range b.N {
				if i%records == 0 {
					var err error
					if reader, err = e.Read(b.Context(), topic, engine.ReadFrom{}); err != nil {
						b.Fatal(err)
					}
				}
				if _, err := reader.Next(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*events)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkTail measures from an append to when the last of many readers has it.
func BenchmarkTail(b *testing.B) {
	for _, readers := range []int{1, 30, 1000} {
		b.Run(fmt.Sprintf("readers=%d", readers), func(b *testing.B) {
			e := openBench(b, engine.SyncWritten)
			topic := newTopic(b, e, "bench", nil)
			batch := benchBatch(b, 1)
			var group guard.Group
			got := make(chan struct{}, readers)
			for range readers {
				reader, err := e.Read(b.Context(), topic, engine.ReadFrom{})
				if err != nil {
					b.Fatal(err)
				}
				group.Go(func() error {
					defer reader.Close()
					for range b.N {
						if _, err := reader.Next(b.Context()); err != nil {
							return err
						}
						got <- struct{}{}
					}
					return nil
				}, func(err error) {
					if err != nil {
						b.Error(err)
					}
				})
			}
			b.ResetTimer()
			for i := range b.N {
				if _, err := appendTo(b.Context(), e, topic, renamed(batch, uint64(i))); err != nil {
					b.Fatal(err)
				}
				for range readers {
					<-got
				}
			}
			group.Wait()
		})
	}
}
