package telemetry

import (
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Quotas is what quotas have done since the start.
type Quotas struct {
	// Callers are how many are told apart at present.
	Callers int64
	// Refused are how many calls and streams were refused, and Waited how long streams
	// were made to wait, by the name of the quota, of which there are few.
	Refused map[string]int64
	Waited  map[string]time.Duration
}

// quotas asks for what it tells when it is scraped.
type quotas struct{ usage func() Quotas }

var (
	quotaCallers = prometheus.NewDesc("tidings_quota_callers", "The callers whose use of their quotas is remembered.", nil, nil)
	quotaRefused = prometheus.NewDesc("tidings_quota_refused_total", "How many calls and streams were refused with QUOTA_EXCEEDED.", []string{"quota"}, nil)
	quotaWaited  = prometheus.NewDesc("tidings_quota_wait_seconds_total", "How long streams were made to wait for a quota, all together.", []string{"quota"}, nil)
)

// FollowQuotas adds the metrics of quotas, which usage returns: it is called for each
// scrape, also by several at a time.
func (m *Metrics) FollowQuotas(usage func() Quotas) { m.registry.MustRegister(quotas{usage}) }

// Describe implements prometheus.Collector.
func (quotas) Describe(descs chan<- *prometheus.Desc) {
	descs <- quotaCallers
	descs <- quotaRefused
	descs <- quotaWaited
}

// Collect implements prometheus.Collector.
func (q quotas) Collect(metrics chan<- prometheus.Metric) {
	usage := q.usage()
	metrics <- prometheus.MustNewConstMetric(quotaCallers, prometheus.GaugeValue, float64(usage.Callers))
	for _, name := range slices.Sorted(maps.Keys(usage.Refused)) {
		metrics <- prometheus.MustNewConstMetric(quotaRefused, prometheus.CounterValue, float64(usage.Refused[name]), name)
	}
	for _, name := range slices.Sorted(maps.Keys(usage.Waited)) {
		metrics <- prometheus.MustNewConstMetric(quotaWaited, prometheus.CounterValue, usage.Waited[name].Seconds(), name)
	}
}
