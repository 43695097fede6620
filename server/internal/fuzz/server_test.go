// Package fuzz holds tests that try the whole server with random calls, schemas
// and contents. They take a few seconds; `make fuzz` gives them longer.
package fuzz

import (
	"context"
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/tidings/server/internal/daemon"
)

const (
	durationVariable = "TIDINGS_FUZZ"      // How long to fuzz, all parts together, as a duration.
	seedVariable     = "TIDINGS_FUZZ_SEED" // The seed, to repeat the choices of a run.
	shortDuration    = 6 * time.Second
	shortSeed        = 1
)

// settings says for how long to fuzz and with which seed.
func settings(t *testing.T) (duration time.Duration, seed uint64) {
	t.Helper()
	text, long := os.LookupEnv(durationVariable)
	if !long && testing.Short() {
		t.Skip("calls a server at random for as long as it is given")
	}
	if !long {
		return shortDuration, shortSeed
	}
	duration, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("%s: %v", durationVariable, err)
	}
	seed = rand.Uint64() //nolint:gosec // Not a secret.
	if text := os.Getenv(seedVariable); text != "" {
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s: %v", seedVariable, err)
		}
	}
	t.Logf("fuzzing for %v in all, seed %d", duration, seed)
	return duration, seed
}

// server is a whole server in this process, on loopback.
type server struct {
	http, grpc string
	log        *faultLog
	stop       func() error

	clients map[bool]*http.Client // By whether they speak HTTP/2.
}

// start starts a server with its data in a directory.
func start(ctx context.Context, dir string, change func(*daemon.Config)) (*server, error) {
	cfg := daemon.DefaultConfig()
	cfg.HTTPAddr, cfg.GRPCAddr = "127.0.0.1:0", "127.0.0.1:0"
	cfg.DataDir, cfg.ReadyFile = dir, filepath.Join(dir, "ready")
	cfg.MaxStoreBytes, cfg.MaxRequestBytes, cfg.MaxEventBytes = 4<<30, 1<<20, 256<<10
	cfg.ShutdownTimeout = 5 * time.Second
	change(&cfg)
	_ = os.Remove(cfg.ReadyFile)
	ctx, cancel := context.WithCancel(ctx)
	s := &server{log: &faultLog{faults: new(faults)}, clients: map[bool]*http.Client{false: newClient(false), true: newClient(true)}}
	ended := make(chan error, 1)
	go func() { ended <- daemon.Run(ctx, cfg, slog.New(s.log)) }()
	s.stop = sync.OnceValue(func() error {
		for _, client := range s.clients {
			client.CloseIdleConnections()
		}
		cancel()
		return <-ended
	})
	for tick := time.NewTicker(5 * time.Millisecond); ; {
		select {
		case err := <-ended:
			tick.Stop()
			cancel()
			return nil, err
		case <-tick.C:
		}
		var ready struct {
			HTTP string `json:"http"`
			GRPC string `json:"grpc"`
		}
		if text, err := os.ReadFile(cfg.ReadyFile); err == nil && json.Unmarshal(text, &ready) == nil {
			tick.Stop()
			s.http, s.grpc = ready.HTTP, ready.GRPC
			return s, nil
		}
	}
}

func newClient(http2 bool) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetUnencryptedHTTP2(http2)
	return &http.Client{Transport: &http.Transport{Protocols: protocols, DisableCompression: true, MaxIdleConnsPerHost: 32}}
}

// do makes a call of the server.
func (s *server) do(ctx context.Context, c *call) (*reply, error) {
	address := s.http
	if c.transport.native {
		address = s.grpc
	}
	return c.do(ctx, s.clients[c.transport.http2], address)
}

// faultLog is the log of a server, of which the faults are kept.
type faultLog struct {
	*faults

	attributes []slog.Attr
}

type faults struct {
	mu   sync.Mutex
	list []string
}

func (l *faultLog) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelError }

func (l *faultLog) Handle(_ context.Context, record slog.Record) error {
	var text strings.Builder
	text.WriteString(record.Message)
	add := func(attribute slog.Attr) bool {
		text.WriteString(" " + attribute.String())
		return true
	}
	record.Attrs(add)
	for _, attribute := range l.attributes {
		add(attribute)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, text.String())
	return nil
}

func (l *faultLog) WithAttrs(attributes []slog.Attr) slog.Handler {
	return &faultLog{l.faults, append(slices.Clip(l.attributes), attributes...)}
}

func (l *faultLog) WithGroup(string) slog.Handler { return l }

// take returns the faults since the last time.
func (l *faults) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.list
	l.list = nil
	return list
}
