// Package daemon is the server process: its configuration, its listeners and
// the order in which everything starts and stops.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/engine/jetstream"
	"example.com/tidings/server/internal/engine/local"
	"example.com/tidings/server/internal/guard"
	"example.com/tidings/server/internal/rpc"
	"example.com/tidings/server/internal/service"
	"example.com/tidings/server/internal/telemetry"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// Run runs the server until the context is cancelled, and then stops it: health
// says not serving, streams are told to drain, listeners close, and what is
// still under way after cfg.ShutdownTimeout is cut off. It returns nil after
// such a stop.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	roomyHeap()
	ready := readyFile{path: cfg.ReadyFile}
	if err := ready.clear(); err != nil {
		return err
	}
	buf, err := openBuf(ctx, cfg, log)
	if err != nil {
		return err
	}
	source := schemaSource{cfg.Schemas, buf}
	types, content, err := loadTypes(ctx, source)
	if err != nil {
		return err
	}
	// Addresses first: a taken port is the likeliest failure, and the cheapest
	// to find.
	listeners, err := listen(ctx, cfg)
	if err != nil {
		return err
	}
	defer listeners.close()

	store, err := openStore(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer store.Close()

	observed, err := openTelemetry(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer observed.close()
	limits, metrics := limitsOf(cfg, store), observed.metrics
	svc, err := newService(ctx, service.Config{
		Engine:     store,
		Types:      types,
		Comparer:   comparerOf(buf),
		Limits:     limits,
		Durability: durability(cfg, store.Status().Replicas),
		Version:    Version,
		Metrics:    metrics,
		Tracer:     observed.tracer,
		Log:        log,
	})
	if err != nil {
		return err
	}
	var stopBy time.Time
	defer func() { closeService(svc, stopBy) }()
	if cfg.Schemas != "" {
		if !svc.SchemasLoaded() {
			content = nil // It is judged once more, and counted.
		}
		file := &schemaFile{source: source, dataDir: cfg.DataDir, judged: content, replace: svc.ReplaceSchemas, count: metrics.SchemaReload, log: log}
		stop, err := file.follow(ctx)
		if err != nil {
			return err
		}
		defer stop()
	}
	gate, closeGate, err := openGate(ctx, cfg, metrics, log)
	if err != nil {
		return err
	}
	defer closeGate()
	gate.MaxRequestBytes, gate.Tracer = limits.MaxRequestBytes, observed.tracer
	metrics.Watch(sources(svc, store, gate.TLS))
	s := newServers(svc, gate)
	stopBy, err = s.serve(ctx, cfg, listeners.counted(metrics, cfg.MaxConnections), ready, log)
	return err
}

// besideEvent is what a request with one event, and its record, may hold besides the
// event: a topic, a key that the server fills in.
const besideEvent = 4 << 10

// limitsOf are the limits that the settings and the storage allow.
func limitsOf(cfg Config, store engine.Engine) service.Limits {
	return service.Limits{
		MaxRequestBytes:  min(cfg.MaxRequestBytes, store.MaxRecordBytes()),
		MaxEventBytes:    min(cfg.MaxEventBytes, store.MaxRecordBytes()-besideEvent),
		MaxTopics:        cfg.MaxTopics,
		MaxSubscriptions: cfg.MaxSubscriptions,

		MaxConnectionCalls: cfg.MaxConnectionCalls,
		MaxHeaderBytes:     cfg.MaxHeaderBytes,
	}
}

func openStore(ctx context.Context, cfg Config, log *slog.Logger) (engine.Engine, error) {
	if cfg.NATSURL != "" {
		return jetstream.Open(ctx, jetstream.Config{
			URL:         cfg.NATSURL,
			Credentials: cfg.NATSCredentials,
			Replicas:    cfg.Replicas,
			Log:         log,
		})
	}
	store, err := local.Open(ctx, local.Config{
		DataDir:        cfg.DataDir,
		MaxStoreBytes:  cfg.MaxStoreBytes,
		MaxRecordBytes: maxRecordBytes(cfg.MaxRequestBytes),
		Sync:           engine.Sync(cfg.Sync),
		Log:            log,
	})
	if err != nil {
		return nil, withAdvice(err)
	}
	return store, nil
}

// closeTime is what the subscriptions have at least to be given up, once no call
// is under way.
const closeTime = time.Second

func closeService(svc *service.Service, by time.Time) {
	if least := time.Now().Add(closeTime); by.Before(least) {
		by = least
	}
	ctx, cancel := context.WithDeadline(context.Background(), by)
	defer cancel()
	svc.Close(ctx)
}

// maxRecordBytes leaves room for the partition keys that the server adds to the
// events of a request.
func maxRecordBytes(maxRequestBytes int) int {
	const keys = 3 << 20 // 4,096 keys of 512 bytes, and their framing.
	return maxRequestBytes + keys
}

// durability is what a receipt means with so many copies of each topic. NATS
// acknowledges what most of them have, and leaves it to the operating system when
// it is on their disks.
func durability(cfg Config, replicas int) tidingsv1.Durability {
	switch {
	case cfg.NATSURL != "" && replicas > 1:
		return tidingsv1.Durability_DURABILITY_NODE
	case cfg.NATSURL == "" && cfg.Sync == SyncFsync:
		return tidingsv1.Durability_DURABILITY_MACHINE
	default:
		return tidingsv1.Durability_DURABILITY_PROCESS
	}
}

// listeners are the addresses of the server.
type listeners struct{ http, grpc net.Listener }

func listen(ctx context.Context, cfg Config) (listeners, error) {
	var l listeners
	var config net.ListenConfig
	var err error
	if l.http, err = config.Listen(ctx, "tcp", cfg.HTTPAddr); err != nil {
		return l, fmt.Errorf("http-addr: %w", err)
	}
	if l.grpc, err = config.Listen(ctx, "tcp", cfg.GRPCAddr); err != nil {
		l.close()
		return l, fmt.Errorf("grpc-addr: %w", err)
	}
	l.http = netutil.LimitListener(l.http, cfg.MaxConnections)
	l.grpc = netutil.LimitListener(l.grpc, cfg.MaxConnections)
	return l, nil
}

// counted returns the same listeners, whose connections are counted.
func (l listeners) counted(metrics *telemetry.Metrics, most int) listeners {
	return listeners{metrics.Listener("http", most, l.http), metrics.Listener("grpc", most, l.grpc)}
}

func (l listeners) close() {
	for _, listener := range []net.Listener{l.http, l.grpc} {
		if listener != nil {
			_ = listener.Close() // A server that served has closed it.
		}
	}
}

// servers are the servers of both transports.
type servers struct {
	service *service.Service
	health  *health.Server
	metrics *telemetry.Metrics
	grpc    *grpc.Server
	http    *http.Server
}

// newServers serves a service as cfg says, which has no service yet.
func newServers(svc *service.Service, cfg rpc.Config) *servers {
	cfg.Service, cfg.Health = svc, rpc.NewHealth()
	return &servers{service: svc, health: cfg.Health, metrics: cfg.Metrics, grpc: rpc.NewGRPCServer(cfg), http: rpc.NewHTTPServer(cfg)}
}

// serve returns when no call is under way any more, and until when the server is
// to have stopped.
func (s *servers) serve(ctx context.Context, cfg Config, l listeners, ready readyFile, log *slog.Logger) (stopBy time.Time, err error) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	failed := make(chan error, 2)
	guard.Go(func() error { return s.grpc.Serve(l.grpc) }, func(err error) {
		if err != nil {
			failed <- fmt.Errorf("grpc: %w", err)
		}
	})
	guard.Go(func() error { return s.serveHTTP(l.http) }, func(err error) {
		if !errors.Is(err, http.ErrServerClosed) {
			failed <- fmt.Errorf("http: %w", err)
		}
	})
	log.Info("serving",
		"version", Version,
		"http", l.http.Addr().String(),
		"grpc", l.grpc.Addr().String(),
		"durability", s.service.Durability().String(),
		"event_types", len(s.service.Types().Names(false)))
	if len(s.service.Types().Names(true)) == 0 {
		log.Warn("the server knows no event types, so it refuses all events: start it with --schemas, or register some")
	}
	var following guard.Group
	following.Go(func() error { rpc.FollowReadiness(ctx, s.health, s.service, s.metrics); return nil }, guard.Log(log, "following the storage"))
	err = ready.write(l)
	if err == nil {
		select {
		case <-ctx.Done():
			log.Info("stopping", "delay", cfg.ShutdownDelay, "timeout", cfg.ShutdownTimeout)
		case err = <-failed:
		}
	}
	end()
	following.Wait()
	err = errors.Join(err, ready.clear())
	if err == nil {
		err = s.leave(cfg.ShutdownDelay, failed)
	}
	stopBy = time.Now().Add(cfg.ShutdownTimeout)
	s.stop(stopBy, log)
	return stopBy, err
}

func (s *servers) serveHTTP(l net.Listener) error {
	if s.http.TLSConfig != nil {
		return s.http.ServeTLS(l, "", "")
	}
	return s.http.Serve(l)
}

// leave lets those who ask for the health of the server go elsewhere.
func (s *servers) leave(delay time.Duration, failed <-chan error) error {
	s.service.Leave()
	s.health.Shutdown()
	select {
	case <-time.After(delay):
		return nil
	case err := <-failed:
		return err
	}
}

// stop ends the servers. When it returns no call is under way.
func (s *servers) stop(by time.Time, log *slog.Logger) {
	ctx, cancel := context.WithDeadline(context.Background(), by)
	defer cancel()
	s.service.Drain()
	s.health.Shutdown()
	stopped := make(chan struct{})
	guard.Go(func() error { s.grpc.GracefulStop(); return nil }, func(error) { close(stopped) })
	if err := s.http.Shutdown(ctx); err != nil {
		log.Warn("calls cut off", "listener", "http", "error", err)
		_ = s.http.Close() // There is nothing more to do about it.
	}
	select {
	case <-stopped:
	case <-ctx.Done():
		log.Warn("calls cut off", "listener", "grpc", "error", ctx.Err())
		s.grpc.Stop()
		<-stopped
	}
}
