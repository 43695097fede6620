package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// The callers of the measurement of fairness: one publishes steadily and has no quota,
// the other has one and floods the server at a multiple of it, from a process of its
// own.
const (
	calmCaller    = "calm"
	floodCaller   = "flood"
	floodQuota    = 200 // Requests, and events, a second.
	floodMultiple = 10
	// calmCallers publish an event each in calmInterval.
	calmCallers  = 4
	calmInterval = 10 * time.Millisecond
)

// fairness is the measurement of how far one caller's flood slows another.
type fairness struct {
	cfg      config
	dir      string
	binary   string
	data     *dataset
	progress io.Writer
}

// measureFairness compares how long one caller's calls take while another stays within its
// quota, and while it floods the server, with how long they take alone.
func measureFairness(ctx context.Context, cfg config, progress io.Writer) (report *scaleReport, err error) {
	f := &fairness{cfg: cfg, progress: progress}
	if f.data, err = buildDataset(cfg, progress); err != nil {
		return nil, err
	}
	if f.dir, err = os.MkdirTemp("", "tidings-fairness-"); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(f.dir)) }()
	var schemas string
	if f.binary, schemas, err = buildServer(ctx, cfg.serverDir, f.dir, "tidings"); err != nil {
		return nil, err
	}
	report = newScaleReport(cfg)
	report.Rows, err = f.rows(ctx, schemas)
	return report, err
}

func (f *fairness) rows(ctx context.Context, schemas string) (rows []scaleRow, err error) {
	access, err := f.access(ctx)
	if err != nil {
		return nil, err
	}
	p, err := startProcess(ctx, "shared", f.binary, append(serverArgs(filepath.Join(f.dir, "data"), f.cfg.sync, schemas), "--access-file", access)...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	conn, err := f.dial(p.GRPC, calmCaller)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	topics := tidingsv1.NewTopicServiceClient(conn)
	for _, name := range []string{calmCaller, floodCaller} {
		if _, err := topics.CreateTopic(ctx, &tidingsv1.CreateTopicRequest{Topic: &tidingsv1.Topic{Name: name}}); err != nil {
			return nil, err
		}
	}
	phases := []*phase{
		{name: "alone"},
		{name: "beside one within its quota", kind: floodCalls, multiple: 1},
		{name: fmt.Sprintf("beside one at %d times its quota, by calls", floodMultiple), kind: floodCalls, multiple: floodMultiple},
		{name: fmt.Sprintf("beside one at %d times its quota, on a stream", floodMultiple), kind: floodStream, multiple: floodMultiple},
	}
	for run := range f.cfg.runs + 1 { // The first warms up.
		for i := range phases {
			phase := phases[(i+run)%len(phases)] // None is always the first.
			times, err := f.during(ctx, p.GRPC, conn, phase, run*len(phases)+i)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", phase.name, err)
			}
			if run > 0 {
				phase.p50s, phase.p99s = append(phase.p50s, percentile(times, 0.50)), append(phase.p99s, percentile(times, 0.99))
			}
		}
	}
	for _, phase := range phases {
		row := scaleRow{
			What:  "one event a call, p50 and p99, " + phase.name,
			Found: fmt.Sprintf("%.2f, %.1f ms", milliseconds(median(phase.p50s)), milliseconds(median(phase.p99s))),
		}
		if phase.kind != "" {
			row.Found += fmt.Sprintf("; × %.2f, × %.2f", median(phase.p50s).Seconds()/median(phases[0].p50s).Seconds(),
				median(phase.p99s).Seconds()/median(phases[0].p99s).Seconds())
		}
		if phase.multiple > 1 {
			row.Target = "p99 at most × 1.20"
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// phase is what the other caller does meanwhile: it publishes a multiple of its quota.
type phase struct {
	name, kind string
	multiple   int
	p50s, p99s []time.Duration // Of each run.
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// during publishes steadily while the other does what it does.
func (f *fairness) during(ctx context.Context, address string, conn *grpc.ClientConn, p *phase, round int) (times []time.Duration, err error) {
	said := ""
	if p.kind != "" {
		stop, err := f.flood(ctx, address, p.kind, p.multiple)
		if err != nil {
			return nil, err
		}
		// What it may use at once is used up by then.
		if err = sleepUntil(ctx, time.Now().Add(time.Second)); err == nil {
			times, err = f.calm(ctx, conn, round)
		}
		var ended error
		said, ended = stop()
		err = errors.Join(err, ended)
		if err != nil {
			return nil, err
		}
	} else if times, err = f.calm(ctx, conn, round); err != nil {
		return nil, err
	}
	slices.Sort(times)
	fmt.Fprintf(f.progress, "%-45s p99 %7.1f ms %s\n", p.name, milliseconds(percentile(times, 0.99)), said)
	return times, nil
}

// access writes an access file with a key for each caller.
func (f *fairness) access(ctx context.Context) (path string, err error) {
	for _, name := range []string{calmCaller, floodCaller} {
		key, err := exec.CommandContext(ctx, f.binary, "key", "create", name, "--file", filepath.Join(f.dir, "keys.yaml")).Output()
		if err != nil {
			return "", fmt.Errorf("key create: %w", err)
		}
		if err := os.WriteFile(f.keyOf(name), key, 0o600); err != nil {
			return "", err
		}
	}
	path = filepath.Join(f.dir, "access.yaml")
	return path, os.WriteFile(path, fmt.Appendf(nil, `api_keys: keys.yaml
grants:
- {principals: ["key:*"], roles: [admin]}
quotas:
- {principals: ["key:%s"], requests_per_second: %d, events_per_second: %d}
`, floodCaller, floodQuota, floodQuota), 0o600)
}

func (f *fairness) keyOf(name string) string { return filepath.Join(f.dir, name+".key") }

func (f *fairness) dial(address, name string) (*grpc.ClientConn, error) {
	return dialWithKey(address, f.keyOf(name))
}

// calm publishes steadily. Each time is from when the call was due.
func (f *fairness) calm(ctx context.Context, conn *grpc.ClientConn, round int) ([]time.Duration, error) {
	client := tidingsv1.NewPublisherServiceClient(conn)
	times, failed := make([][]time.Duration, calmCallers), make([]error, calmCallers)
	begun := time.Now()
	calls := max(1, int(f.cfg.duration/calmInterval))
	var group sync.WaitGroup
	for caller := range calmCallers {
		group.Go(func() {
			offset := calmInterval / calmCallers * time.Duration(caller)
			for i := range calls {
				due := begun.Add(offset + time.Duration(i)*calmInterval)
				if failed[caller] = sleepUntil(ctx, due); failed[caller] != nil {
					return
				}
				event := f.data.events[(i*calmCallers+caller)%len(f.data.events)]
				_, failed[caller] = client.Publish(ctx, &tidingsv1.PublishRequest{
					Topic: calmCaller, RequestId: fmt.Sprint(round, "-", caller, "-", i), Events: []*tidingsv1.Event{event},
				})
				if failed[caller] != nil {
					return
				}
				times[caller] = append(times[caller], time.Since(due))
			}
		})
	}
	group.Wait()
	return slices.Concat(times...), errors.Join(failed...)
}

func sleepUntil(ctx context.Context, at time.Time) error {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// flood starts a process that floods a server. stop ends it and returns what it says of
// its calls.
func (f *fairness) flood(ctx context.Context, address, kind string, multiple int) (stop func() (string, error), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, floodPeer, address, f.keyOf(floodCaller), kind, fmt.Sprint(multiple*floodQuota))
	cmd.Stderr = os.Stderr
	var said strings.Builder
	cmd.Stdout = &said
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() (string, error) {
		err := errors.Join(input.Close(), cmd.Wait())
		return strings.TrimSpace(said.String()), err
	}, nil
}

func dialWithKey(address, keyFile string) (*grpc.ClientConn, error) {
	key, err := credentialIn(keyFile)
	if err != nil {
		return nil, err
	}
	return dial(address, key...)
}
