package daemon

import (
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
)

// RedactedNATSURL is NATSURL without what it holds of user names, passwords and
// tokens.
func (c Config) RedactedNATSURL() string {
	if c.NATSURL == "" {
		return ""
	}
	servers := strings.Split(c.NATSURL, ",")
	for i, server := range servers {
		u, err := url.Parse(strings.TrimSpace(server))
		switch {
		case err != nil || u.Host == "":
			servers[i] = "(not a URL)"
		case u.User != nil:
			// A NATS token stands where other URLs have the user name, so that
			// hides too.
			u.User = url.User("redacted")
			servers[i] = u.String()
		}
	}
	return strings.Join(servers, ",")
}

// String shows the settings without secrets.
func (c Config) String() string { return c.LogValue().String() }

// LogValue shows the settings without secrets.
func (c Config) LogValue() slog.Value {
	c.NATSURL = c.RedactedNATSURL()
	dir, err := filepath.Abs(c.DataDir)
	if err != nil {
		dir = c.DataDir
	}
	return slog.GroupValue(
		slog.String("http-addr", c.HTTPAddr), slog.String("grpc-addr", c.GRPCAddr),
		slog.Bool("insecure", c.Insecure), slog.String("hosts", c.Hosts), slog.String("cors-origins", c.CORSOrigins),
		slog.Int("max-connection-calls", c.MaxConnectionCalls), slog.Int("max-header-bytes", c.MaxHeaderBytes),
		slog.Any("quota", c.Quota), slog.String("data-dir", dir),
		slog.String("nats-url", c.NATSURL), slog.String("nats-credentials", c.NATSCredentials),
		slog.Int("replicas", c.Replicas), slog.String("sync", c.Sync),
		slog.Int64("max-store-bytes", c.MaxStoreBytes), slog.Int("max-request-bytes", c.MaxRequestBytes),
		slog.Int("max-event-bytes", c.MaxEventBytes), slog.Int("max-topics", c.MaxTopics), slog.Int("max-subscriptions", c.MaxSubscriptions), slog.Int("max-connections", c.MaxConnections),
		slog.Duration("receive-timeout", c.ReceiveTimeout), slog.String("schemas", c.Schemas), slog.String("buf", c.Buf),
		slog.String("buf-plugin", c.BufPlugin),
		slog.String("log-level", c.LogLevel), slog.String("log-format", c.LogFormat),
		slog.Duration("shutdown-delay", c.ShutdownDelay),
		slog.Duration("shutdown-timeout", c.ShutdownTimeout), slog.String("ready-file", c.ReadyFile),
	)
}
