package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// servers are the processes and their clients.
type servers struct {
	dir       string
	processes []*process
	raw       *rawNATS
	echo      *echoClient
	tidings   *tidings
	other     *tidings // Another build of Tidings, or nil.
}

// mainSuite measures Tidings beside its yardsticks.
var mainSuite = suite{"main", "", 1, func(ctx context.Context, cfg config, progress io.Writer) ([]row, func() error, error) {
	s, err := startBesideYardsticks(ctx, cfg, progress)
	if err != nil {
		return nil, s.stop, err
	}
	return s.rows(cfg), s.stop, nil
}}

// buildDataset builds the events, before a suite builds its servers.
func buildDataset(cfg config, progress io.Writer) (*dataset, error) {
	fmt.Fprintf(progress, "building the server and %d events\n", cfg.events)
	return newDataset(cfg.events, cfg.batch, cfg.size)
}

// startBesideYardsticks builds the events and starts the three servers. What it
// returns is to be stopped, with an error too.
func startBesideYardsticks(ctx context.Context, cfg config, progress io.Writer) (*servers, error) {
	data, err := buildDataset(cfg, progress)
	if err != nil {
		return new(servers), err
	}
	return startServers(ctx, cfg, data)
}

// startServers starts the three servers and connects to them. What it returns
// is to be stopped, with an error too.
func startServers(ctx context.Context, cfg config, data *dataset) (s *servers, err error) {
	s = new(servers)
	if s.dir, err = os.MkdirTemp("", "tidings-benchmark-"); err != nil {
		return s, err
	}
	self, err := os.Executable()
	if err != nil {
		return s, err
	}
	stream, unary := answerSizes(data)
	if s.raw, err = connect(ctx, s, data, newRawNATS, "nats", self, "nats-server", "--data-dir", filepath.Join(s.dir, "nats", "data")); err != nil {
		return s, err
	}
	if s.echo, err = connect(ctx, s, data, newEchoClient, "echo", self, "echo-server",
		"--stream-bytes", fmt.Sprint(stream), "--unary-bytes", fmt.Sprint(unary)); err != nil {
		return s, err
	}
	if s.tidings, err = startTidings(ctx, cfg, s, data, "tidings", cfg.serverDir); err == nil && cfg.otherDir != "" {
		s.other, err = startTidings(ctx, cfg, s, data, "other", cfg.otherDir)
	}
	return s, err
}

// startTidings builds a server, starts it and connects to it.
func startTidings(ctx context.Context, cfg config, s *servers, data *dataset, name, module string) (*tidings, error) {
	binary, schemas, err := buildServer(ctx, module, s.dir, name)
	if err != nil {
		return nil, err
	}
	return connect(ctx, s, data, tidingsClient, name, binary,
		serverArgs(filepath.Join(s.dir, name+"-data"), cfg.sync, schemas)...)
}

// connect starts a server and connects a client to it.
func connect[C any](ctx context.Context, s *servers, data *dataset, client func(addr string, data *dataset) (C, error),
	name, binary string, args ...string,
) (none C, err error) {
	p, err := startProcess(ctx, name, binary, args...)
	if err != nil {
		return none, err
	}
	s.processes = append(s.processes, p)
	return client(p.GRPC, data)
}

// answerSizes returns the sizes of Tidings' answers to a batch and to one event,
// which the echo server's answers have too.
func answerSizes(data *dataset) (stream, unary int) {
	receipts := make([]*tidingsv1.Receipt, data.batch)
	for i := range receipts {
		receipts[i] = &tidingsv1.Receipt{Index: int64(i), Sequence: 1000*4096 + int64(i)}
	}
	batch := &tidingsv1.PublishStreamResponse{Batch: 1000, Result: &tidingsv1.PublishStreamResponse_Published{
		Published: &tidingsv1.PublishResponse{Topic: "bench-10", Receipts: receipts},
	}}
	return proto.Size(batch), proto.Size(&tidingsv1.PublishResponse{Topic: "bench-10", Receipts: receipts[:1]})
}

// stop disconnects and ends the processes, and removes their files.
func (s *servers) stop() error {
	var failed []error
	if s.raw != nil {
		s.raw.close()
	}
	if s.echo != nil {
		failed = append(failed, s.echo.close())
	}
	for _, t := range []*tidings{s.tidings, s.other} {
		if t != nil {
			failed = append(failed, t.close())
		}
	}
	for _, p := range slices.Backward(s.processes) {
		failed = append(failed, p.stop())
	}
	if s.dir != "" {
		failed = append(failed, os.RemoveAll(s.dir))
	}
	return errors.Join(failed...)
}

const manyCallers = 64

// throughput repeats a pass over all events for a while.
func throughput(ctx context.Context, least time.Duration, events int, pass func(context.Context) (time.Duration, error)) (sample, error) {
	runtime.GC() // The garbage of the row before isn't this one's.
	var total time.Duration
	count := 0
	for total < least || count == 0 {
		elapsed, err := pass(ctx)
		if err != nil {
			return sample{}, err
		}
		total += elapsed
		count += events
	}
	return sample{rate: float64(count) / total.Seconds(), events: count}, nil
}

// opener prepares calls with one event each. The events have numbers, and none
// is used twice.
type opener func(ctx context.Context) (call func(number int) error, end func() error, err error)

// latency makes calls for a while, one at least, from a number of callers at once,
// and times each of them. It ends early where the events run out.
func latency(ctx context.Context, least time.Duration, callers, events int, open opener) (result sample, err error) {
	call, end, err := open(ctx)
	if err != nil {
		return sample{}, err
	}
	defer func() { err = errors.Join(err, end()) }()
	runtime.GC()
	var next atomic.Int64
	times, failed := make([][]time.Duration, callers), make([]error, callers)
	var group sync.WaitGroup
	begun := time.Now()
	for caller := range callers {
		group.Go(func() {
			for {
				number := int(next.Add(1)) - 1
				if number >= events {
					return
				}
				before := time.Now()
				failed[caller] = call(number)
				times[caller] = append(times[caller], time.Since(before))
				if failed[caller] != nil || time.Since(begun) >= least {
					return
				}
			}
		})
	}
	group.Wait()
	elapsed := time.Since(begun)
	if err := errors.Join(failed...); err != nil {
		return sample{}, err
	}
	sorted := slices.Sorted(slices.Values(slices.Concat(times...)))
	return sample{
		rate:   float64(len(sorted)) / elapsed.Seconds(),
		events: len(sorted),
		p50:    percentile(sorted, 0.50),
		p99:    percentile(sorted, 0.99),
		p999:   percentile(sorted, 0.999),
	}, nil
}
