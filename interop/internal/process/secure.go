package process

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"example.com/tidings/internal/testserver"
)

// Secure is a server with TLS that asks for credentials.
type Secure struct {
	*testserver.Server

	CAFile    string // The authority that its certificate is of.
	TokenFile string // An API key for the principal SecurePrincipal.
}

// SecurePrincipal may create, publish to and read all topics of a Secure server.
const SecurePrincipal = "key:interop"

const accessFile = `api_keys: keys.yaml
grants:
- principals: ["` + SecurePrincipal + `"]
  roles: [publish, read, manage]
  topics: ["*"]
`

// StartSecure is StartServer for a server with TLS that asks for credentials.
func StartSecure(ctx context.Context, root, dir string) (*Secure, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	binary, err := testserver.Build(ctx, filepath.Join(root, "server"), "tidings", dir)
	if err != nil {
		return nil, err
	}
	certs, keys, access := filepath.Join(dir, "certs"), filepath.Join(dir, "keys.yaml"), filepath.Join(dir, "access.yaml")
	if out, err := exec.CommandContext(ctx, binary, "dev-cert", certs).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("making certificates: %w\n%s", err, out)
	}
	key, err := exec.CommandContext(ctx, binary, "key", "create", "interop", "--file", keys).Output()
	if err != nil {
		return nil, fmt.Errorf("making an API key: %w", err)
	}
	s := &Secure{CAFile: filepath.Join(certs, "ca.pem"), TokenFile: filepath.Join(dir, "interop.key")}
	schemas := filepath.Join(dir, "schemas.binpb")
	for path, content := range map[string][]byte{s.TokenFile: key, access: []byte(accessFile)} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return nil, err
		}
	}
	if err := writeSchemas(schemas); err != nil {
		return nil, err
	}
	s.Server, err = testserver.Serve(ctx, exec.CommandContext(ctx, binary, "serve",
		"--data-dir", filepath.Join(dir, "data"), "--schemas", schemas, "--log-level", "warn", "--access-file", access,
		"--tls-cert", filepath.Join(certs, "server.pem"), "--tls-key", filepath.Join(certs, "server-key.pem")))
	if err != nil {
		return nil, fmt.Errorf("the server with TLS: %w", err)
	}
	return s, nil
}
