package daemon

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/engine/local"
	"example.com/tidings/server/internal/service"

	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// leaderless is a storage whose first new topic finds nobody to store it.
type leaderless struct {
	engine.Engine

	shared bool
	asked  int
}

func (l *leaderless) Exclusive() bool { return !l.shared }

func (l *leaderless) CreateTopic(ctx context.Context, name string, config *storagev1.TopicConfig) (*engine.Topic, error) {
	l.asked++
	if l.asked == 1 {
		return nil, engine.ErrUnavailable
	}
	return l.Engine.CreateTopic(ctx, name, config)
}

// A start goes on once the storage is ready, where that may come by itself.
func TestStartWaits(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	types, _, err := loadTypes(t.Context(), schemaSource{path: "../../../examples/events/events.binpb"})
	if err != nil {
		t.Fatal(err)
	}
	for _, shared := range []bool{true, false} {
		store, err := local.Open(t.Context(), local.Config{DataDir: t.TempDir(), MaxStoreBytes: 1 << 30, MaxRecordBytes: 1 << 20, Log: log})
		if err != nil {
			t.Fatal(err)
		}
		svc, err := newService(t.Context(), service.Config{Engine: &leaderless{Engine: store, shared: shared}, Types: types, Log: log})
		switch {
		case shared && err != nil:
			t.Errorf("shared: %v", err)
		case !shared && !errors.Is(err, engine.ErrUnavailable):
			t.Errorf("not shared: %v", err)
		}
		if err == nil {
			svc.Close(t.Context())
		}
		store.Close()
	}
}
