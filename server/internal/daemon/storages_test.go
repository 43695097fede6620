package daemon_test

import (
	"testing"

	"example.com/tidings/server/internal/daemon"
	"example.com/tidings/server/internal/engine/jetstream/natstest"
)

// storages are what a server can keep its events in, as settings. Each call makes
// an empty one, which is there until the test ends, however the server does.
var storages = map[string]func(*testing.T, *daemon.Config){
	"local": func(t *testing.T, cfg *daemon.Config) {
		t.Helper()
		cfg.DataDir = t.TempDir()
	},
	"nats": func(t *testing.T, cfg *daemon.Config) {
		t.Helper()
		cfg.DataDir, cfg.NATSURL = "", natstest.URL(outside(t))
	},
}

// onEach runs a test with each storage.
func onEach(t *testing.T, test func(t *testing.T, storage string)) {
	t.Helper()
	t.Parallel()
	for storage := range storages {
		t.Run(storage, func(t *testing.T) {
			t.Parallel()
			test(t, storage)
		})
	}
}
