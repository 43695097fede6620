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
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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

// accessSuite compares servers that ask who calls, or encrypt, with one that does neither.
var accessSuite = comparedSuite("access", "measure what authentication and TLS cost", func(ctx context.Context, dir, binary string) ([]variant, func() error, error) {
	if err := writeCredentials(ctx, binary, dir); err != nil {
		return nil, nothing, err
	}
	withFile := []string{"--access-file", filepath.Join(dir, "access.yaml")}
	withTLS := []string{"--tls-cert", filepath.Join(dir, "server.pem"), "--tls-key", filepath.Join(dir, "server-key.pem")}
	withCertificates := append(slices.Concat(withTLS, withFile), "--tls-client-ca", filepath.Join(dir, "ca.pem"), "--tls-client-auth", "required")
	key, noKey := credentialIn(filepath.Join(dir, "key"))
	token, noToken := credentialIn(filepath.Join(dir, "token"))
	encrypted, noAuthority := trusting(dir, false)
	certified, noCertificate := trusting(dir, true)
	return []variant{
		{name: "nothing"},
		{name: "an API key", args: withFile, options: key},
		{name: "a JWT", args: withFile, options: token},
		{name: "TLS", args: withTLS, options: encrypted},
		{name: "mTLS, the certificate says who calls", args: withCertificates, options: certified},
	}, nothing, errors.Join(noKey, noToken, noAuthority, noCertificate)
})

// credentialIn sends what a file holds with each call.
func credentialIn(file string) ([]grpc.DialOption, error) {
	content, err := os.ReadFile(file)
	return []grpc.DialOption{grpc.WithPerRPCCredentials(bearer(strings.TrimSpace(string(content))))}, err
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
