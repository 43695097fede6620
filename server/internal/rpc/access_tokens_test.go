package rpc_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// tokens are those of an issuer, right and wrong.
type tokens struct {
	t   *testing.T
	key *ecdsa.PrivateKey
}

func newTokens(t *testing.T) tokens {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return tokens{t, key}
}

// issuer writes the keys of the issuer, and returns what an access file says of it.
func (k tokens) issuer(dir string) string {
	k.t.Helper()
	point, err := k.key.PublicKey.Bytes()
	if err != nil {
		k.t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	set := fmt.Sprintf(`{"keys": [{"kid": "one", "kty": "EC", "crv": "P-256", "x": %q, "y": %q}]}`, encode(point[1:33]), encode(point[33:]))
	if err := os.WriteFile(filepath.Join(dir, "jwks.json"), []byte(set), 0o600); err != nil {
		k.t.Fatal(err)
	}
	return "issuers: [{name: corp, issuer: 'https://login.example', audiences: [tidings], jwks_file: jwks.json}]\n"
}

func (k tokens) claims(changes jwt.MapClaims) jwt.MapClaims {
	all := jwt.MapClaims{"iss": "https://login.example", "aud": "tidings", "sub": "ada", "exp": time.Now().Add(time.Hour).Unix()}
	maps.Copy(all, changes)
	return all
}

func (k tokens) sign(method jwt.SigningMethod, key any, changes jwt.MapClaims) string {
	k.t.Helper()
	token := jwt.NewWithClaims(method, k.claims(changes))
	token.Header["kid"] = "one"
	signed, err := token.SignedString(key)
	if err != nil {
		k.t.Fatal(err)
	}
	return signed
}

func (k tokens) right() string { return k.sign(jwt.SigningMethodES256, k.key, nil) }

// wrong are credentials of somebody who would be an admin.
func (k tokens) wrong() map[string]string {
	k.t.Helper()
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		k.t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		k.t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&k.key.PublicKey)
	if err != nil {
		k.t.Fatal(err)
	}
	es256 := func(changes jwt.MapClaims) string { return "Bearer " + k.sign(jwt.SigningMethodES256, k.key, changes) }
	return map[string]string{
		"an expired token":            es256(jwt.MapClaims{"exp": time.Now().Add(-time.Hour).Unix()}),
		"a token not yet valid":       es256(jwt.MapClaims{"nbf": time.Now().Add(time.Hour).Unix()}),
		"a token of another audience": es256(jwt.MapClaims{"aud": "other"}),
		"a token of another issuer":   es256(jwt.MapClaims{"iss": "https://other.example"}),
		"a token of another key":      "Bearer " + k.sign(jwt.SigningMethodES256, other, nil),
		"an RSA signature":            "Bearer " + k.sign(jwt.SigningMethodRS256, rsaKey, nil),
		"alg none":                    "Bearer " + k.sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil),
		"an HMAC with the public key": "Bearer " + k.sign(jwt.SigningMethodHS256, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), nil),
	}
}
