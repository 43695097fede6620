package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"example.com/tidings/server/internal/auth"
	"example.com/tidings/server/internal/rpc"
	"example.com/tidings/server/internal/telemetry"
)

// openGate returns what says which calls both ports take, from whom and how, without
// the bound of a request. Close it when they have stopped.
func openGate(ctx context.Context, cfg Config, metrics *telemetry.Metrics, log *slog.Logger) (gate rpc.Config, closeGate func(), err error) {
	secured, err := openTLS(cfg, metrics.CertificateReload, log)
	if err != nil {
		return rpc.Config{}, nil, err
	}
	auditLog, closeAudit, err := openAudit(cfg.AuditLog)
	if err != nil {
		return rpc.Config{}, nil, err
	}
	access, closeAccess, err := openAccess(ctx, cfg, metrics, log)
	if err != nil {
		closeAudit()
		return rpc.Config{}, nil, err
	}
	return rpc.Config{
			Access: access, AuditLog: auditLog, TLS: secured,
			Quotas:         openQuotas(cfg, metrics),
			ReceiveTimeout: cfg.ReceiveTimeout,
			CheckHost:      cfg.checkHost(),
			Hosts:          cfg.hosts(),
			Origins:        cfg.corsOrigins(),

			MaxConnectionCalls: cfg.MaxConnectionCalls,
			MaxHeaderBytes:     cfg.MaxHeaderBytes,

			Metrics: metrics,
			Log:     log,
		}, func() {
			closeAccess()
			closeAudit()
		}, nil
}

// openAccess opens what says who may do what. nil: nobody is asked.
func openAccess(ctx context.Context, cfg Config, metrics *telemetry.Metrics, log *slog.Logger) (access rpc.Access, closeAccess func(), err error) {
	if cfg.AccessFile == "" {
		return nil, func() {}, nil
	}
	opened, closeAccess, err := auth.Open(ctx, cfg.AccessFile, log, metrics.AccessReload)
	if err != nil {
		return nil, nil, fmt.Errorf("access-file: %w", err)
	}
	return opened, closeAccess, nil
}

// openAudit opens the audit log. nil: there is none.
func openAudit(path string) (log *slog.Logger, closeLog func(), err error) {
	if path == "" {
		return nil, func() {}, nil
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("audit-log: %w", err)
	}
	return slog.New(slog.NewJSONHandler(file, nil)), func() { _ = file.Close() }, nil // Each entry was written at once.
}
