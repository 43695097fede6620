// Package jetstream is the storage of a cluster: it keeps topics and
// subscriptions in NATS JetStream.
//
// A topic is a stream and an entry in a key-value bucket, which holds its
// configuration. A record is a message of the stream. A subscription is an
// entry in another bucket, a stream for its journal and one for its dead
// letters. What records, journals and dead letters contain is their caller's
// affair, except that the events of a record can be counted.
package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/eventlog"
	"example.com/tidings/server/internal/guard"

	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// Config says where JetStream is.
type Config struct {
	// URL is the address of a NATS server, or those of several, with commas
	// between them.
	URL string
	// Credentials is a file of NATS credentials for URL. Empty: none.
	Credentials string
	// Replicas is the number of copies of each stream, where there aren't more
	// already. 0 is 1.
	Replicas int
	// Log takes what NATS says. Required.
	Log *slog.Logger

	homeAfter time.Duration // See home. 0: as usual.
}

// Engine is an open JetStream.
type Engine struct {
	log *slog.Logger
	// replicas is the number of copies of a new stream.
	replicas     atomic.Int64
	maxConsumers int
	// What is read can't hold up what is written, or both what servers ask each
	// other.
	reads, writes, asks *link
	homes               guard.Group

	topics        *registry[*storagev1.TopicConfig]
	subscriptions *registry[*storagev1.SubscriptionConfig]
	schemas       *schemas
	types         *types

	appends  guard.Group
	leaders  leaders
	inFlight *semaphore.Weighted // The bytes of the appends under way.
	atomics  chan struct{}
	ahead    *semaphore.Weighted // The bytes that readers have fetched.
	refused  atomic.Int64        // When an append was last refused for want of room, in nanoseconds.
}

// nameOfWrites is the name of the connection for what is written.
const nameOfWrites = "writes"

var _ engine.Engine = (*Engine)(nil)

const (
	// openPatience is the time after which opening fails if nothing happens.
	openPatience = 30 * time.Second
	// openWait is the time between attempts to open.
	openWait = time.Second
	// maxInFlight bounds the appends that wait for an answer, as
	// engine.MaxBytesUnderWay does. JetStream drops messages of a stream past 100,000
	// or 128 MB.
	maxInFlight = 4096
	// maxAtomics bounds the atomic appends under way: JetStream refuses more
	// than 50 of a stream.
	maxAtomics = 32
	// headerBytes is allowed for the headers of a message.
	headerBytes = 1024
)

// Open connects to JetStream, waits until it is ready, and brings every topic's
// stream in line with its configuration. That takes as long as it makes progress.
func Open(ctx context.Context, cfg Config) (*Engine, error) {
	e := &Engine{
		log:      cfg.Log,
		inFlight: semaphore.NewWeighted(engine.MaxBytesUnderWay),
		atomics:  make(chan struct{}, maxAtomics),
		ahead:    semaphore.NewWeighted(maxBytesAhead),
	}
	e.replicas.Store(int64(max(cfg.Replicas, 1)))
	open, progress, cancel := patient(ctx, openPatience)
	defer cancel()
	err := e.open(open, progress, cfg)
	if err == nil {
		return e, nil
	}
	e.Close()
	if open.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w: NATS is not ready after %s: %v", engine.ErrUnavailable, openPatience, err) //nolint:errorlint // It is this one alone.
	}
	return nil, translate(ctx, err)
}

// patient returns a context that ends once progress hasn't been called for a
// while.
func patient(ctx context.Context, patience time.Duration) (patient context.Context, progress, cancel func()) {
	patient, end := context.WithCancel(ctx)
	timer := time.AfterFunc(patience, end)
	return patient, func() { timer.Reset(patience) }, func() { timer.Stop(); end() }
}

func (e *Engine) open(ctx context.Context, progress func(), cfg Config) (err error) {
	for name, l := range map[string]**link{"reads": &e.reads, nameOfWrites: &e.writes, "asks": &e.asks} {
		err := e.insist(ctx, "connecting", func(context.Context) (err error) {
			*l, err = connect(cfg, name)
			return err
		})
		if err != nil {
			return err
		}
		e.homes.Go(func() error {
			return (*l).home.keep(func() { e.goHome(*l) })
		}, guard.Log(e.log, "keeping a connection to NATS"))
	}
	if err := e.insist(ctx, "account", e.learn); err != nil {
		return err
	}
	progress()
	if e.topics, err = openTopics(ctx, e, progress); err != nil {
		return err
	}
	if e.subscriptions, err = openSubscriptions(ctx, e, progress); err != nil {
		return err
	}
	if e.schemas, err = openSchemas(ctx, e, progress); err != nil {
		return err
	}
	e.types, err = openTypes(ctx, e)
	return err
}

// insist calls a step of opening until it succeeds, its error is one that lasts, or
// ctx ends: NATS that starts refuses connections, and a cluster that forms answers
// nothing, or that it is not available. It doesn't answer later what it was asked
// before, so each call is bounded.
func (e *Engine) insist(ctx context.Context, what string, step func(context.Context) error) error {
	for {
		attempt, cancel := context.WithTimeout(ctx, attemptTimeout)
		err := step(attempt)
		cancel()
		if err != nil {
			err = fmt.Errorf("%s: %w", what, err)
		}
		if _, lasts := errors.AsType[lasting](err); err == nil || lasts || ctx.Err() != nil {
			return err
		}
		e.log.Warn("NATS is not ready", "error", err)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(openWait):
		}
	}
}

// Features implements engine.Engine.
func (e *Engine) Features() engine.Features {
	return engine.Features{FirstSequence: eventlog.MaxEvents, MaxEach: maxAtomic}
}

// MaxRecordBytes implements engine.Engine.
func (e *Engine) MaxRecordBytes() int {
	return int(e.writes.conn.MaxPayload()) - headerBytes
}

// Status implements engine.Engine.
func (e *Engine) Status() engine.Status {
	status := engine.Status{Replicas: int(e.replicas.Load()), Full: e.full()}
	status.Connections = make(map[string]bool)
	for _, l := range []*link{e.reads, e.writes, e.asks} {
		status.Connections[l.name] = l.conn.IsConnected()
		status.Reconnects += int64(l.conn.Stats().Reconnects)
		if name := l.conn.ConnectedServerName(); name != "" {
			status.Servers = append(status.Servers, name)
		}
	}
	slices.Sort(status.Servers)
	status.Servers = slices.Compact(status.Servers)
	return status
}

// Close implements engine.Engine.
func (e *Engine) Close() {
	e.appends.Wait()
	e.leaders.watching.Wait()
	if e.schemas != nil {
		e.schemas.entries.close()
	}
	if e.subscriptions != nil {
		e.subscriptions.entries.close()
	}
	if e.topics != nil {
		e.topics.entries.close()
	}
	for _, l := range []*link{e.reads, e.writes, e.asks} {
		l.close()
	}
	e.homes.Wait()
}

// Exclusive implements engine.Owners.
func (e *Engine) Exclusive() bool { return false }

// learn asks JetStream what it allows.
func (e *Engine) learn(ctx context.Context) error {
	var account struct {
		answer
		Limits struct {
			MaxConsumers int `json:"max_consumers"`
		} `json:"limits"`
		Tiers map[string]any `json:"tiers"`
	}
	if err := e.asks.query(ctx, "INFO", nil, &account); err != nil {
		return err
	}
	e.maxConsumers = maxConsumers
	if account.Limits.MaxConsumers > 0 || len(account.Tiers) > 0 {
		e.maxConsumers = -1 // The account has a bound, and a stream may not have a higher one.
	}
	return nil
}

// maxConsumers is that of a stream: without a number, NATS takes 1,000.
const maxConsumers = 1 << 20
