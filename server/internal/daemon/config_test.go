package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// loadConfig loads a configuration as `tidings serve` with these arguments
// does. A file named in the arguments as FILE has these contents.
func loadConfig(t *testing.T, args, environ []string, contents string) (Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tidings.yaml")
	if err := os.WriteFile(path, []byte(contents), 0o600); err != nil {
		t.Fatal(err)
	}
	substitute := func(in []string) []string {
		out := make([]string, len(in))
		for i, s := range in {
			out[i] = strings.ReplaceAll(s, "FILE", path)
		}
		return out
	}
	cfg := DefaultConfig()
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	addFlags(flags, &cfg)
	flags.String(configFlag, "", "")
	if err := flags.Parse(substitute(args)); err != nil {
		t.Fatal(err)
	}
	_, err := load(&cfg, flags, substitute(environ))
	return cfg, err
}

func TestPrecedence(t *testing.T) {
	const contents = "replicas: 2\nnats-url: nats://file:4222\nlog-level: warn\nmax-event-bytes: 2048\ninsecure: true\n"
	for name, test := range map[string]struct {
		args, environ []string
		contents      string
		get           func(Config) any
		want          any
	}{
		"default": {
			get: func(c Config) any { return c }, want: DefaultConfig(),
		},
		"file over default": {
			args: []string{"--config=FILE"}, contents: contents,
			get: func(c Config) any { return c.Replicas }, want: 2,
		},
		"file named by the environment": {
			environ: []string{"TIDINGS_CONFIG=FILE"}, contents: contents,
			get: func(c Config) any { return []any{c.LogLevel, c.MaxEventBytes, c.Insecure} }, want: []any{"warn", 2048, true},
		},
		"environment over file": {
			args: []string{"--config=FILE"}, environ: []string{"TIDINGS_REPLICAS=3"}, contents: contents,
			get: func(c Config) any { return []any{c.Replicas, c.NATSURL} }, want: []any{3, "nats://file:4222"},
		},
		"empty variable is not set": {
			args: []string{"--config=FILE"}, environ: []string{"TIDINGS_REPLICAS="}, contents: contents,
			get: func(c Config) any { return c.Replicas }, want: 2,
		},
		"flag over environment and file": {
			args: []string{"--config=FILE", "--replicas=5"}, environ: []string{"TIDINGS_REPLICAS=3"}, contents: contents,
			get: func(c Config) any { return c.Replicas }, want: 5,
		},
		"flag with the default value over environment": {
			args: []string{"--log-level=info"}, environ: []string{"TIDINGS_LOG_LEVEL=debug"},
			get: func(c Config) any { return c.LogLevel }, want: "info",
		},
		"flag --config over TIDINGS_CONFIG": {
			args: []string{"--config=FILE"}, environ: []string{"TIDINGS_CONFIG=/does/not/exist"}, contents: contents,
			get: func(c Config) any { return c.Replicas }, want: 2,
		},
		"duration": {
			environ: []string{"TIDINGS_SHUTDOWN_TIMEOUT=1m30s"},
			get:     func(c Config) any { return c.ShutdownTimeout }, want: 90 * time.Second,
		},
		"empty file": {
			args: []string{"--config=FILE"},
			get:  func(c Config) any { return c }, want: DefaultConfig(),
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, err := loadConfig(t, test.args, test.environ, test.contents)
			if err != nil {
				t.Fatal(err)
			}
			if got := test.get(cfg); fmt.Sprint(got) != fmt.Sprint(test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestLoadRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		args, environ []string
		contents      string
		setting       string
		problem       string
	}{
		"unknown key":              {args: []string{"--config=FILE"}, contents: "http_addr: 127.0.0.1:1\n", setting: "http_addr", problem: "no setting has this name"},
		"key with a dot":           {args: []string{"--config=FILE"}, contents: "http.addr: 127.0.0.1:1\n", setting: "http.addr", problem: "no setting has this name"},
		"the file names a file":    {args: []string{"--config=FILE"}, contents: "config: other.yaml\n", setting: "config", problem: "no setting has this name"},
		"nested key":               {args: []string{"--config=FILE"}, contents: "replicas:\n  count: 2\n", setting: "replicas", problem: "not a single value"},
		"list":                     {args: []string{"--config=FILE"}, contents: "schemas: [a, b]\n", setting: "schemas", problem: "not a single value"},
		"key without value":        {args: []string{"--config=FILE"}, contents: "schemas:\n", setting: "schemas", problem: "not a single value"},
		"key twice":                {args: []string{"--config=FILE"}, contents: "replicas: 1\nreplicas: 1\n", setting: "config", problem: "already defined"},
		"not YAML":                 {args: []string{"--config=FILE"}, contents: "{", setting: "config", problem: "yaml"},
		"missing file":             {args: []string{"--config=FILE.none"}, setting: "config", problem: "no such file"},
		"fraction in the file":     {args: []string{"--config=FILE"}, contents: "replicas: 1.5\n", setting: "replicas", problem: `"1.5" is not a int`},
		"malformed variable":       {environ: []string{"TIDINGS_REPLICAS=two"}, setting: "replicas", problem: `environment variable TIDINGS_REPLICAS: "two" is not a int`},
		"invalid after it is read": {environ: []string{"TIDINGS_REPLICAS=6"}, setting: "replicas", problem: "6 is not between 1 and 5"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := loadConfig(t, test.args, test.environ, test.contents)
			checkSettingError(t, err, test.setting, test.problem)
		})
	}
}

func TestValidate(t *testing.T) {
	for name, test := range map[string]struct {
		change           func(*Config)
		setting, problem string // Empty: valid.
	}{
		"IPv6 loopback":           {change: func(c *Config) { c.HTTPAddr = "[::1]:0" }},
		"TLS and access":          {change: func(c *Config) { c.HTTPAddr, c.TLSCert, c.TLSKey, c.AccessFile = ":0", "c.pem", "k.pem", "a.yaml" }},
		"127.0.0.2":               {change: func(c *Config) { c.HTTPAddr = "127.0.0.2:7070" }},
		"localhost":               {change: func(c *Config) { c.GRPCAddr = "localhost:0" }},
		"both ports free":         {change: func(c *Config) { c.HTTPAddr, c.GRPCAddr = "127.0.0.1:0", "127.0.0.1:0" }},
		"all addresses":           {func(c *Config) { c.HTTPAddr = ":7070" }, "http-addr", "without access-file whoever reaches it"},
		"access without TLS":      {func(c *Config) { c.HTTPAddr, c.AccessFile = ":7070", "access.yaml" }, "http-addr", "without tls-cert credentials"},
		"TLS without access":      {func(c *Config) { c.GRPCAddr, c.TLSCert, c.TLSKey = ":7071", "c.pem", "k.pem" }, "grpc-addr", "without access-file"},
		"TLS without a key":       {func(c *Config) { c.TLSCert = "c.pem" }, "tls-cert", "of no use without each other"},
		"client CA without TLS":   {func(c *Config) { c.TLSClientCA = "ca.pem" }, "tls-client-ca", "of no use without tls-cert"},
		"client auth without CA":  {func(c *Config) { c.TLSClientAuth = "required" }, "tls-client-auth", "needs tls-client-ca"},
		"client auth":             {func(c *Config) { c.TLSClientAuth = "no" }, "tls-client-auth", `"no" is not optional or required`},
		"TLS version":             {func(c *Config) { c.TLSMinVersion = "1.1" }, "tls-min-version", "not 1.2 or 1.3"},
		"0.0.0.0":                 {func(c *Config) { c.GRPCAddr = "0.0.0.0:7071" }, "grpc-addr", "not a loopback address"},
		"a name":                  {func(c *Config) { c.HTTPAddr = "localhost.example.com:7070" }, "http-addr", "not a loopback address"},
		"insecure":                {change: func(c *Config) { c.HTTPAddr, c.GRPCAddr, c.Insecure = ":7070", "10.0.0.1:7071", true }},
		"no port":                 {func(c *Config) { c.HTTPAddr = "127.0.0.1" }, "http-addr", "not host:port"},
		"empty address":           {func(c *Config) { c.GRPCAddr = "" }, "grpc-addr", "not host:port"},
		"port out of range":       {func(c *Config) { c.HTTPAddr = "127.0.0.1:65536" }, "http-addr", "not a port"},
		"port by name":            {func(c *Config) { c.HTTPAddr = "127.0.0.1:http" }, "http-addr", "not a port"},
		"one address":             {func(c *Config) { c.GRPCAddr = c.HTTPAddr }, "grpc-addr", "http-addr too"},
		"hosts":                   {change: func(c *Config) { c.Hosts = "Events.example.com, 10.0.0.1,fd00::1" }},
		"a host with a port":      {func(c *Config) { c.Hosts = "a.example:80" }, "hosts", "without a port"},
		"a URL as a host":         {func(c *Config) { c.Hosts = "https://a.example" }, "hosts", "without a port"},
		"an empty host":           {func(c *Config) { c.Hosts = "a.example," }, "hosts", `"" is not`},
		"origins":                 {change: func(c *Config) { c.CORSOrigins = "https://App.example.com, http://localhost:3000" }},
		"every origin":            {func(c *Config) { c.CORSOrigins = "*" }, "cors-origins", `"*" is not an origin in full`},
		"a pattern of origins":    {func(c *Config) { c.CORSOrigins = "https://*.example.com" }, "cors-origins", "not an origin in full"},
		"an origin of files":      {func(c *Config) { c.CORSOrigins = "null" }, "cors-origins", "not an origin in full"},
		"an origin with a path":   {func(c *Config) { c.CORSOrigins = "https://a.example/" }, "cors-origins", "not an origin in full"},
		"an origin with a user":   {func(c *Config) { c.CORSOrigins = "https://me@a.example" }, "cors-origins", "not an origin in full"},
		"an origin without HTTP":  {func(c *Config) { c.CORSOrigins = "a.example" }, "cors-origins", "not an origin in full"},
		"no call of a connection": {func(c *Config) { c.MaxConnectionCalls = 0 }, "max-connection-calls", "not between"},
		"too large headers":       {func(c *Config) { c.MaxHeaderBytes = 2 << 20 }, "max-header-bytes", "not between"},
		"too small headers":       {func(c *Config) { c.MaxHeaderBytes = 4096 }, "max-header-bytes", "not between"},
		"a quota":                 {change: func(c *Config) { c.Quota.Events = 100 }},
		"a negative quota":        {func(c *Config) { c.Quota.Bytes = -1 }, "quota-bytes", "negative"},
		"no data directory":       {func(c *Config) { c.DataDir = "" }, "data-dir", "empty"},
		"no replica":              {func(c *Config) { c.Replicas = 0 }, "replicas", "not between"},
		"embedded replicas":       {func(c *Config) { c.Replicas = 3 }, "replicas", "needs nats-url"},
		"embedded credentials":    {func(c *Config) { c.NATSCredentials = "x.creds" }, "nats-credentials", "of no use"},
		"a plugin without Buf":    {func(c *Config) { c.BufPlugin = "buf-plugin-tidings" }, "buf-plugin", "of no use"},
		"a plugin with Buf":       {change: func(c *Config) { c.Buf, c.BufPlugin = "buf", "buf-plugin-tidings" }},
		"cluster":                 {change: func(c *Config) { c.NATSURL, c.Replicas, c.DataDir = "nats://a:4222, tls://b:4222", 3, "" }},
		"nats without scheme":     {func(c *Config) { c.NATSURL = "localhost:4222" }, "nats-url", "is not nats://host:port"},
		"fsync":                   {change: func(c *Config) { c.Sync = SyncFsync }},
		"unknown sync":            {func(c *Config) { c.Sync = "always" }, "sync", `"always" is not`},
		"negative store":          {func(c *Config) { c.MaxStoreBytes = -1 }, "max-store-bytes", "negative"},
		"store with nats":         {func(c *Config) { c.MaxStoreBytes, c.NATSURL = 1<<30, "nats://a:4222" }, "max-store-bytes", "NATS account"},
		"smallest request":        {change: func(c *Config) { c.MaxRequestBytes, c.MaxEventBytes = 64<<10, 64<<10 }},
		"largest request":         {change: func(c *Config) { c.MaxRequestBytes = 16 << 20 }},
		"request too small":       {func(c *Config) { c.MaxRequestBytes = 64<<10 - 1 }, "max-request-bytes", "not between"},
		"request too large":       {func(c *Config) { c.MaxRequestBytes = 16<<20 + 1 }, "max-request-bytes", "not between"},
		"event above the request": {func(c *Config) { c.MaxEventBytes = c.MaxRequestBytes + 1 }, "max-event-bytes", "not between"},
		"no event":                {func(c *Config) { c.MaxEventBytes = 0 }, "max-event-bytes", "not between"},
		"no topic":                {func(c *Config) { c.MaxTopics = 0 }, "max-topics", "not between"},
		"too many subscriptions":  {func(c *Config) { c.MaxSubscriptions = 1_000_001 }, "max-subscriptions", "not between"},
		"no connection":           {func(c *Config) { c.MaxConnections = 0 }, "max-connections", "not between"},
		"too many connections":    {func(c *Config) { c.MaxConnections = 1<<20 + 1 }, "max-connections", "not between"},
		"no time to receive":      {func(c *Config) { c.ReceiveTimeout = 0 }, "receive-timeout", "not between 1s and 1h"},
		"too long to receive":     {func(c *Config) { c.ReceiveTimeout = 2 * time.Hour }, "receive-timeout", "not between 1s and 1h"},
		"log level":               {func(c *Config) { c.LogLevel = "INFO+4" }, "log-level", "is not debug"},
		"log format":              {func(c *Config) { c.LogFormat = "xml" }, "log-format", "is not text"},
		"no time to stop":         {change: func(c *Config) { c.ShutdownTimeout = 0 }},
		"too long a delay":        {func(c *Config) { c.ShutdownDelay = time.Hour }, "shutdown-delay", "not between"},
		"negative time to stop":   {func(c *Config) { c.ShutdownTimeout = -1 }, "shutdown-timeout", "not between"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := DefaultConfig()
			test.change(&cfg)
			err := cfg.Validate()
			if test.setting == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			checkSettingError(t, err, test.setting, test.problem)
		})
	}
}

func TestValidateNamesEveryProblem(t *testing.T) {
	cfg := DefaultConfig()
	cfg.LogLevel, cfg.Replicas = "loud", 9
	err := cfg.Validate()
	for _, setting := range []string{"log-level: ", "replicas: "} {
		if err == nil || !strings.Contains(err.Error(), setting) {
			t.Errorf("%v doesn't name %s", err, setting)
		}
	}
}

func TestHosts(t *testing.T) {
	for name, test := range map[string]struct {
		address, hosts string
		check          bool
		names          string
	}{
		"loopback":             {"127.0.0.1:7070", "", true, "[]"},
		"localhost":            {"localhost:0", "", true, "[]"},
		"IPv6":                 {"[::1]:0", "", true, "[]"},
		"all addresses":        {":7070", "", false, "[]"},
		"with names":           {"127.0.0.1:0", "A.example, b", true, "[a.example b]"},
		"all, and with a name": {"0.0.0.0:0", "a.example", true, "[a.example]"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := Config{HTTPAddr: test.address, Hosts: test.hosts}
			if cfg.checkHost() != test.check || fmt.Sprint(cfg.hosts()) != test.names {
				t.Errorf("got %t, %v", cfg.checkHost(), cfg.hosts())
			}
		})
	}
}

func checkSettingError(t *testing.T, err error, setting, problem string) {
	t.Helper()
	var wrong *SettingError
	if !errors.As(err, &wrong) {
		t.Fatalf("got %v, want a SettingError", err)
	}
	if wrong.Setting != setting || !strings.Contains(wrong.Problem, problem) {
		t.Errorf("got %q, want %s: …%s…", err, setting, problem)
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	cfg := DefaultConfig()
	cfg.NATSURL = "nats://alice:hunter2@a:4222,tls://s3cr3t-token@b:4222,nats://c:4222"
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("configuration", "config", cfg)
	bad := cfg
	bad.NATSURL = "nats//alice:hunter2@a:4222 s3cr3t-token"
	for name, shown := range map[string]string{
		"String": cfg.String(), "%+v": fmt.Sprintf("%+v", cfg),
		"log": log.String(), "error": fmt.Sprint(bad.Validate()), "not a URL": bad.String(),
	} {
		for _, secret := range []string{"hunter2", "s3cr3t-token"} {
			if strings.Contains(shown, secret) {
				t.Errorf("%s shows %s: %s", name, secret, shown)
			}
		}
	}
	if want := "nats://redacted@a:4222,tls://redacted@b:4222,nats://c:4222"; cfg.RedactedNATSURL() != want {
		t.Errorf("got %s, want %s", cfg.RedactedNATSURL(), want)
	}
	if !strings.Contains(log.String(), "nats://c:4222") {
		t.Errorf("the log doesn't show the address: %s", log.String())
	}
}

func TestVersionIsThatOfTheFile(t *testing.T) {
	contents, err := os.ReadFile("../../../VERSION")
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.TrimSpace(string(contents)); Version != want {
		t.Errorf("Version is %q, the file VERSION says %q", Version, want)
	}
}

func TestLogger(t *testing.T) {
	cfg := DefaultConfig()
	cfg.LogLevel, cfg.LogFormat = "warn", LogFormatJSON
	var out bytes.Buffer
	log := cfg.logger(&out)
	log.Info("quiet")
	log.Warn("loud")
	if got := out.String(); strings.Contains(got, "quiet") || !strings.Contains(got, `"msg":"loud"`) || !strings.HasPrefix(got, "{") {
		t.Errorf("logged %s", got)
	}
}
