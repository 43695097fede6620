package daemon

import (
	"crypto/tls"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"example.com/tidings/server/internal/admin"
)

// devCerts makes certificates in a directory that isn't there.
func devCerts(t *testing.T, dir string) {
	t.Helper()
	for _, cmd := range admin.Commands() {
		if cmd.Name() != "dev-cert" {
			continue
		}
		cmd.SetArgs([]string{dir})
		cmd.SetOut(io.Discard)
		if err := cmd.Execute(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCertificatesAreReadAgain(t *testing.T) {
	dir := t.TempDir()
	devCerts(t, filepath.Join(dir, "one"))
	devCerts(t, filepath.Join(dir, "two"))
	put := func(from, name string) {
		t.Helper()
		data, err := os.ReadFile(filepath.Join(dir, from, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	put("one", "server.pem")
	put("one", "server-key.pem")
	put("one", "ca.pem")
	cfg := DefaultConfig()
	cfg.TLSCert, cfg.TLSKey, cfg.TLSClientCA = filepath.Join(dir, "server.pem"), filepath.Join(dir, "server-key.pem"), filepath.Join(dir, "ca.pem")
	outer, err := openTLS(cfg, func(bool) {}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if outer.MinVersion != tls.VersionTLS13 || outer.ClientAuth != tls.VerifyClientCertIfGiven {
		t.Errorf("version %x, client auth %v", outer.MinVersion, outer.ClientAuth)
	}
	f := &tlsFiles{cfg: cfg, count: func(bool) {}, log: slog.New(slog.DiscardHandler), state: stateOf(cfg)}
	if f.current, err = readTLS(cfg); err != nil {
		t.Fatal(err)
	}
	serial := func() string {
		f.looked = time.Time{}
		return f.config().Certificates[0].Leaf.SerialNumber.String()
	}
	first := serial()
	put("two", "server.pem") // Its key isn't there yet.
	if got := serial(); got != first {
		t.Errorf("a certificate without its key is in force: %s, %s", got, first)
	}
	put("two", "server-key.pem")
	second := serial()
	if second == first {
		t.Error("the new certificate isn't in force")
	}
	if err := os.Remove(cfg.TLSKey); err != nil {
		t.Fatal(err)
	}
	if got := serial(); got != second {
		t.Errorf("without its key: %s, %s", got, second)
	}
	cfg.TLSClientAuth, cfg.TLSMinVersion = ClientAuthRequired, "1.2"
	put("two", "server-key.pem")
	required, err := openTLS(cfg, func(bool) {}, slog.New(slog.DiscardHandler))
	if err != nil || required.ClientAuth != tls.RequireAndVerifyClientCert || required.MinVersion != tls.VersionTLS12 {
		t.Error(err)
	}
	cfg.TLSClientCA = cfg.TLSKey
	if _, err := openTLS(cfg, func(bool) {}, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a file without certificates is taken for authorities")
	}
	cfg = DefaultConfig()
	if none, err := openTLS(cfg, func(bool) {}, slog.New(slog.DiscardHandler)); none != nil || err != nil {
		t.Error(none, err)
	}
}
