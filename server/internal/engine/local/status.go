package local

import (
	"time"

	"github.com/cockroachdb/pebble/v2"
	dto "github.com/prometheus/client_model/go"

	"example.com/tidings/server/internal/engine"
)

// storeStatus is what is to be shown of what Pebble says of itself.
func storeStatus(m *pebble.Metrics) *engine.StoreStatus {
	return &engine.StoreStatus{
		Tables:            m.Total().TablesCount,
		LogBytes:          int64(m.WAL.Size),
		MemoryBytes:       int64(m.MemTable.Size),
		WrittenBytes:      int64(m.WAL.BytesWritten),
		Compactions:       m.Compact.Count,
		DebtBytes:         int64(m.Compact.EstimatedDebt),
		ReadAmplification: int64(m.ReadAmp()),
		CacheHits:         m.BlockCache.Hits,
		CacheMisses:       m.BlockCache.Misses,
		Syncs:             syncDurations(m),
	}
}

// syncBounds are about the bounds of the buckets that are shown of Pebble's hundred.
var syncBounds = []time.Duration{
	100 * time.Microsecond, 200 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond,
	10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second,
}

// syncDurations counts in nanoseconds, as Pebble does, and tells seconds.
func syncDurations(m *pebble.Metrics) engine.Durations {
	durations := engine.Durations{Buckets: make(map[float64]uint64)}
	var shown dto.Metric
	if m.LogWriter.FsyncLatency == nil || m.LogWriter.FsyncLatency.Write(&shown) != nil {
		return durations
	}
	histogram := shown.GetHistogram()
	durations.Count = histogram.GetSampleCount()
	durations.Seconds = histogram.GetSampleSum() / float64(time.Second)
	next := 0
	for _, bucket := range histogram.GetBucket() {
		if next == len(syncBounds) {
			break
		}
		if bucket.GetUpperBound() < float64(syncBounds[next]) {
			continue
		}
		durations.Buckets[bucket.GetUpperBound()/float64(time.Second)] = bucket.GetCumulativeCount()
		for next < len(syncBounds) && bucket.GetUpperBound() >= float64(syncBounds[next]) {
			next++
		}
	}
	return durations
}
