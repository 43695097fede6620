package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// tracesSuite compares servers that send traces with one that doesn't. Their collector takes
// what it gets and keeps nothing of it.
var tracesSuite = comparedSuite("traces", "measure what traces cost", func(ctx context.Context, _, _ string) ([]variant, func() error, error) {
	collector, got, closeCollector, err := collect(ctx)
	if err != nil {
		return nil, nothing, err
	}
	sampled := func(ratio string) []string {
		return []string{
			"OTEL_EXPORTER_OTLP_ENDPOINT=" + collector, "OTEL_METRICS_EXPORTER=none",
			"OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=" + ratio,
		}
	}
	return []variant{{name: "no traces"}, {name: "traces of 1 %", env: sampled("0.01")}, {name: "all traces", env: sampled("1")}}, func() error {
		closeCollector()
		if got.Load() == 0 {
			return errors.New("no traces came")
		}
		return nil
	}, nil
})

// collect starts a collector of OTLP over HTTP, and returns its URL and how many bytes
// it got.
func collect(ctx context.Context) (url string, got *atomic.Int64, closeCollector func(), err error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, nil, err
	}
	got = new(atomic.Int64)
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body) // What came of it counts.
		got.Add(n)
		w.Header().Set("Content-Type", "application/x-protobuf") // Of an empty message.
	})}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = server.Serve(listener) }() // It ends when it's closed.
	return "http://" + listener.Addr().String(), got, func() { _ = server.Close(); <-ended }, nil
}
