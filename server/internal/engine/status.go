package engine

// StoreStatus is what is to be shown of a store on this machine.
type StoreStatus struct {
	// Tables is the number of its files, without its log.
	Tables int64
	// LogBytes is the size of the log, MemoryBytes what is in memory and in the log
	// alone, and WrittenBytes what was written to the log since the start.
	LogBytes, MemoryBytes, WrittenBytes int64
	// Compactions is how many have ended since the start, and DebtBytes about what
	// they have to rewrite still.
	Compactions, DebtBytes int64
	// ReadAmplification is how many places a search looks into, at most.
	ReadAmplification int64
	// CacheHits and CacheMisses count the blocks that were looked for in the cache.
	CacheHits, CacheMisses int64
	// Syncs is how long the disk took to have what was written to the log. With
	// SyncWritten it isn't waited for, and this says nothing.
	Syncs Durations
}

// Durations is how often something took how long, since the start.
type Durations struct {
	Count   uint64
	Seconds float64 // In all.
	// Buckets says how many took at most so many seconds.
	Buckets map[float64]uint64
}
