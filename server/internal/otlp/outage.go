package otlp

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// outage logs when sending begins to fail and when it succeeds again, and nothing in
// between.
type outage struct {
	what string
	log  *slog.Logger

	mu   sync.Mutex
	lost int // Attempts that failed, since one succeeded.
}

func (o *outage) note(ctx context.Context, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case errors.Is(err, context.Canceled): // The server ends.
	case err != nil:
		if o.lost == 0 {
			o.log.WarnContext(ctx, o.what+" can't be sent, and are dropped until they can", "error", err)
		}
		o.lost++
	case o.lost > 0:
		o.log.InfoContext(ctx, o.what+" are sent again", "failed_attempts", o.lost)
		o.lost = 0
	}
}

// spans is an exporter whose failures are logged once.
type spans struct {
	sdk.SpanExporter

	outage outage
}

func (s *spans) ExportSpans(ctx context.Context, list []sdk.ReadOnlySpan) error {
	s.outage.note(ctx, s.SpanExporter.ExportSpans(ctx, list))
	return nil
}

// points is spans for metrics.
type points struct {
	metric.Exporter

	outage outage
}

func (p *points) Export(ctx context.Context, metrics *metricdata.ResourceMetrics) error {
	p.outage.note(ctx, p.Exporter.Export(ctx, metrics))
	return nil
}

// once logs each error of the SDK once, by its text, and not more than a few dozen.
func once(log *slog.Logger) otel.ErrorHandler {
	const most = 50
	var mu sync.Mutex
	said := make(map[string]bool)
	return otel.ErrorHandlerFunc(func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if text := err.Error(); !said[text] && len(said) < most {
			said[text] = true
			log.Warn("telemetry", "error", text)
		}
	})
}
