package daemon

import (
	"context"
	"errors"
	"time"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/service"
)

const (
	// startPatience is for how long a start is tried again where NATS fails it.
	startPatience = 30 * time.Second
	startWait     = time.Second
)

// newService makes the service. It stores schemas and topics, and with NATS a stream
// for that may have no leader just now: then it is tried again.
func newService(ctx context.Context, cfg service.Config) (*service.Service, error) {
	until := time.Now().Add(startPatience)
	for {
		svc, err := service.New(ctx, cfg)
		if err == nil || cfg.Engine.Exclusive() || !errors.Is(err, engine.ErrUnavailable) || time.Now().After(until) {
			return svc, err
		}
		cfg.Log.WarnContext(ctx, "the storage is not ready", "error", err)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(startWait):
		}
	}
}
