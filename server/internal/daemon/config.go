package daemon

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"example.com/tidings/server/internal/compat"
	"example.com/tidings/server/internal/quota"
)

// The values of Config.Sync.
const (
	SyncWritten = "written"
	SyncFsync   = "fsync"
)

// The values of Config.LogFormat.
const (
	LogFormatText = "text"
	LogFormatJSON = "json"
)

// The bounds of the settings.
const (
	minRequestBytes    = 64 << 10
	maxRequestBytes    = 16 << 20 // JetStream stores no record above 32 MiB.
	minEventBytes      = 1 << 10
	maxReplicas        = 5
	maxShutdownDelay   = time.Minute
	maxShutdownTimeout = time.Hour
	minReceiveTimeout  = time.Second
	maxReceiveTimeout  = time.Hour
	maxConnections     = 1 << 20
	maxNames           = 1_000_000 // Of topics, and of subscriptions.
)

// Config is what an operator can set. Each field's flag is its name in lower
// case with hyphens (`http-addr`); its key in the file is the same, and its
// environment variable is TIDINGS_HTTP_ADDR.
type Config struct {
	// HTTPAddr is the host:port of Connect, gRPC-Web, gRPC, health and metrics
	// over HTTP. Port 0: a free one, which ReadyFile tells.
	HTTPAddr string

	// GRPCAddr is the host:port of native gRPC. Port 0: a free one, which
	// ReadyFile tells.
	GRPCAddr string

	// Insecure allows addresses that are not loopback without TLS or without
	// AccessFile. Whoever reaches them can then read what is sent, or read and
	// publish everything.
	Insecure bool

	// AccessFile says who may call and what they may do. It is read again when it
	// changes. Empty: everybody may do everything.
	AccessFile string

	// AuditLog is a file that calls which change something are appended to, as JSON.
	// Empty: they aren't recorded.
	AuditLog string

	// AccessLog is a file that a line is appended to for each call that has ended, as
	// JSON, or - for standard output. Empty: there is none.
	AccessLog string

	// TLSCert and TLSKey are files in PEM with the certificate chain of both
	// addresses and its key. They are read again when they change. Empty: there is no
	// TLS.
	TLSCert, TLSKey string

	// TLSClientCA is a file in PEM with the authorities that client certificates are
	// verified with. Empty: clients aren't asked for one.
	TLSClientCA string

	// TLSClientAuth is ClientAuthOptional or ClientAuthRequired: whether a client
	// without a certificate is refused.
	TLSClientAuth string

	// TLSMinVersion is the lowest version of TLS: 1.2 or 1.3.
	TLSMinVersion string

	// Hosts are names, joined by commas, by which the HTTP address may be called
	// besides localhost and loopback addresses: a page in a browser could have
	// any other name mean this machine. Empty: none, and where the address isn't
	// loopback, all.
	Hosts string

	// CORSOrigins are origins, joined by commas, whose pages may call the HTTP address
	// besides its own: https://app.example.com. Empty: none.
	CORSOrigins string

	// DataDir is the directory of the storage. It is created where it doesn't
	// exist. Not used with NATSURL.
	DataDir string

	// NATSURL is the address of a NATS server with JetStream, which is the storage
	// then, or several of one cluster joined by commas. Empty: the storage is in
	// DataDir. It may hold a password: use RedactedNATSURL wherever it is shown.
	NATSURL string

	// NATSCredentials is a file with NATS credentials for NATSURL. Empty: none.
	NATSCredentials string

	// Replicas is the number of copies of each topic, 1 to 5. More than 1 needs
	// NATSURL.
	Replicas int

	// Sync is what a receipt waits for: SyncFsync, the disk has the event, or
	// SyncWritten, the operating system has it. Not used with NATSURL: the NATS
	// servers decide.
	Sync string

	// MaxStoreBytes bounds what the storage in DataDir takes, in bytes. 0: three
	// quarters of what it takes and what is free on its volume, together.
	MaxStoreBytes int64

	// MaxRequestBytes bounds a request message, in bytes: 64 KiB to 16 MiB.
	MaxRequestBytes int

	// MaxEventBytes bounds an event, in bytes: 1 KiB to MaxRequestBytes.
	MaxEventBytes int

	// MaxTopics and MaxSubscriptions bound how many can be created: 1 to
	// 1,000,000. Topics that event types declare are created all the same.
	MaxTopics        int
	MaxSubscriptions int

	// MaxConnections bounds the connections of each of the two addresses: 1 to
	// 1,048,576. Further ones wait until one ends.
	MaxConnections int

	// MaxConnectionCalls bounds the calls, streams among them, that a connection carries
	// at a time over HTTP/2: 1 to 10,000. Clients wait with further ones.
	MaxConnectionCalls int

	// MaxHeaderBytes bounds the headers of a call, in bytes: 8 KiB to 1 MiB.
	MaxHeaderBytes int

	// Quota is what a caller may use that no quota in AccessFile is for. Without
	// AccessFile all callers are one. Its flags begin with quota-.
	Quota quota.Limits

	// ReceiveTimeout is how long a request of one message may take to come, 1
	// second to an hour. Then its call ends. Streams take as long as they like.
	ReceiveTimeout time.Duration

	// Schemas has the event types. It is a file with a Buf image or a
	// FileDescriptorSet, binary or JSON, or a directory with a buf.yaml, which Buf
	// builds. It is read again when it changes, and refused where it breaks
	// somebody. Empty: the server knows those types alone that are registered.
	Schemas string

	// Buf is the program that compares schemas, and builds a directory of them, by
	// its path or its name: Buf, of the version that compat.Version names. Empty:
	// none, so that schemas can't be registered and Schemas isn't read again.
	Buf string

	// BufPlugin is the program buf-plugin-tidings, by its path or its name. Buf
	// compares by its rules too. Empty: by Buf's own alone. It needs Buf.
	BufPlugin string

	// LogLevel is the lowest level that is logged: debug, info, warn, error.
	LogLevel string

	// LogFormat is LogFormatText or LogFormatJSON.
	LogFormat string

	// ShutdownDelay is how long the server goes on as before after it was told to
	// stop, up to a minute, except that its health says that it doesn't serve: a
	// proxy that asks for it now and then has the time to see it.
	ShutdownDelay time.Duration

	// ShutdownTimeout is how long calls under way may take to end after the
	// server was told to stop, up to an hour. 0: they are cut off at once.
	ShutdownTimeout time.Duration

	// ReadyFile is written once the server takes calls, in one step, with the
	// addresses it listens on: {"http":"host:port","grpc":"host:port"}. It is
	// removed when the server starts and stops, so each has its own. Empty: none.
	ReadyFile string
}

// DefaultConfig returns the configuration of a server that nobody configured.
func DefaultConfig() Config {
	return Config{
		HTTPAddr:         "127.0.0.1:7070",
		GRPCAddr:         "127.0.0.1:7071",
		DataDir:          "tidings-data",
		Replicas:         1,
		Sync:             SyncFsync,
		MaxRequestBytes:  4 << 20,
		MaxEventBytes:    1 << 20,
		MaxTopics:        10_000,
		MaxSubscriptions: 10_000,
		MaxConnections:   4096,
		ReceiveTimeout:   30 * time.Second,

		MaxConnectionCalls: 250,
		MaxHeaderBytes:     64 << 10,

		TLSClientAuth:   ClientAuthOptional,
		TLSMinVersion:   "1.3",
		LogLevel:        "info",
		LogFormat:       LogFormatText,
		ShutdownTimeout: 15 * time.Second,
	}
}

// addFlags adds a flag for each setting, with its present value as default.
func addFlags(flags *pflag.FlagSet, c *Config) {
	flags.StringVar(&c.HTTPAddr, "http-addr", c.HTTPAddr, "`HOST:PORT` of Connect, gRPC-Web, gRPC, health and metrics over HTTP; port 0: a free one")
	flags.StringVar(&c.GRPCAddr, "grpc-addr", c.GRPCAddr, "`HOST:PORT` of native gRPC; port 0: a free one")
	flags.BoolVar(&c.Insecure, "insecure", c.Insecure, "allow addresses that are not loopback without --tls-cert or --access-file")
	flags.StringVar(&c.AccessFile, "access-file", c.AccessFile, "`FILE` that says who may call and what they may do; without it everybody may do everything")
	flags.StringVar(&c.AuditLog, "audit-log", c.AuditLog, "`FILE` to append calls to, as JSON, that change topics, subscriptions or schemas")
	flags.StringVar(&c.AccessLog, "access-log", c.AccessLog, "`FILE` to append a line of JSON to for each call that has ended; -: standard output")
	flags.StringVar(&c.TLSCert, "tls-cert", c.TLSCert, "`FILE` in PEM with the certificate chain of both addresses")
	flags.StringVar(&c.TLSKey, "tls-key", c.TLSKey, "`FILE` in PEM with the key of --tls-cert")
	flags.StringVar(&c.TLSClientCA, "tls-client-ca", c.TLSClientCA, "`FILE` in PEM with the authorities of client certificates")
	flags.StringVar(&c.TLSClientAuth, "tls-client-auth", c.TLSClientAuth, "`MODE` of client certificates: optional or required")
	flags.StringVar(&c.TLSMinVersion, "tls-min-version", c.TLSMinVersion, "lowest `VERSION` of TLS: 1.2 or 1.3")
	flags.StringVar(&c.Hosts, "hosts", c.Hosts, "further `NAMES` by which --http-addr may be called, separated by commas (default: any, unless it is loopback)")
	flags.StringVar(&c.CORSOrigins, "cors-origins", c.CORSOrigins, "`ORIGINS` whose pages in browsers may call --http-addr besides its own, such as https://app.example.com, separated by commas")
	flags.StringVar(&c.DataDir, "data-dir", c.DataDir, "`DIR` of the storage")
	flags.StringVar(&c.NATSURL, "nats-url", c.NATSURL, "`URL` of a NATS server with JetStream for the storage, instead of --data-dir; several are separated by commas")
	flags.StringVar(&c.NATSCredentials, "nats-credentials", c.NATSCredentials, "`FILE` with NATS credentials for --nats-url")
	flags.IntVar(&c.Replicas, "replicas", c.Replicas, "`NUMBER` of copies of each topic, 1 to 5; more than 1 needs --nats-url")
	flags.StringVar(&c.Sync, "sync", c.Sync, "durability `LEVEL` of a receipt: fsync (the event survives a crash of the machine) or written (of the process)")
	flags.Int64Var(&c.MaxStoreBytes, "max-store-bytes", c.MaxStoreBytes, "limit of the storage in `BYTES`; 0: three quarters of what it uses and what is free on the volume")
	flags.IntVar(&c.MaxRequestBytes, "max-request-bytes", c.MaxRequestBytes, "limit of a request in `BYTES`, 64 KiB to 16 MiB")
	flags.IntVar(&c.MaxEventBytes, "max-event-bytes", c.MaxEventBytes, "limit of an event in `BYTES`, 1 KiB to --max-request-bytes")
	flags.IntVar(&c.MaxTopics, "max-topics", c.MaxTopics, "`NUMBER` of topics that can be created; those that event types declare are created beyond it")
	flags.IntVar(&c.MaxSubscriptions, "max-subscriptions", c.MaxSubscriptions, "`NUMBER` of subscriptions that can be created")
	flags.IntVar(&c.MaxConnections, "max-connections", c.MaxConnections, "`NUMBER` of connections to each address; further ones wait until one ends")
	flags.IntVar(&c.MaxConnectionCalls, "max-connection-calls", c.MaxConnectionCalls, "`NUMBER` of calls that a connection carries at a time over HTTP/2, 1 to 10000")
	flags.IntVar(&c.MaxHeaderBytes, "max-header-bytes", c.MaxHeaderBytes, "limit of the headers of a call in `BYTES`, 8 KiB to 1 MiB")
	flags.Int64Var(&c.Quota.Requests, "quota-requests", c.Quota.Requests, "`NUMBER` of requests a second for each caller that --access-file has no quota for; 0: no bound")
	flags.Int64Var(&c.Quota.Events, "quota-events", c.Quota.Events, "`NUMBER` of events a second for each such caller to publish, and to be delivered; 0: no bound")
	flags.Int64Var(&c.Quota.Bytes, "quota-bytes", c.Quota.Bytes, "`BYTES` a second of these events; 0: no bound")
	flags.Int64Var(&c.Quota.Streams, "quota-streams", c.Quota.Streams, "`NUMBER` of streams at a time for each such caller; 0: no bound")
	flags.DurationVar(&c.ReceiveTimeout, "receive-timeout", c.ReceiveTimeout, "`DURATION` in which the message of a unary request must arrive, 1s to 1h")
	flags.StringVar(&c.Schemas, "schemas", c.Schemas, "`PATH` of the event schemas: a Buf image or a FileDescriptorSet, binary or JSON, or a directory with a buf.yaml, which --buf builds")
	flags.StringVar(&c.Buf, "buf", c.Buf, "`PROGRAM` that compares schemas and builds a directory of them, Buf "+compat.Version+"; without it schemas can't change while the server runs")
	flags.StringVar(&c.BufPlugin, "buf-plugin", c.BufPlugin, "`PROGRAM` with further rules for --buf, buf-plugin-tidings; without it validation rules, topics and keys aren't compared")
	flags.StringVar(&c.LogLevel, "log-level", c.LogLevel, "lowest `LEVEL` that is logged: debug, info, warn or error")
	flags.StringVar(&c.LogFormat, "log-format", c.LogFormat, "`FORMAT` of the log: text or json")
	flags.DurationVar(&c.ShutdownDelay, "shutdown-delay", c.ShutdownDelay, "`DURATION` to continue when told to stop, with health NOT_SERVING, so that proxies notice")
	flags.DurationVar(&c.ShutdownTimeout, "shutdown-timeout", c.ShutdownTimeout, "`DURATION` that calls may take to end when the server stops; 0: they are cut off")
	flags.StringVar(&c.ReadyFile, "ready-file", c.ReadyFile, "`FILE` to write the addresses to, as JSON, once the server accepts calls")
}

// SettingError says that a setting has a value that it can't have.
type SettingError struct {
	// Setting is the setting's name, as its flag without hyphens in front.
	Setting string
	// Problem is what is wrong with it.
	Problem string
}

func (e *SettingError) Error() string { return e.Setting + ": " + e.Problem }

// ExitStatus is that of wrong usage.
func (e *SettingError) ExitStatus() int { return 2 }

// Validate returns a SettingError for each setting that is wrong, joined, or
// nil. It looks at the values alone and not at the files that they name.
func (c Config) Validate() error {
	var problems []error
	refuse := func(setting, problem string, args ...any) {
		problems = append(problems, &SettingError{setting, fmt.Sprintf(problem, args...)})
	}
	c.validateAddresses(refuse)
	for _, name := range c.hosts() {
		if _, err := netip.ParseAddr(name); err != nil && !hostName.MatchString(name) {
			refuse("hosts", "%q is not a name or an address, without a port, or several joined by commas", name)
		}
	}
	c.validateEdge(refuse)
	c.validateTLS(refuse)
	c.validateStorage(refuse)
	if c.MaxRequestBytes < minRequestBytes || c.MaxRequestBytes > maxRequestBytes {
		refuse("max-request-bytes", "%d is not between %d and %d", c.MaxRequestBytes, minRequestBytes, maxRequestBytes)
	}
	if c.MaxEventBytes < minEventBytes || c.MaxEventBytes > c.MaxRequestBytes {
		refuse("max-event-bytes", "%d is not between %d and max-request-bytes, %d", c.MaxEventBytes, minEventBytes, c.MaxRequestBytes)
	}
	if c.MaxTopics < 1 || c.MaxTopics > maxNames {
		refuse("max-topics", "%d is not between 1 and %d", c.MaxTopics, maxNames)
	}
	if c.MaxSubscriptions < 1 || c.MaxSubscriptions > maxNames {
		refuse("max-subscriptions", "%d is not between 1 and %d", c.MaxSubscriptions, maxNames)
	}
	if c.MaxConnections < 1 || c.MaxConnections > maxConnections {
		refuse("max-connections", "%d is not between 1 and %d", c.MaxConnections, maxConnections)
	}
	if c.ReceiveTimeout < minReceiveTimeout || c.ReceiveTimeout > maxReceiveTimeout {
		refuse("receive-timeout", "%s is not between %s and %s", c.ReceiveTimeout, minReceiveTimeout, maxReceiveTimeout)
	}
	if c.BufPlugin != "" && c.Buf == "" {
		refuse("buf-plugin", "it is of no use without buf")
	}
	if _, err := c.level(); err != nil {
		refuse("log-level", "%q is not debug, info, warn or error", c.LogLevel)
	}
	if c.LogFormat != LogFormatText && c.LogFormat != LogFormatJSON {
		refuse("log-format", "%q is not text or json", c.LogFormat)
	}
	if c.ShutdownDelay < 0 || c.ShutdownDelay > maxShutdownDelay {
		refuse("shutdown-delay", "%s is not between 0 and %s", c.ShutdownDelay, maxShutdownDelay)
	}
	if c.ShutdownTimeout < 0 || c.ShutdownTimeout > maxShutdownTimeout {
		refuse("shutdown-timeout", "%s is not between 0 and %s", c.ShutdownTimeout, maxShutdownTimeout)
	}
	return errors.Join(problems...)
}

func (c Config) validateStorage(refuse func(setting, problem string, args ...any)) {
	if c.Replicas < 1 || c.Replicas > maxReplicas {
		refuse("replicas", "%d is not between 1 and %d", c.Replicas, maxReplicas)
	}
	if c.Sync != SyncWritten && c.Sync != SyncFsync {
		refuse("sync", "%q is not %s or %s", c.Sync, SyncWritten, SyncFsync)
	}
	if c.MaxStoreBytes < 0 {
		refuse("max-store-bytes", "%d is negative", c.MaxStoreBytes)
	}
	if c.NATSURL == "" {
		if c.DataDir == "" {
			refuse("data-dir", "it is empty, and there is no nats-url")
		}
		if c.Replicas > 1 {
			refuse("replicas", "%d needs nats-url: the storage in data-dir is one copy", c.Replicas)
		}
		if c.NATSCredentials != "" {
			refuse("nats-credentials", "it is of no use without nats-url")
		}
		return
	}
	for server := range strings.SplitSeq(c.NATSURL, ",") {
		// The problem doesn't repeat the URL: it may hold a password.
		u, err := url.Parse(strings.TrimSpace(server))
		if err != nil || u.Host == "" || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) {
			refuse("nats-url", "it is not nats://host:port, tls://host:port, ws://host:port or wss://host:port, or several joined by commas")
			break
		}
	}
	if c.MaxStoreBytes > 0 {
		refuse("max-store-bytes", "it is for the storage in data-dir. With nats-url, set the limits of the NATS account")
	}
}

// level is LogLevel as slog has it.
func (c Config) level() (slog.Level, error) {
	var level slog.Level
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.LogLevel) {
		return level, fmt.Errorf("unknown level %q", c.LogLevel)
	}
	err := level.UnmarshalText([]byte(c.LogLevel))
	return level, err
}
