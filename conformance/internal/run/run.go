// Package run runs the cases of the suite against a server.
package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"example.com/tidings/conformance/internal/contract"
	"example.com/tidings/conformance/internal/known"
	"example.com/tidings/conformance/internal/suite"
	"example.com/tidings/conformance/internal/wire"

	conformancev1 "example.com/tidings/conformance/gen/go/tidings/conformance/v1"
)

// Config says what to run, and against what.
type Config struct {
	// URL is the server of all transports but the native one. Empty: they aren't
	// run.
	URL string
	// GRPC is the address for the native transport. Empty: it isn't run.
	GRPC string
	// Cases are the cases to run.
	Cases []suite.Case
	// Transports are those to run them over.
	Transports []wire.Transport
	// Known are the failures that are known.
	Known known.List
	// Parallel is how many cases run at the same time. At least 1.
	Parallel int
	// Timeout is how long a step may take.
	Timeout time.Duration
	// Stop stops the server. Nil: cases that need it aren't run.
	Stop func(context.Context) error
	// Report is told each result when it is there, one at a time.
	Report func(Result)
}

// Outcome is what became of a case over a transport.
type Outcome string

const (
	Passed         Outcome = "passed"
	Failed         Outcome = "failed"
	KnownFailure   Outcome = "known-failure"   // It failed, as was known.
	UnexpectedPass Outcome = "unexpected-pass" // It was known to fail, and passed.
	NotRun         Outcome = "not-run"         // The transport or the server doesn't have what it needs.
)

// Result is what became of a case over a transport.
type Result struct {
	Case      string
	Transport string
	Outcome   Outcome
	// Reason says why it failed, why it wasn't run, or why it is known to fail.
	Reason   string
	Duration time.Duration
}

// Bad reports whether the outcome is not the expected one.
func (r Result) Bad() bool { return r.Outcome == Failed || r.Outcome == UnexpectedPass }

// ErrUnreachable says that there is no server.
var ErrUnreachable = errors.New("there is no server")

// ErrNoSchemas says that a server doesn't know the events of the suite.
var ErrNoSchemas = errors.New("the server doesn't have the schemas of the suite")

// Run runs the cases and returns the results, in no order. An error says that the
// run was given up: the server can't be reached, or the context ended.
func Run(ctx context.Context, cfg Config) ([]Result, error) {
	r := &runner{Config: cfg, conns: map[wire.Transport]wire.Conn{}}
	defer r.close()
	if err := r.connect(ctx); err != nil {
		return nil, err
	}
	var jobs, last []job
	for _, c := range cfg.Cases {
		for _, transport := range r.Transports {
			j := job{c, transport}
			if reason := r.unmet(j); reason != "" {
				r.report(Result{Case: c.Name, Transport: transport.String(), Outcome: NotRun, Reason: reason})
				continue
			}
			if needs(c, conformancev1.Feature_FEATURE_STOP) {
				last = append(last, j)
			} else {
				jobs = append(jobs, j)
			}
		}
	}
	err := r.all(ctx, jobs, cfg.Parallel, nil)
	if err == nil && len(last) > 0 {
		// They have to be under way together, for the server stops once.
		err = r.all(ctx, last, len(last), newBarrier(len(last), cfg.Stop))
	}
	return r.results, err
}

// job is a case over a transport.
type job struct {
	suite.Case

	transport wire.Transport
}

type runner struct {
	Config

	conns map[wire.Transport]wire.Conn
	// server is what the server says of itself.
	server traits

	mu      sync.Mutex
	results []Result
}

func (r *runner) report(result Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.results = append(r.results, result)
	if r.Report != nil {
		r.Report(result)
	}
}

func (r *runner) close() {
	for _, conn := range r.conns {
		conn.Close()
	}
}

// connect leaves out the transports that there is no address for, finds out that
// there is a server behind each of the others, and what it has.
func (r *runner) connect(ctx context.Context) error {
	r.Transports = slices.DeleteFunc(slices.Clone(r.Transports), func(t wire.Transport) bool {
		return t.Native && r.GRPC == "" || !t.Native && r.URL == ""
	})
	if len(r.Transports) == 0 {
		return fmt.Errorf("%w: none of the transports has an address", ErrUnreachable)
	}
	for _, transport := range r.Transports {
		if !transport.Native {
			r.conns[transport] = wire.DialHTTP(r.URL, transport)
			continue
		}
		conn, err := wire.DialNative(r.GRPC)
		if err != nil {
			return err
		}
		r.conns[transport] = conn
	}
	if err := r.alive(ctx, r.Transports...); err != nil {
		return err
	}
	if err := r.knowsEvents(ctx); err != nil {
		return err
	}
	r.server = r.learn(ctx)
	return nil
}

// alive says which transport finds no server. A server that answers something,
// even that it doesn't have the RPC, is one.
func (r *runner) alive(ctx context.Context, transports ...wire.Transport) error {
	for _, transport := range transports {
		_, err := r.ask(ctx, transport, "tidings.v1.ServerService/GetServerInfo", nil)
		failure := new(wire.CallError)
		if errors.Is(err, errTimeout) || errors.As(err, &failure) && failure.Unreachable() {
			address := r.URL
			if transport.Native {
				address = r.GRPC
			}
			return fmt.Errorf("%w at %s, over %s: %w", ErrUnreachable, address, transport, err)
		}
	}
	return nil
}

func (r *runner) ask(ctx context.Context, transport wire.Transport, rpc string, request map[string]any) (map[string]any, error) {
	found, err := contract.Find(rpc)
	if err != nil {
		return nil, err
	}
	return ask(ctx, r.conns[transport], transport, found, r.Timeout, request)
}

// knowsEvents reports whether the server knows the events of the suite, if it can
// tell: without them nearly every case would fail.
func (r *runner) knowsEvents(ctx context.Context) error {
	name := string((*conformancev1.EveryKind)(nil).ProtoReflect().Descriptor().FullName())
	_, err := r.ask(ctx, r.Transports[0], "tidings.v1.SchemaService/GetEventType", map[string]any{"name": name})
	failure := new(wire.CallError)
	if errors.As(err, &failure) && failure.Info().GetReason() == "EVENT_TYPE_NOT_FOUND" {
		return fmt.Errorf("%w: %w", ErrNoSchemas, err)
	}
	return nil
}

// all runs jobs, so many at the same time.
func (r *runner) all(ctx context.Context, jobs []job, parallel int, stop *barrier) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(parallel + 1) // One for those that run alone, beside the others.
	group.Go(func() error {
		for _, j := range jobs {
			if j.Alone {
				if err := r.one(groupCtx, j, stop); err != nil {
					return err
				}
			}
		}
		return nil
	})
	for _, j := range jobs {
		if groupCtx.Err() != nil {
			break
		}
		if !j.Alone {
			group.Go(func() error { return r.one(groupCtx, j, stop) })
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// one runs a job and reports what became of it. The error says that the whole run
// has no sense any more.
func (r *runner) one(ctx context.Context, j job, stop *barrier) error {
	begin := time.Now()
	err := r.session(ctx, j, stop)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	result := Result{Case: j.Name, Transport: j.transport.String(), Outcome: Passed, Duration: time.Since(begin)}
	entry := r.Known.Find(&j.Case, j.transport)
	switch {
	case err != nil && entry != nil:
		result.Outcome, result.Reason = KnownFailure, entry.Reason
	case err != nil:
		result.Outcome, result.Reason = Failed, err.Error()
	case entry != nil:
		result.Outcome, result.Reason = UnexpectedPass, fmt.Sprintf("it passes, and %s says that it fails: %s", entry.Place, entry.Reason)
	}
	r.report(result)
	failure := new(wire.CallError)
	if stop == nil && errors.As(err, &failure) && failure.Unreachable() {
		return r.alive(ctx, j.transport)
	}
	return nil
}

func (r *runner) session(ctx context.Context, j job, stop *barrier) error {
	s, err := newSession(j.Case, r.conns[j.transport], j.transport, r.Timeout, r.server.limits)
	if err == nil {
		s.stop = stop
		err = s.run(ctx, j.Steps)
	}
	if stop != nil && (s == nil || !s.waited) {
		stop.arrive(ctx) // Or the others would wait forever.
	}
	return err
}
