package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// row is a line of a table: a workload, and the yardstick that it is compared
// with.
type row struct {
	name    string
	section string
	against string // The name of the yardstick's row. Its own: it is one.
	measure func(ctx context.Context, least time.Duration) (sample, error)
}

// sample is what one measurement found.
type sample struct {
	rate     float64 // Events a second.
	p50, p99 time.Duration
}

// servers are the processes and their clients.
type servers struct {
	dir       string
	processes []*process
	raw       *rawNATS
	echo      *echoClient
	tidings   *tidings
	other     *tidings // Another build of Tidings, or nil.
}

// benchmark measures every row in every run and returns the medians.
func benchmark(ctx context.Context, cfg config, progress io.Writer) (report *report, err error) {
	fmt.Fprintf(progress, "building the server and %d events\n", cfg.events)
	data, err := newDataset(cfg.events, cfg.batch, cfg.size)
	if err != nil {
		return nil, err
	}
	s, err := startServers(ctx, cfg, data)
	defer func() { err = errors.Join(err, s.stop()) }()
	if err != nil {
		return nil, err
	}
	rows := s.rows(cfg)
	report = newReport(cfg, rows)
	// The first run warms up and isn't kept.
	for run := range cfg.runs + 1 {
		least := cfg.duration
		if run == 0 {
			least /= 4
		}
		samples := make(map[string]sample, len(rows))
		for i, row := range rows {
			fmt.Fprintf(progress, "%s %2d/%d  %-45s", runName(run, cfg.runs), i+1, len(rows), row.name)
			found, err := row.measure(ctx, least)
			if err != nil {
				fmt.Fprintln(progress)
				return nil, fmt.Errorf("%s: %w", row.name, err)
			}
			fmt.Fprintf(progress, " %9.0f/s\n", found.rate)
			samples[row.name] = found
		}
		if run > 0 {
			report.add(samples)
		}
	}
	return report, nil
}

func runName(run, runs int) string {
	if run == 0 {
		return "warm-up"
	}
	return fmt.Sprintf("run %d/%d", run, runs)
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
	return connect(ctx, s, data, newTidings, name, binary,
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

// The sections of the report.
const (
	publishing = "Publish"
	checking   = "Publish what the server checks less"
	reading    = "Read"
	consuming  = "Consume and acknowledge"
	alone      = "One event a call, one caller"
	together   = "One event a call, 64 callers"
)

func (s *servers) rows(cfg config) []row {
	moves := func(section, name, against string, pass func(context.Context) (time.Duration, error)) row {
		return row{name, section, against, func(ctx context.Context, least time.Duration) (sample, error) {
			return throughput(ctx, least, cfg.events, pass)
		}}
	}
	calls := func(section, name, against string, callers int, open opener) row {
		return row{name, section, against, func(ctx context.Context, least time.Duration) (sample, error) {
			return latency(ctx, least, callers, cfg.events, open)
		}}
	}
	const rawPublish, rawRead, rawConsume, rawAlone, rawTogether = "raw NATS, a message an event", "raw NATS, read a message an event",
		"raw NATS, pull and ack a message an event", "raw NATS, one caller", "raw NATS, 64 callers"
	batches := fmt.Sprintf("batches of %d", cfg.batch)
	of := func(t *tidings, name string) []row {
		return []row{
			moves(publishing, name+", pre-encoded, "+batches, rawPublish, t.publishEncoded),
			moves(publishing, name+", generated client, "+batches, rawPublish, t.publishTyped),
			moves(publishing, name+", client.Publisher, "+batches, rawPublish, t.publishClient),
			moves(reading, name+", read without decoding", rawRead, t.readEncoded),
			moves(reading, name+", read with the generated client", rawRead, t.readTyped),
			moves(consuming, name+", consume and ack without decoding", rawConsume, t.consumeEncoded),
			moves(consuming, name+", consume and ack with the generated client", rawConsume, t.consumeTyped),
			calls(alone, name+" Publish, one caller", rawAlone, 1, t.publisher),
			calls(together, name+" Publish, 64 callers", rawTogether, manyCallers, t.publisher),
			calls(together, name+" client.Publisher, 64 callers", rawTogether, manyCallers, t.sharedPublisher),
		}
	}
	rows := []row{
		moves(publishing, rawPublish, rawPublish, s.raw.publishSingle),
		moves(publishing, "raw NATS, packed by its client, "+batches, rawPublish, s.raw.publishPacked),
		moves(publishing, "echo over gRPC, no storage, "+batches, rawPublish, s.echo.stream),
		moves(reading, rawRead, rawRead, s.raw.readSingle),
		moves(reading, "raw NATS, packed, taken apart by its client", rawRead, s.raw.readPacked),
		moves(consuming, rawConsume, rawConsume, s.raw.consumeSingle),
		calls(alone, rawAlone, rawAlone, 1, s.raw.publisher),
		calls(alone, "echo over gRPC, one caller", rawAlone, 1, s.echo.caller),
		calls(together, rawTogether, rawTogether, manyCallers, s.raw.publisher),
		calls(together, "echo over gRPC, 64 callers", rawTogether, manyCallers, s.echo.caller),
	}
	rows = append(rows, of(s.tidings, "Tidings")...)
	const checked = "orders, with all their rules"
	rows = append(rows,
		moves(checking, checked, checked, s.tidings.publishEncoded),
		moves(checking, "orders, their type without rules", checked, s.tidings.publishBare),
		moves(checking, "orders as bytes in one field", checked, s.tidings.publishBytes))
	if s.other != nil {
		rows = append(rows, of(s.other, "the other Tidings")...)
	}
	rows = chosen(rows, cfg.rows)
	// What is compared is measured close together.
	order := []string{publishing, checking, reading, consuming, alone, together}
	slices.SortStableFunc(rows, func(a, b row) int {
		return slices.Index(order, a.section) - slices.Index(order, b.section)
	})
	return rows
}

// chosen returns the rows whose name matches, and their yardsticks.
func chosen(rows []row, pattern *regexp.Regexp) []row {
	needed := make(map[string]bool)
	for _, row := range rows {
		if pattern.MatchString(row.name) {
			needed[row.name], needed[row.against] = true, true
		}
	}
	return slices.DeleteFunc(rows, func(r row) bool { return !needed[r.name] })
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
	return sample{rate: float64(count) / total.Seconds()}, nil
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
		rate: float64(len(sorted)) / elapsed.Seconds(),
		p50:  percentile(sorted, 0.50),
		p99:  percentile(sorted, 0.99),
	}, nil
}
