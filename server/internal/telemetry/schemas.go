package telemetry

import "github.com/prometheus/client_golang/prometheus"

// Reload is what became of a changed file of schemas.
type Reload string

// The values of Reload.
const (
	// ReloadApplied says that the file is in force.
	ReloadApplied Reload = "applied"
	// ReloadRefused says that something is wrong with the file, or that it would
	// break somebody.
	ReloadRefused Reload = "refused"
	// ReloadFailed says that it could not be found out: the file could not be
	// read, or the comparison came to no result.
	ReloadFailed Reload = "failed"
)

// reloads count what became of a file that is read again when it changes.
type reloads struct {
	total *prometheus.CounterVec
	last  prometheus.Gauge
}

// newReloads counts the changes of what is called so in names and in help texts.
func newReloads(name, file string, outcomes ...Reload) reloads {
	r := reloads{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tidings_" + name + "_reloads_total",
			Help: "Changes of " + file + ", by outcome.",
		}, []string{"outcome"}),
		last: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tidings_" + name + "_last_reload_successful",
			Help: "Whether " + file + ", as it was last seen, is in force: 1 or 0.",
		}),
	}
	// A rate needs the value before the first change.
	for _, outcome := range outcomes {
		r.total.WithLabelValues(string(outcome))
	}
	r.last.Set(1) // A server doesn't start with a file that it can't use.
	return r
}

func (r reloads) count(outcome Reload) {
	r.total.WithLabelValues(string(outcome)).Inc()
	if outcome == ReloadApplied {
		r.last.Set(1)
	} else {
		r.last.Set(0)
	}
}

// SchemaReload counts a change of the file of schemas.
func (m *Metrics) SchemaReload(outcome Reload) { m.schemas.count(outcome) }

// AccessReload counts a change of the access file, which was applied or refused.
func (m *Metrics) AccessReload(applied bool) {
	if applied {
		m.access.count(ReloadApplied)
	} else {
		m.access.count(ReloadRefused)
	}
}

// CertificateReload counts a change of the files of TLS, which was applied or failed.
func (m *Metrics) CertificateReload(applied bool) {
	if applied {
		m.certificates.count(ReloadApplied)
	} else {
		m.certificates.count(ReloadFailed)
	}
}

// schemaInfo is always 1: what it tells is in its label. It asks for the revision
// when it is scraped, so that it can't be behind, wherever a change came from.
type schemaInfo struct{ revision func() string }

var schemaInfoDesc = prometheus.NewDesc("tidings_schema_info",
	"Always 1. The label says the revision of the schemas in force.", []string{"revision"}, nil)

// Describe implements prometheus.Collector.
func (schemaInfo) Describe(descs chan<- *prometheus.Desc) { descs <- schemaInfoDesc }

// Collect implements prometheus.Collector.
func (i schemaInfo) Collect(metrics chan<- prometheus.Metric) {
	metrics <- prometheus.MustNewConstMetric(schemaInfoDesc, prometheus.GaugeValue, 1, i.revision())
}
