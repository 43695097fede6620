package engine

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"golang.org/x/sys/unix"
)

const (
	// maxPending bounds what waits for the in-process connection. It has to be
	// above the largest record.
	maxPending = 256 << 20
	// maxMemory bounds memory storage, which only consumers' state uses.
	maxMemory = 256 << 20
)

// startEmbedded starts a NATS server that listens nowhere.
func startEmbedded(ctx context.Context, cfg Config) (*server.Server, error) {
	maxStore := cfg.MaxStoreBytes
	if maxStore == 0 {
		var volume unix.Statfs_t
		if err := unix.Statfs(cfg.DataDir, &volume); err != nil {
			return nil, fmt.Errorf("data directory: %w", err)
		}
		maxStore = int64(volume.Bavail) * int64(volume.Bsize) / 4 * 3 //nolint:unconvert // The types differ between systems.
	}
	options := &server.Options{
		ServerName:         "tidings",
		DontListen:         true,
		NoSigs:             true,
		JetStream:          true,
		StoreDir:           cfg.DataDir,
		JetStreamMaxStore:  maxStore,
		JetStreamMaxMemory: maxMemory,
		MaxPayload:         int32(cfg.MaxRecordBytes + headerBytes),
		MaxPending:         maxPending,
		SyncAlways:         cfg.Sync == SyncFsync && !groupSync,
	}
	nats, err := server.NewServer(options)
	if err != nil {
		return nil, fmt.Errorf("embedded NATS: %w", err)
	}
	nats.SetLoggerV2(&natsLog{cfg.Log.With("component", "nats")}, false, false, false)
	nats.Start()
	deadline, _ := ctx.Deadline()
	if !nats.ReadyForConnections(time.Until(deadline)) {
		nats.Shutdown()
		return nil, fmt.Errorf("embedded NATS: %w: not ready within %s", ErrUnavailable, openTimeout)
	}
	if !nats.JetStreamEnabled() {
		nats.Shutdown()
		return nil, fmt.Errorf("embedded NATS: %w: JetStream didn't start", ErrUnavailable)
	}
	return nats, nil
}

// natsLog passes what the embedded server says on. Its notices are about
// itself and go to the debug level.
type natsLog struct{ *slog.Logger }

func (l *natsLog) Noticef(format string, v ...any) { l.Debug(fmt.Sprintf(format, v...)) }
func (l *natsLog) Warnf(format string, v ...any)   { l.Warn(fmt.Sprintf(format, v...)) }
func (l *natsLog) Fatalf(format string, v ...any)  { l.Error(fmt.Sprintf(format, v...)) }
func (l *natsLog) Errorf(format string, v ...any)  { l.Error(fmt.Sprintf(format, v...)) }
func (l *natsLog) Debugf(format string, v ...any)  { l.Debug(fmt.Sprintf(format, v...)) }
func (l *natsLog) Tracef(format string, v ...any)  { l.Debug(fmt.Sprintf(format, v...)) }
