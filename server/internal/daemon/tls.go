package daemon

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"example.com/tidings/server/internal/secure"
)

// The values of TLSClientAuth.
const (
	ClientAuthOptional = "optional"
	ClientAuthRequired = "required"
)

// tlsVersions are the values of TLSMinVersion.
var tlsVersions = map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

// tlsFiles are the files of a TLS configuration, which is made anew when they change.
type tlsFiles struct {
	cfg Config
	log *slog.Logger
	// count is told of each change, whether it is in force.
	count func(applied bool)

	mu      sync.Mutex
	looked  time.Time
	state   string // Of the files, when they were last read.
	current *tls.Config
}

// lookAtTLS is how old what is known of the files may be when a handshake begins.
const lookAtTLS = time.Second

// openTLS returns the TLS configuration of both listeners. nil: there is none.
func openTLS(cfg Config, count func(applied bool), log *slog.Logger) (*tls.Config, error) {
	if cfg.TLSCert == "" {
		return nil, nil //nolint:nilnil // There is none to return.
	}
	f := &tlsFiles{cfg: cfg, log: log, count: count, looked: time.Now(), state: stateOf(cfg)}
	var err error
	if f.current, err = readTLS(cfg); err != nil {
		return nil, err
	}
	outer := f.current.Clone()
	outer.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return f.config(), nil }
	return outer, nil
}

// config returns the configuration as the files are now, or as they were where they
// are wrong now.
func (f *tlsFiles) config() *tls.Config {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.looked) < lookAtTLS {
		return f.current
	}
	f.looked = time.Now()
	state := stateOf(f.cfg)
	if state == f.state {
		return f.current
	}
	next, err := readTLS(f.cfg)
	if err != nil {
		// They may be half replaced: they are looked at again.
		f.count(false)
		f.log.Error("certificates not reloaded, the old ones stay in force", "error", err)
		return f.current
	}
	f.count(true)
	f.log.Info("certificates reloaded", "path", f.cfg.TLSCert)
	f.state, f.current = state, next
	return next
}

// stateOf returns a text that changes with the files.
func stateOf(cfg Config) string {
	var state []byte
	for _, path := range []string{cfg.TLSCert, cfg.TLSKey, cfg.TLSClientCA} {
		if path == "" {
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			state = fmt.Appendln(state, err)
			continue
		}
		state = fmt.Appendln(state, info.Size(), info.ModTime().UnixNano())
	}
	return string(state)
}

func readTLS(cfg Config) (*tls.Config, error) {
	certificate, err := tls.LoadX509KeyPair(cfg.TLSCert, cfg.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("tls-cert, tls-key: %w", err)
	}
	result := &tls.Config{
		Certificates: []tls.Certificate{certificate},
		MinVersion:   tlsVersions[cfg.TLSMinVersion],
		NextProtos:   []string{"h2", "http/1.1"},
	}
	if cfg.TLSClientCA == "" {
		return result, nil
	}
	if result.ClientCAs, err = secure.CertPool(cfg.TLSClientCA); err != nil {
		return nil, fmt.Errorf("tls-client-ca: %w", err)
	}
	result.ClientAuth = tls.VerifyClientCertIfGiven
	if cfg.TLSClientAuth == ClientAuthRequired {
		result.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return result, nil
}

// validateTLS refuses settings of TLS that don't go together.
func (c Config) validateTLS(refuse func(setting, problem string, args ...any)) {
	if (c.TLSCert == "") != (c.TLSKey == "") {
		refuse("tls-cert", "it and tls-key are of no use without each other")
	}
	if tlsVersions[c.TLSMinVersion] == 0 {
		refuse("tls-min-version", "%q is not 1.2 or 1.3", c.TLSMinVersion)
	}
	if c.TLSClientAuth != ClientAuthOptional && c.TLSClientAuth != ClientAuthRequired {
		refuse("tls-client-auth", "%q is not %s or %s", c.TLSClientAuth, ClientAuthOptional, ClientAuthRequired)
	}
	if c.TLSClientCA != "" && c.TLSCert == "" {
		refuse("tls-client-ca", "it is of no use without tls-cert")
	}
	if c.TLSClientAuth == ClientAuthRequired && c.TLSClientCA == "" {
		refuse("tls-client-auth", "%s needs tls-client-ca", ClientAuthRequired)
	}
}
