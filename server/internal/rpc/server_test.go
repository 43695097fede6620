package rpc_test

import (
	"context"
	"flag"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"

	"example.com/tidings/server/internal/auth"
	"example.com/tidings/server/internal/compat"
	"example.com/tidings/server/internal/compat/buftest"
	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/engine/local"
	"example.com/tidings/server/internal/governance"
	"example.com/tidings/server/internal/rpc"
	"example.com/tidings/server/internal/schema"
	"example.com/tidings/server/internal/service"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// The limits of the servers under test: small, so that reaching them is cheap.
const (
	testRequestBytes   = 2 << 20
	testEventBytes     = 64 << 10
	testReceiveTimeout = 30 * time.Second
	// testRecordRoom is what partition keys may add to a request's record.
	testRecordRoom = 3 << 20
)

// server is a whole server in this process, on loopback.
type server struct {
	service  *service.Service
	health   *health.Server
	httpAddr string
	grpcAddr string
	log      *syncBuffer
	close    func()

	// Of its access file, where it has one: refused is how often a new content was.
	access  *auth.Access
	refused *atomic.Int64
}

// start starts a server with its data in a directory. With -short it compares no
// schemas.
func start(ctx context.Context, dir string) (*server, error) {
	if testing.Short() {
		return startWith(ctx, dir, nil)
	}
	path, err := buftest.Path()
	if err != nil {
		return nil, err
	}
	comparer, err := compat.New(ctx, path)
	if err != nil {
		return nil, err
	}
	return startWith(ctx, dir, comparer)
}

// startWith starts a server that compares schemas so, or, with nil, not at all.
func startWith(ctx context.Context, dir string, comparer governance.Comparer, settings ...func(*rpc.Config)) (*server, error) {
	image, err := os.ReadFile("../../../examples/events/events.binpb")
	if err != nil {
		return nil, err
	}
	types, err := schema.Parse(image)
	if err != nil {
		return nil, err
	}
	return startTypes(ctx, dir, comparer, types, settings...)
}

// startTypes is startWith for a server with these types.
func startTypes(ctx context.Context, dir string, comparer governance.Comparer, types *schema.Set, settings ...func(*rpc.Config)) (*server, error) {
	s := &server{health: rpc.NewHealth(), log: new(syncBuffer)}
	log := slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	store, err := local.Open(ctx, local.Config{
		DataDir:        dir,
		MaxStoreBytes:  8 << 30,
		MaxRecordBytes: testRequestBytes + testRecordRoom,
		Sync:           engine.SyncWritten,
		Log:            log,
	})
	if err != nil {
		return nil, err
	}
	config := rpc.Config{Health: s.health, MaxRequestBytes: testRequestBytes, ReceiveTimeout: testReceiveTimeout, MaxConnectionCalls: 250, MaxHeaderBytes: 64 << 10, Log: log}
	for _, set := range settings {
		set(&config)
	}
	s.service, err = service.New(ctx, service.Config{
		Engine:     store,
		Types:      types,
		Comparer:   comparer,
		Limits:     service.Limits{MaxRequestBytes: testRequestBytes, MaxEventBytes: testEventBytes},
		Durability: tidingsv1.Durability_DURABILITY_PROCESS,
		Version:    "1.2.3-test",
		Metrics:    config.Metrics,
		Tracer:     config.Tracer,
		Log:        log,
	})
	if err != nil {
		store.Close()
		return nil, err
	}
	config.Service = s.service
	grpcServer, httpServer := rpc.NewGRPCServer(config), rpc.NewHTTPServer(config)
	var ended sync.WaitGroup
	if s.grpcAddr, err = listen(ctx, &ended, grpcServer.Serve); err != nil {
		s.service.Close(ctx)
		store.Close()
		return nil, err
	}
	if s.httpAddr, err = listen(ctx, &ended, httpServer.Serve); err != nil {
		grpcServer.Stop()
		s.service.Close(ctx)
		store.Close()
		return nil, err
	}
	s.close = func() {
		stop(grpcServer, httpServer)
		ended.Wait()
		s.service.Close(context.Background())
		store.Close()
	}
	return s, nil
}

func listen(ctx context.Context, ended *sync.WaitGroup, serve func(net.Listener) error) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	ended.Go(func() { _ = serve(listener) })
	return listener.Addr().String(), nil
}

func stop(grpcServer *grpc.Server, httpServer *http.Server) {
	grpcServer.Stop()
	_ = httpServer.Close()
}

// newServer starts a server for one test.
func newServer(t *testing.T) *server {
	t.Helper()
	s, err := start(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

// shared is the server of the tests that leave it as they found it. They run
// at the same time, each on topics of its own.
var shared *server

func TestMain(m *testing.M) {
	flag.Parse()
	// The tests wait, for seconds to pass, more than they compute.
	if err := flag.Set("test.parallel", "24"); err != nil {
		panic(err)
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "tidings-rpc-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir) //nolint:errcheck // A temporary directory.
		// It compiles for minutes, which start has no time for.
		if !testing.Short() {
			if _, err := buftest.Path(); err != nil {
				panic(err)
			}
		}
		registerEvolving()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if shared, err = start(ctx, dir); err != nil {
			panic(err)
		}
		defer shared.close()
		return heard.complete(wire.complete(m.Run()))
	}())
}

// syncBuffer collects a server's log.
type syncBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

var _ io.Writer = (*syncBuffer)(nil)

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
