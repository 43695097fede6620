package jetstream_test

import (
	"log/slog"
	"testing"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/engine/enginetest"
	"example.com/tidings/server/internal/engine/jetstream"
	"example.com/tidings/server/internal/engine/jetstream/natstest"
)

func open(t *testing.T, url string, replicas int) *jetstream.Engine {
	t.Helper()
	e, err := jetstream.Open(t.Context(), jetstream.Config{URL: url, Replicas: replicas, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestSuite(t *testing.T) {
	enginetest.Run(t, func(t *testing.T) func() engine.Engine {
		url := natstest.URL(natstest.Start(t))
		return func() engine.Engine { return open(t, url, 1) }
	})
}

// What a server has acknowledged is there, however it ended.
func TestKill(t *testing.T) {
	enginetest.Kill(t,
		func(t *testing.T) string { return natstest.URL(natstest.Start(t)) },
		func(t *testing.T, url string) engine.Engine { return open(t, url, 1) })
}
