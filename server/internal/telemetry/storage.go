package telemetry

import "github.com/prometheus/client_golang/prometheus"

// Storage is what is known of the storage.
type Storage struct {
	// StoredBytes, MaxBytes, FreeBytes and ReserveBytes are its size, its bound,
	// what is free on its volume, and what of that is kept free. MaxBytes 0: it
	// isn't on a volume of this machine.
	StoredBytes, MaxBytes, FreeBytes, ReserveBytes int64
	// Full says that events are refused.
	Full bool
	// Damages and Losses are how often something was found damaged, or lost,
	// since the start.
	Damages, Losses int64
	// Store is the store on this machine. nil: there is none.
	Store *Store
	// Replicas is the number of copies in a cluster, and NATSServers its servers
	// that connections lead to.
	Replicas    int
	NATSServers []string
	// NATSConnections says of each connection to NATS whether it is there.
	// NATSReconnects is how often one was made anew.
	NATSConnections map[string]bool
	NATSReconnects  int64
}

// Store is what is known of a store on this machine.
type Store struct {
	// Tables is the number of its files, LogBytes and MemoryBytes what is in the
	// write-ahead log and in memory, WrittenBytes what was written to the log since
	// the start.
	Tables                              int64
	LogBytes, MemoryBytes, WrittenBytes int64
	// Compactions is how many have ended, and DebtBytes what they have to rewrite
	// still, about.
	Compactions, DebtBytes int64
	// ReadAmplification is how many places a search looks into, at most.
	ReadAmplification int64
	// CacheHits and CacheMisses count blocks that were looked for.
	CacheHits, CacheMisses int64
	// Syncs is how long the disk took to have what was written to the log.
	Syncs Histogram
}

// Histogram is how often something took how long.
type Histogram struct {
	Count   uint64
	Seconds float64 // In all.
	// Buckets says how many took at most so many seconds.
	Buckets map[float64]uint64
}

// storage asks for what it tells when it is scraped.
type storage struct{ status func() Storage }

func storageDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("tidings_"+name, help, labels, nil)
}

var (
	storageBytes    = storageDesc("storage_bytes", "What the storage takes of its volume.")
	storageMax      = storageDesc("storage_max_bytes", "What the storage may take of its volume.")
	storageFree     = storageDesc("storage_free_bytes", "What is free on the volume of the storage.")
	storageReserve  = storageDesc("storage_reserve_bytes", "What has to be free on the volume for events to be stored.")
	storageFull     = storageDesc("storage_full", "Whether events are refused because there is no room: 1 or 0.")
	storageDamages  = storageDesc("storage_damages_total", "How often something stored was found to be damaged since the start.")
	storageLosses   = storageDesc("storage_losses_total", "How often something acknowledged was found to be lost since the start.")
	storageReplicas = storageDesc("storage_replicas", "The copies of each topic in NATS.")

	storeTables      = storageDesc("store_tables", "Files of the store, without its log.")
	storeLog         = storageDesc("store_log_bytes", "Size of the write-ahead log.")
	storeMemory      = storageDesc("store_memory_bytes", "What of the store is in memory and in the log alone.")
	storeWritten     = storageDesc("store_log_written_bytes_total", "Bytes that were written to the write-ahead log.")
	storeCompactions = storageDesc("store_compactions_total", "Compactions that have ended.")
	storeDebt        = storageDesc("store_compaction_debt_bytes", "About how much compactions have to rewrite.")
	storeReads       = storageDesc("store_read_amplification", "How many places a search looks into, at most.")
	storeHits        = storageDesc("store_cache_hits_total", "Blocks that were found in the cache.")
	storeMisses      = storageDesc("store_cache_misses_total", "Blocks that were read from the volume.")
	storeSyncs       = storageDesc("storage_fsync_duration_seconds", "How long the disk took to have what was written to the write-ahead log.")

	natsServer     = storageDesc("nats_server_info", "Always 1, for each NATS server that a connection leads to.", "server")
	natsConnected  = storageDesc("nats_connected", "Whether a connection to NATS is there: 1 or 0.", "connection")
	natsReconnects = storageDesc("nats_reconnects_total", "How often a connection to NATS was made anew.")
)

// Describe implements prometheus.Collector. Which metrics there are depends on
// the storage.
func (storage) Describe(descs chan<- *prometheus.Desc) {
	descs <- storageFull
	descs <- storageDamages
	descs <- storageLosses
}

// Collect implements prometheus.Collector.
func (s storage) Collect(metrics chan<- prometheus.Metric) {
	status := s.status()
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	counter := func(desc *prometheus.Desc, value int64) {
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(value))
	}
	if status.MaxBytes > 0 {
		gauge(storageBytes, float64(status.StoredBytes))
		gauge(storageMax, float64(status.MaxBytes))
		gauge(storageFree, float64(status.FreeBytes))
		gauge(storageReserve, float64(status.ReserveBytes))
	}
	gauge(storageFull, number(status.Full))
	counter(storageDamages, status.Damages)
	counter(storageLosses, status.Losses)
	if store := status.Store; store != nil {
		gauge(storeTables, float64(store.Tables))
		gauge(storeLog, float64(store.LogBytes))
		gauge(storeMemory, float64(store.MemoryBytes))
		gauge(storeDebt, float64(store.DebtBytes))
		gauge(storeReads, float64(store.ReadAmplification))
		counter(storeWritten, store.WrittenBytes)
		counter(storeCompactions, store.Compactions)
		counter(storeHits, store.CacheHits)
		counter(storeMisses, store.CacheMisses)
		metrics <- prometheus.MustNewConstHistogram(storeSyncs, store.Syncs.Count, store.Syncs.Seconds, store.Syncs.Buckets)
	}
	if status.Replicas > 0 {
		gauge(storageReplicas, float64(status.Replicas))
		counter(natsReconnects, status.NATSReconnects)
	}
	for connection, there := range status.NATSConnections {
		gauge(natsConnected, number(there), connection)
	}
	for _, server := range status.NATSServers {
		gauge(natsServer, 1, server)
	}
}
