package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"example.com/tidings/internal/testserver"
)

// sampling is how many traces a server takes, and sends to a collector.
type sampling struct {
	name  string
	ratio string // Empty: it isn't told of a collector.
}

// samplings are compared in the same runs. The first is what the others are compared
// with.
var samplings = []sampling{{"off", ""}, {"1 %", "0.01"}, {"100 %", "1"}}

// tracedWork is what the servers do: publishing in batches on a stream, and one event a
// call.
type tracedWork struct {
	name    string
	measure func(ctx context.Context, t *tidings, cfg config) (sample, error)
}

var tracedWorks = []tracedWork{
	{"a stream of batches", func(ctx context.Context, t *tidings, cfg config) (sample, error) {
		return throughput(ctx, cfg.duration, cfg.events, t.publishEncoded)
	}},
	{"calls of one event, one at a time", func(ctx context.Context, t *tidings, cfg config) (sample, error) {
		return latency(ctx, cfg.duration, 1, cfg.events, t.publisher)
	}},
	{fmt.Sprintf("calls of one event, %d at a time", manyCallers), func(ctx context.Context, t *tidings, cfg config) (sample, error) {
		return latency(ctx, cfg.duration, manyCallers, cfg.events, t.publisher)
	}},
}

// tracedServer is a server with its client, and what was measured of it: by work, in
// the order of the runs.
type tracedServer struct {
	*process

	client *tidings
	rates  [][]float64
	spent  [][]float64 // Processor time of the server an event, in nanoseconds.
}

// measureTraces compares servers that send traces with one that doesn't. Their collector
// takes what it gets and keeps nothing of it.
func measureTraces(ctx context.Context, cfg config, progress io.Writer) (report *scaleReport, err error) {
	data, err := newDataset(cfg.events, cfg.batch, cfg.size)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "tidings-traces-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	binary, schemas, err := buildServer(ctx, cfg.serverDir, dir, "tidings")
	if err != nil {
		return nil, err
	}
	collector, got, closeCollector, err := collect(ctx)
	if err != nil {
		return nil, err
	}
	defer closeCollector()
	var servers []*tracedServer
	stop := sync.OnceValue(func() (err error) {
		for _, s := range servers {
			err = errors.Join(err, s.client.close(), s.stop())
		}
		return err
	})
	defer func() {
		if stopped := stop(); err == nil {
			err = stopped
		}
	}()
	for i, s := range samplings {
		args := serverArgs(filepath.Join(dir, fmt.Sprintf("data-%d", i)), cfg.sync, schemas)
		started, err := s.start(ctx, data, exec.CommandContext(context.WithoutCancel(ctx), binary, args...), collector)
		if err != nil {
			return nil, err
		}
		servers = append(servers, started)
	}
	for run := range cfg.runs + 1 { // The first warms up.
		for work, w := range tracedWorks {
			for i := range servers {
				place := (i + run) % len(servers) // Each begins as often as the others.
				fmt.Fprintf(progress, "%s  traces %-6s %s\n", runName(run, cfg.runs), samplings[place].name, w.name)
				if err := servers[place].measure(ctx, cfg, work, run > 0); err != nil {
					return nil, fmt.Errorf("traces %s, %s: %w", samplings[place].name, w.name, err)
				}
			}
		}
	}
	if err := stop(); err != nil { // They send what they have still.
		return nil, err
	}
	if got.Load() == 0 {
		return nil, errors.New("no traces came")
	}
	report = newScaleReport(cfg)
	for work, w := range tracedWorks {
		for i, s := range samplings {
			report.Rows = append(report.Rows, scaleRow{
				What:  fmt.Sprintf("%s, traces %s", w.name, s.name),
				Found: servers[i].found(servers[0], work),
			})
		}
	}
	return report, nil
}

// start starts a server that sends its traces to a URL.
func (s sampling) start(ctx context.Context, data *dataset, cmd *exec.Cmd, collector string) (*tracedServer, error) {
	cmd.Env = testserver.Environ()
	if s.ratio != "" {
		cmd.Env = append(cmd.Env, "OTEL_EXPORTER_OTLP_ENDPOINT="+collector, "OTEL_METRICS_EXPORTER=none",
			"OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG="+s.ratio)
	}
	server, err := testserver.Serve(ctx, cmd)
	if err != nil {
		return nil, fmt.Errorf("start the server with traces %s: %w", s.name, err)
	}
	started := &tracedServer{process: &process{server, "tidings"}, rates: make([][]float64, len(tracedWorks)), spent: make([][]float64, len(tracedWorks))}
	if started.client, err = newTidings(server.GRPC, data); err != nil {
		return nil, errors.Join(err, started.stop())
	}
	return started, nil
}

// measure does a work, and keeps what was measured if it counts.
func (s *tracedServer) measure(ctx context.Context, cfg config, work int, counts bool) error {
	before, err := processorTime(s.Pid())
	if err != nil {
		return err
	}
	begun := time.Now()
	found, err := tracedWorks[work].measure(ctx, s.client, cfg)
	if err != nil {
		return err
	}
	events := found.rate * time.Since(begun).Seconds()
	after, err := processorTime(s.Pid())
	if counts {
		s.rates[work] = append(s.rates[work], found.rate)
		s.spent[work] = append(s.spent[work], float64(after-before)/events)
	}
	return err
}

// found says what was measured, and the ratios to another server in the same runs.
func (s *tracedServer) found(to *tracedServer, work int) string {
	return fmt.Sprintf("%s events/s, %.3f of that without; %.1f µs of the server's processor an event, %.3f",
		thousands(middle(s.rates[work])), middle(ratios(s.rates[work], to.rates[work])),
		middle(s.spent[work])/1e3, middle(ratios(s.spent[work], to.spent[work])))
}

func ratios(values, to []float64) []float64 {
	result := make([]float64, len(values))
	for i := range values {
		result[i] = values[i] / to[i]
	}
	return result
}

func middle(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

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
