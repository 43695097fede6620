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
	// Replicas is the number of copies in a cluster, and NATSServers its servers
	// that connections lead to.
	Replicas    int
	NATSServers []string
}

// storage asks for what it tells when it is scraped.
type storage struct{ status func() Storage }

var (
	storageBytes    = prometheus.NewDesc("tidings_storage_bytes", "What the storage takes of its volume.", nil, nil)
	storageMax      = prometheus.NewDesc("tidings_storage_max_bytes", "What the storage may take of its volume.", nil, nil)
	storageFree     = prometheus.NewDesc("tidings_storage_free_bytes", "What is free on the volume of the storage.", nil, nil)
	storageReserve  = prometheus.NewDesc("tidings_storage_reserve_bytes", "What has to be free on the volume for events to be stored.", nil, nil)
	storageFull     = prometheus.NewDesc("tidings_storage_full", "Whether events are refused because there is no room: 1 or 0.", nil, nil)
	storageDamages  = prometheus.NewDesc("tidings_storage_damages_total", "How often something stored was found to be damaged since the start.", nil, nil)
	storageLosses   = prometheus.NewDesc("tidings_storage_losses_total", "How often something acknowledged was found to be lost since the start.", nil, nil)
	storageReplicas = prometheus.NewDesc("tidings_storage_replicas", "The copies of each topic in NATS.", nil, nil)
	natsServer      = prometheus.NewDesc("tidings_nats_server_info", "Always 1, for each NATS server that a connection leads to.", []string{"server"}, nil)
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
	if status.MaxBytes > 0 {
		gauge(storageBytes, float64(status.StoredBytes))
		gauge(storageMax, float64(status.MaxBytes))
		gauge(storageFree, float64(status.FreeBytes))
		gauge(storageReserve, float64(status.ReserveBytes))
	}
	full := 0.0
	if status.Full {
		full = 1
	}
	gauge(storageFull, full)
	metrics <- prometheus.MustNewConstMetric(storageDamages, prometheus.CounterValue, float64(status.Damages))
	metrics <- prometheus.MustNewConstMetric(storageLosses, prometheus.CounterValue, float64(status.Losses))
	if status.Replicas > 0 {
		gauge(storageReplicas, float64(status.Replicas))
	}
	for _, server := range status.NATSServers {
		gauge(natsServer, 1, server)
	}
}
