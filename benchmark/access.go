package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// accessFile lets everybody whom one of its sources names do everything, so that what is
// measured is who calls, and that a grant is looked for.
const accessFile = `api_keys: %[1]s/keys.yaml
issuers:
- {name: bench, issuer: "https://issuer.example", jwks_file: %[1]s/jwks.json, audiences: [tidings]}
client_certificates: {name: uri}
grants:
- {principals: ["key:bench", "bench:publisher", "cert:spiffe://tidings.example/client"], roles: [admin]}
`

// protection is a way to start a server and to call it.
type protection struct {
	name    string
	server  func(dir string) []string // Further arguments of the server.
	options func(dir string) ([]grpc.DialOption, error)
}

// protections are compared in the same runs. The first is what the others are compared
// with.
var protections = []protection{
	{"nothing", func(string) []string { return nil }, func(string) ([]grpc.DialOption, error) { return nil, nil }},
	{"an API key", withAccessFile, func(dir string) ([]grpc.DialOption, error) {
		key, err := os.ReadFile(filepath.Join(dir, "key"))
		return []grpc.DialOption{grpc.WithPerRPCCredentials(bearer(strings.TrimSpace(string(key))))}, err
	}},
	{"a JWT", withAccessFile, func(dir string) ([]grpc.DialOption, error) {
		token, err := os.ReadFile(filepath.Join(dir, "token"))
		return []grpc.DialOption{grpc.WithPerRPCCredentials(bearer(token))}, err
	}},
	{"TLS", withTLS, func(dir string) ([]grpc.DialOption, error) { return trusting(dir, false) }},
	{"mTLS, the certificate says who calls", func(dir string) []string {
		return append(append(withTLS(dir), withAccessFile(dir)...), "--tls-client-ca", filepath.Join(dir, "ca.pem"), "--tls-client-auth", "required")
	}, func(dir string) ([]grpc.DialOption, error) { return trusting(dir, true) }},
}

func withAccessFile(dir string) []string {
	return []string{"--access-file", filepath.Join(dir, "access.yaml")}
}

func withTLS(dir string) []string {
	return []string{"--tls-cert", filepath.Join(dir, "server.pem"), "--tls-key", filepath.Join(dir, "server-key.pem")}
}

// trusting is how a client calls a server with TLS, with a certificate of its own or not.
func trusting(dir string, certificate bool) ([]grpc.DialOption, error) {
	authority, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: x509.NewCertPool()}
	if !config.RootCAs.AppendCertsFromPEM(authority) {
		return nil, errors.New("ca.pem has no certificate")
	}
	if certificate {
		own, err := tls.LoadX509KeyPair(filepath.Join(dir, "client.pem"), filepath.Join(dir, "client-key.pem"))
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{own}
	}
	return []grpc.DialOption{grpc.WithTransportCredentials(credentials.NewTLS(config))}, nil
}

// bearer is a credential that goes with each call.
type bearer string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

func (bearer) RequireTransportSecurity() bool { return false }

// accessSuite compares servers that ask who calls, or encrypt, with one that does neither.
var accessSuite = suite{"access", "measure what authentication and TLS cost", 7, func(ctx context.Context, cfg config, progress io.Writer) (rows []row, _ func() error, err error) {
	s := new(servers)
	var clients []*tidings
	stop := func() error {
		var failed []error
		for _, c := range clients {
			failed = append(failed, c.close())
		}
		return errors.Join(append(failed, s.stop())...)
	}
	data, err := buildDataset(cfg, progress)
	if err != nil {
		return nil, stop, err
	}
	if s.dir, err = os.MkdirTemp("", "tidings-access-"); err != nil {
		return nil, stop, err
	}
	binary, schemas, err := buildServer(ctx, cfg.serverDir, s.dir, "tidings")
	if err != nil {
		return nil, stop, err
	}
	if err := writeCredentials(ctx, binary, s.dir); err != nil {
		return nil, stop, err
	}
	for i, p := range protections {
		options, err := p.options(s.dir)
		if err != nil {
			return nil, stop, err
		}
		client := func(addr string, data *dataset) (*tidings, error) { return newTidings(addr, data, options...) }
		args := append(serverArgs(filepath.Join(s.dir, fmt.Sprintf("data-%d", i)), cfg.sync, schemas), p.server(s.dir)...)
		c, err := connect(ctx, s, data, client, "tidings with "+p.name, binary, args...)
		if err != nil {
			return nil, stop, err
		}
		clients = append(clients, c)
	}
	return accessRows(cfg, clients, s.processes), stop, nil
}}

func accessRows(cfg config, clients []*tidings, processes []*process) (rows []row) {
	for _, work := range tracedWorks {
		of := section{strings.ToUpper(work.name[:1]) + work.name[1:], "nothing", costing}
		for i, p := range protections {
			name := p.name + ", " + work.name
			rows = append(rows, row{
				name: name, label: p.name, section: of, against: protections[0].name + ", " + work.name, servers: processes[i : i+1],
				measure: func(ctx context.Context, least time.Duration) (sample, error) {
					at := cfg
					at.duration = least
					return work.measure(ctx, clients[i], at)
				},
			})
		}
	}
	return rows
}

// writeCredentials makes an API key, a token with the key of its issuer, and certificates,
// with the commands that users have where there are any.
func writeCredentials(ctx context.Context, binary, dir string) error {
	if out, err := exec.CommandContext(ctx, binary, "dev-cert", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("dev-cert: %w: %s", err, out)
	}
	key, err := exec.CommandContext(ctx, binary, "key", "create", "bench", "--file", filepath.Join(dir, "keys.yaml")).Output()
	if err != nil {
		return fmt.Errorf("key create: %w", err)
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": "https://issuer.example", "sub": "publisher", "aud": "tidings", "exp": time.Now().Add(24 * time.Hour).Unix(),
	})
	token.Header["kid"] = "one"
	signed, err := token.SignedString(private)
	if err != nil {
		return err
	}
	point, err := private.PublicKey.Bytes() // 4, and both coordinates.
	if err != nil {
		return err
	}
	coordinate := func(part []byte) string { return base64.RawURLEncoding.EncodeToString(part) }
	jwks := fmt.Sprintf(`{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","use":"sig","kid":"one","x":%q,"y":%q}]}`,
		coordinate(point[1:33]), coordinate(point[33:]))
	for name, content := range map[string]string{
		"key": string(key), "token": signed, "jwks.json": jwks, "access.yaml": fmt.Sprintf(accessFile, dir),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}
