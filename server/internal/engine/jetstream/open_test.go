package jetstream

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/engine/jetstream/natstest"
)

// firstWrite closes said at the first line of a log.
type firstWrite struct {
	once sync.Once
	said chan struct{}

	mu  sync.Mutex
	log bytes.Buffer
}

func (w *firstWrite) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.once.Do(func() { close(w.said) })
	return w.log.Write(line)
}

// Whatever starts first, the server or NATS, they find each other.
func TestOpenBeforeNATS(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		start func(*testing.T) []*natstest.Server
	}{
		{"one", func(t *testing.T) []*natstest.Server { return []*natstest.Server{natstest.Start(t)} }},
		{"cluster", func(t *testing.T) []*natstest.Server { return natstest.Cluster(t) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			members := c.start(t)
			url := natstest.URL(members...)
			for _, member := range members {
				member.End()
			}
			log := &firstWrite{said: make(chan struct{})}
			opened := make(chan error, 1)
			go func() {
				e, err := Open(t.Context(), Config{URL: url, Replicas: len(members), Log: slog.New(slog.NewTextHandler(log, nil))})
				if err == nil {
					e.Close()
				}
				opened <- err
			}()
			select {
			case err := <-opened:
				t.Fatalf("it didn't wait: %v", err)
			case <-log.said:
			}
			for _, member := range members {
				member.Restart(t)
			}
			if err := <-opened; err != nil {
				t.Errorf("%v\n%s", err, &log.log)
			}
		})
	}
}

// What the server would be told again and again, it says at once.
func TestOpenRefused(t *testing.T) {
	t.Parallel()
	member := natstest.Start(t, func(o *server.Options) { o.Username, o.Password = "tidings", "secret" })
	for name, cfg := range map[string]Config{
		"no password":    {URL: "nats://" + member.Addr().String()},
		"no credentials": {URL: natstest.URL(member), Credentials: "missing.creds"},
		"no such scheme": {URL: "ftp://" + member.Addr().String()},
	} {
		log := &firstWrite{said: make(chan struct{})}
		cfg.Log = slog.New(slog.NewTextHandler(log, nil))
		_, err := Open(t.Context(), cfg)
		if !errors.Is(err, engine.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(log.log.String(), "not ready") {
			t.Errorf("%s: it tried again: %s", name, &log.log)
		}
	}
}
