package daemon

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/filter"
	"example.com/tidings/server/internal/otlp"
	"example.com/tidings/server/internal/schema"
	"example.com/tidings/server/internal/service"
	"example.com/tidings/server/internal/telemetry"
	"example.com/tidings/server/internal/tracing"
)

// observed is what tells what the server does.
type observed struct {
	metrics *telemetry.Metrics
	tracer  *tracing.Tracer
	close   func()
}

// openTelemetry returns what tells what the server does, to whom the settings and the
// environment say. Close it when no call is under way.
func openTelemetry(ctx context.Context, cfg Config, log *slog.Logger) (*observed, error) {
	exporter, err := otlp.Start(ctx, Version, log)
	if err != nil {
		return nil, err
	}
	metrics, closeLog, err := newMetrics(cfg, log)
	if err != nil {
		exporter.Close()
		return nil, err
	}
	o := &observed{metrics, tracing.New(exporter.Traces(), Version), func() { closeLog(); exporter.Close() }}
	if err := exporter.SendMetrics(ctx, metrics.Gatherer()); err != nil {
		o.close()
		return nil, err
	}
	return o, nil
}

// newMetrics returns the metrics, with the access log where there is one. Close it
// when no call is under way.
func newMetrics(cfg Config, log *slog.Logger) (metrics *telemetry.Metrics, closeLog func(), err error) {
	config := telemetry.Config{Version: Version, Log: log}
	if cfg.AccessLog == "" {
		return telemetry.New(config), func() {}, nil
	}
	var out io.WriteCloser = os.Stdout
	if cfg.AccessLog != stdout {
		if out, err = os.OpenFile(cfg.AccessLog, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600); err != nil {
			return nil, nil, fmt.Errorf("access-log: %w", err)
		}
	}
	config.AccessLog = telemetry.NewAccessLog(out, log)
	return telemetry.New(config), func() {
		config.AccessLog.Close()
		if cfg.AccessLog != stdout {
			_ = out.Close() // Each line was written at once.
		}
	}, nil
}

// stdout is the value of Config.AccessLog for standard output.
const stdout = "-"

// sources are asked when the metrics are scraped. secured is nil where there is no
// TLS.
func sources(svc *service.Service, store engine.Engine, secured *tls.Config) telemetry.Sources {
	s := telemetry.Sources{
		SchemaRevision:     func() string { return schema.FormatRevision(svc.Types().Revision()) },
		Storage:            func() telemetry.Storage { return storageMetrics(store.Status()) },
		FilterFailures:     filter.Failures,
		Draining:           svc.Leaving,
		EventTypes:         func() int { return len(svc.Types().Names(false)) },
		TopicNames:         svc.TopicNames,
		SubscriptionNames:  svc.SubscriptionNames,
		SubscriptionStates: svc.SubscriptionStates,
	}
	if secured != nil {
		s.CertificateExpiry = func() time.Time { return expiry(secured) }
	}
	return s
}

// expiry is when the first certificate of the server's chain ends, as it is now.
func expiry(secured *tls.Config) (ends time.Time) {
	current, err := secured.GetConfigForClient(nil)
	if err != nil {
		return time.Time{}
	}
	for _, encoded := range current.Certificates[0].Certificate {
		certificate, err := x509.ParseCertificate(encoded)
		if err == nil && (ends.IsZero() || certificate.NotAfter.Before(ends)) {
			ends = certificate.NotAfter
		}
	}
	return ends
}

func storageMetrics(s engine.Status) telemetry.Storage {
	result := telemetry.Storage{
		StoredBytes: s.StoredBytes, MaxBytes: s.MaxBytes, FreeBytes: s.FreeBytes, ReserveBytes: s.Reserve,
		Full: s.Full, Damages: s.Damages, Losses: s.Lost, Replicas: s.Replicas, NATSServers: s.Servers,
		NATSConnections: s.Connections, NATSReconnects: s.Reconnects,
	}
	if store := s.Store; store != nil {
		result.Store = &telemetry.Store{
			Tables: store.Tables, LogBytes: store.LogBytes, MemoryBytes: store.MemoryBytes, WrittenBytes: store.WrittenBytes,
			Compactions: store.Compactions, DebtBytes: store.DebtBytes, ReadAmplification: store.ReadAmplification,
			CacheHits: store.CacheHits, CacheMisses: store.CacheMisses, Syncs: telemetry.Histogram(store.Syncs),
		}
	}
	return result
}
