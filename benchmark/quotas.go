package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"
)

// quotas measures what quotas cost, and how far one caller's flood slows another.
type quotas struct {
	cfg      config
	dir      string
	binary   string
	schemas  string
	data     *dataset
	progress io.Writer
	report   *scaleReport
}

func measureQuotas(ctx context.Context, cfg config, progress io.Writer) (report *scaleReport, err error) {
	q := &quotas{cfg: cfg, progress: progress, report: newScaleReport(cfg)}
	if q.data, err = newDataset(cfg.events, cfg.batch, cfg.size); err != nil {
		return nil, err
	}
	if q.dir, err = os.MkdirTemp("", "tidings-quotas-"); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(q.dir)) }()
	if q.binary, q.schemas, err = buildServer(ctx, cfg.serverDir, q.dir, "tidings"); err != nil {
		return nil, err
	}
	for _, section := range []struct {
		name    string
		measure func(context.Context) error
	}{{"cost", q.cost}, {"fairness", q.fairness}} {
		if !cfg.rows.MatchString(section.name) {
			continue
		}
		if err := section.measure(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", section.name, err)
		}
	}
	return q.report, nil
}

// arguments are those of a server, with further ones.
func (q *quotas) arguments(name string, further ...string) []string {
	return append(serverArgs(filepath.Join(q.dir, name), q.cfg.sync, q.schemas), further...)
}

// connect starts a server with further arguments and connects to it.
func (q *quotas) connect(ctx context.Context, s *servers, name string, args ...string) (*tidings, error) {
	return connect(ctx, s, q.data, tidingsClient, name, q.binary, q.arguments(name, args...)...)
}

// metered is a server of the comparison.
type metered struct {
	*tidings

	process *process
}

// cost compares a server without quotas with one that has all of them, none of which is
// ever used up.
func (q *quotas) cost(ctx context.Context) (err error) {
	const much = "1000000000000"
	s := new(servers)
	defer func() { err = errors.Join(err, s.stop()) }()
	if s.tidings, err = q.connect(ctx, s, "plain"); err != nil {
		return err
	}
	if s.other, err = q.connect(ctx, s, "metered", "--quota-requests", much, "--quota-events", much, "--quota-bytes", much, "--quota-streams", much); err != nil {
		return err
	}
	compared := [2]metered{{s.tidings, s.processes[0]}, {s.other, s.processes[1]}}
	for _, work := range []struct {
		name    string
		callers int // 0: batches on a stream.
	}{
		{fmt.Sprintf("PublishStream, batches of %d", q.cfg.batch), 0},
		{"Publish, one event, one caller", 1},
		{fmt.Sprintf("Publish, one event, %d callers", manyCallers), manyCallers},
	} {
		var ratios, times []float64
		for run := range q.cfg.runs + 1 { // The first warms up.
			var rates, eventTimes [2]float64
			for i := range 2 {
				which := (i + run) % 2 // Neither is always the first.
				if rates[which], eventTimes[which], err = q.publish(ctx, compared[which], work.callers); err != nil {
					return fmt.Errorf("%s: %w", work.name, err)
				}
			}
			fmt.Fprintf(q.progress, "%s %-35s %9.0f/s without quotas %9.0f/s with\n", runName(run, q.cfg.runs), work.name, rates[0], rates[1])
			if run > 0 {
				ratios, times = append(ratios, rates[1]/rates[0]), append(times, eventTimes[1]/eventTimes[0])
			}
		}
		q.add("events a second with all quotas: "+work.name, ratios)
		q.add("processor time an event of the server with all quotas: "+work.name, times)
	}
	return nil
}

// publish publishes for a while, and returns the events a second and the processor time
// of the server for each, in seconds.
func (q *quotas) publish(ctx context.Context, m metered, callers int) (rate, eventTime float64, err error) {
	before, err := processorTime(m.process.Pid())
	if err != nil {
		return 0, 0, err
	}
	var events atomic.Int64
	var found sample
	if callers == 0 {
		found, err = throughput(ctx, q.cfg.duration, q.cfg.events, func(ctx context.Context) (time.Duration, error) {
			events.Add(int64(q.cfg.events))
			return m.publishEncoded(ctx)
		})
	} else {
		found, err = latency(ctx, q.cfg.duration, callers, q.cfg.events, func(ctx context.Context) (func(int) error, func() error, error) {
			call, end, err := m.publisher(ctx)
			return func(number int) error { events.Add(1); return call(number) }, end, err
		})
	}
	if err != nil {
		return 0, 0, err
	}
	after, err := processorTime(m.process.Pid())
	return found.rate, (after - before).Seconds() / float64(events.Load()), err
}

// add adds the median of ratios to the report, and their range.
func (q *quotas) add(what string, ratios []float64) {
	q.report.Rows = append(q.report.Rows, scaleRow{
		What:  what,
		Found: fmt.Sprintf("× %.2f (%.2f to %.2f)", median(ratios), slices.Min(ratios), slices.Max(ratios)),
	})
}
