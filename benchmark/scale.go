package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
)

// scale is how much there is of what a server has much of.
type scale struct {
	topics  int // Topics, and as many subscriptions.
	events  int // Events in one topic.
	streams int // Readers, and then consumers, of one topic.
	live    int // Events that all of them get.
	large   int // Records of largeRecord bytes.
	replays int // Readers of all the large records, over and over.
	stalled int // Readers of large records that don't receive.
}

// scaling is the measurements of scale. Each has a server of its own.
type scaling struct {
	cfg      config
	dir      string
	self     string
	binary   string
	schemas  string
	progress io.Writer
	report   *scaleReport
}

// measureScale measures how far one server goes.
func measureScale(ctx context.Context, cfg config, progress io.Writer) (report *scaleReport, err error) {
	s := &scaling{cfg: cfg, progress: progress, report: newScaleReport(cfg)}
	if s.dir, err = os.MkdirTemp("", "tidings-scale-"); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(s.dir)) }()
	if s.self, err = os.Executable(); err != nil {
		return nil, err
	}
	if s.binary, s.schemas, err = buildServer(ctx, cfg.serverDir, s.dir, "tidings"); err != nil {
		return nil, err
	}
	for _, section := range []struct {
		name    string
		measure func(context.Context, *scaleServer) error
	}{
		{"topics and subscriptions", s.manyTopics},
		{"events in one topic", s.manyEvents},
		{"readers of one topic", s.manyReaders},
		{"consumers of one topic", s.manyConsumers},
		{"readers that don't receive", s.stalledReaders},
		{"readers that follow large records", s.following},
		{"readers of all large records", s.replays},
	} {
		if !cfg.rows.MatchString(section.name) {
			continue
		}
		fmt.Fprintf(progress, "%s\n", section.name)
		if err := s.onServer(ctx, section.measure); err != nil {
			return nil, fmt.Errorf("%s: %w", section.name, err)
		}
	}
	return s.report, nil
}

func (s *scaling) onServer(ctx context.Context, measure func(context.Context, *scaleServer) error) (err error) {
	server := &scaleServer{scaling: s, dir: filepath.Join(s.dir, "server")}
	defer func() { err = errors.Join(err, server.stop(), os.RemoveAll(server.dir)) }()
	if _, err := server.start(ctx); err != nil {
		return err
	}
	return measure(ctx, server)
}

// foundf adds a row to the report.
func (s *scaling) foundf(what, target, format string, args ...any) {
	row := scaleRow{What: what, Found: fmt.Sprintf(format, args...), Target: target}
	fmt.Fprintf(s.progress, "  %s: %s\n", row.What, row.Found)
	s.report.Rows = append(s.report.Rows, row)
}

// scaleServer is a server with a data directory, and clients of it.
type scaleServer struct {
	*scaling
	dir     string
	process *process
	typed   *grpc.ClientConn
	conns   []*grpc.ClientConn // And others.
	number  atomic.Int64       // Of the event that was published last.
}

// start starts the server, and says how long that took.
func (s *scaleServer) start(ctx context.Context) (time.Duration, error) {
	begun := time.Now()
	process, err := startProcess(ctx, "tidings", s.binary,
		serverArgs(filepath.Join(s.dir, "data"), s.cfg.sync, s.schemas)...)
	s.process = process
	elapsed := time.Since(begun)
	if err == nil {
		s.typed, err = dial(process.GRPC)
		s.conns = append(s.conns, s.typed)
	}
	return elapsed, err
}

func (s *scaleServer) stop() error {
	var failed []error
	for _, conn := range s.conns {
		failed = append(failed, conn.Close())
	}
	s.conns = nil
	if s.process != nil {
		failed = append(failed, s.process.stop())
		s.process = nil
	}
	return errors.Join(failed...)
}

func (s *scaleServer) restart(ctx context.Context) (time.Duration, error) {
	if err := s.stop(); err != nil {
		return 0, err
	}
	return s.start(ctx)
}

// settled returns what the server takes once it has come to rest.
func (s *scaleServer) settled(ctx context.Context) (usage, error) {
	return s.process.settled(ctx, 2*s.cfg.duration)
}

// raw returns a new connection, which stop closes.
func (s *scaleServer) raw() (*grpc.ClientConn, error) {
	conn, err := dialRaw(s.process.GRPC)
	if err == nil {
		s.conns = append(s.conns, conn)
	}
	return conn, err
}

// inParallel does something count times, from a number of callers at once, until
// one fails.
func inParallel(ctx context.Context, callers, count int, do func(ctx context.Context, i int) error) (time.Duration, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var group sync.WaitGroup
	begun := time.Now()
	for range min(callers, count) {
		group.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= count {
					return
				}
				if err := do(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	group.Wait()
	return time.Since(begun), context.Cause(ctx)
}
