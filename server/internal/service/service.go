// Package service is what Tidings does: the semantics of the contract's RPCs,
// on its messages, with no transport. Every transport serves the same methods.
package service

import (
	"context"
	"log/slog"
	"sync/atomic"

	"example.com/tidings/server/internal/delivery"
	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/governance"
	"example.com/tidings/server/internal/schema"
	"example.com/tidings/server/internal/telemetry"
	"example.com/tidings/server/internal/tracing"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// Limits are what the server accepts.
type Limits struct {
	// MaxRequestBytes is the size of a request message.
	MaxRequestBytes int
	// MaxEventBytes is the size of an event.
	MaxEventBytes int
	// MaxTopics and MaxSubscriptions are how many can be created. Topics that
	// schemas name are created whatever the bound. 0: no bound.
	MaxTopics        int
	MaxSubscriptions int
	// MaxConnectionCalls and MaxHeaderBytes are what the transports accept: the calls
	// of a connection at a time, and the headers of a call.
	MaxConnectionCalls int
	MaxHeaderBytes     int
}

// Config is what New needs. Every field but Comparer, Metrics and Tracer is required.
type Config struct {
	Engine engine.Engine
	// Types are what the server is started with.
	Types *schema.Set
	// Comparer compares schemas with those in force. nil: they can't change.
	Comparer   governance.Comparer
	Limits     Limits
	Durability tidingsv1.Durability
	Version    string
	// Metrics count what the service does. nil: nobody looks at them.
	Metrics *telemetry.Metrics
	// Tracer makes the spans of what is published, delivered and settled. nil: none are
	// made.
	Tracer *tracing.Tracer
	Log    *slog.Logger
}

// Service has the methods of every RPC. It is safe for concurrent use.
type Service struct {
	engine     engine.Engine
	schemas    *governance.Schemas
	limits     Limits
	durability tidingsv1.Durability
	version    string
	metrics    *telemetry.Metrics
	tracer     *tracing.Tracer
	log        *slog.Logger
	hub        *delivery.Hub
	applying   chan struct{} // Holds who applies the topics of the schemas.
	leaving    atomic.Bool
	draining   context.Context //nolint:containedctx // It ends when the streams are to end.
	drain      <-chan struct{} // Its Done.
	startDrain context.CancelFunc
}

// New makes a service, and creates and changes topics as the types declare them.
// Where a topic can't become as it is declared, it changes nothing and returns
// a *governance.ConflictError.
func New(ctx context.Context, cfg Config) (*Service, error) {
	s := &Service{
		engine:     cfg.Engine,
		limits:     cfg.Limits,
		durability: cfg.Durability,
		version:    cfg.Version,
		metrics:    cfg.Metrics,
		tracer:     cfg.Tracer,
		log:        cfg.Log,
		applying:   make(chan struct{}, 1),
	}
	if s.metrics == nil {
		s.metrics = telemetry.New(telemetry.Config{Version: cfg.Version, Log: cfg.Log})
	}
	s.draining, s.startDrain = context.WithCancel(context.Background())
	s.drain = s.draining.Done()
	var err error
	s.schemas, err = governance.New(ctx, governance.Config{
		Engine: cfg.Engine, Base: cfg.Types, Comparer: cfg.Comparer, Admit: s.admit, Log: cfg.Log,
	})
	if err != nil {
		s.startDrain()
		return nil, err
	}
	s.hub = delivery.New(delivery.Config{Engine: cfg.Engine, Types: s.Types, TypesChanged: s.schemas.Changed, Metrics: s.metrics, Log: cfg.Log})
	if err := s.applyTopics(ctx); err != nil {
		s.Close(ctx)
		return nil, err
	}
	return s, nil
}

// Leave makes Readiness say that the server is about to stop. Nothing else
// changes: calls are served as before until those who ask have gone elsewhere.
func (s *Service) Leave() { s.leaving.Store(true) }

// Leaving reports whether Leave or Drain was called.
func (s *Service) Leaving() bool { return s.leaving.Load() || s.Draining() }

// Drain ends the streams: each tells its client, answers what it has received
// and returns SERVER_DRAINING. Other calls are not affected.
func (s *Service) Drain() { s.startDrain() }

// Close gives up the subscriptions that this server owns, as far as the context
// lasts: what isn't given up by then, other servers find out. No call may be
// under way.
func (s *Service) Close(ctx context.Context) {
	s.startDrain()
	if err := s.hub.Close(ctx); err != nil {
		s.log.WarnContext(ctx, "subscriptions not given up", "error", err)
	}
	s.schemas.Close()
}

// Durability is what a receipt means.
func (s *Service) Durability() tidingsv1.Durability { return s.durability }

// Draining reports whether Drain was called.
func (s *Service) Draining() bool {
	return s.draining.Err() != nil
}

// SchemasLoaded reports whether the types that the service was made with are in
// force. Otherwise those of the start before are.
func (s *Service) SchemasLoaded() bool { return s.schemas.Loaded() }

// Types returns the present set of event types.
func (s *Service) Types() *schema.Set { return s.schemas.Set() }
