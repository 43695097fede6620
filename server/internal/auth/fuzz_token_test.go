package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
)

// forge makes the signature of a token of the keys that an issuer has, of others that
// it hasn't, or of none.
type forge struct {
	ec, otherEC   *ecdsa.PrivateKey
	rsa, otherRSA *rsa.PrivateKey
	keySet        []byte // As it is published.
}

// signatures are the ways to sign, the first two of which are the issuer's.
var signatures = []func(f *forge, content string) ([]byte, error){
	func(f *forge, content string) ([]byte, error) { return jwt.SigningMethodES256.Sign(content, f.ec) },
	func(f *forge, content string) ([]byte, error) { return jwt.SigningMethodRS256.Sign(content, f.rsa) },
	func(f *forge, content string) ([]byte, error) { return jwt.SigningMethodES256.Sign(content, f.otherEC) },
	func(f *forge, content string) ([]byte, error) {
		return jwt.SigningMethodRS256.Sign(content, f.otherRSA)
	},
	func(f *forge, content string) ([]byte, error) { return jwt.SigningMethodPS256.Sign(content, f.rsa) }, // Not taken.
	func(f *forge, content string) ([]byte, error) { return mac(f.keySet, content), nil },
	func(f *forge, content string) ([]byte, error) { return mac(publicPEM(&f.rsa.PublicKey), content), nil },
	func(f *forge, content string) ([]byte, error) { return mac(publicPEM(&f.ec.PublicKey), content), nil },
	func(f *forge, content string) ([]byte, error) { return mac(f.rsa.N.Bytes(), content), nil },
	func(f *forge, content string) ([]byte, error) { return jwt.SigningMethodES256.Sign(content+" ", f.ec) },
	func(*forge, string) ([]byte, error) { return nil, nil },
	func(*forge, string) ([]byte, error) { return make([]byte, 64), nil }, // r and s are 0.
}

func mac(key []byte, content string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(content))
	return m.Sum(nil)
}

func publicPEM(key crypto.PublicKey) []byte {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// FuzzToken signs a token with whatever header and claims in each of the ways: what the
// issuer's keys haven't signed never authenticates, and what they have does as a reading
// of RFC 7519 and RFC 7515 says, which knows nothing of the code. Other text than tokens
// never does.
func FuzzToken(f *testing.F) {
	var keys forge
	keys.ec, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	keys.otherEC, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	keys.rsa, _ = rsa.GenerateKey(rand.Reader, 2048)
	keys.otherRSA, _ = rsa.GenerateKey(rand.Reader, 2048)
	keys.keySet = jwks(map[string]any{"ec": &keys.ec.PublicKey, "rsa": &keys.rsa.PublicKey})
	access := newPlace(f, "api_keys: keys.yaml\nissuers: [{name: corp, issuer: i, audiences: [t, u], jwks_file: jwks.json}]\n").
		write("keys.yaml", "keys: []").write("jwks.json", string(keys.keySet)).open()
	const claims = `{"iss":"i","aud":"t","sub":"ada","exp":4767053600}`
	for i := range signatures {
		f.Add(uint8(i), `{"alg":"ES256","kid":"ec"}`, claims)
		f.Add(uint8(i), `{"alg":"RS256","kid":"rsa"}`, claims)
		f.Add(uint8(i), `{"alg":"HS256","kid":"rsa"}`, claims)
		f.Add(uint8(i), `{"alg":"none"}`, claims)
	}
	for _, header := range []string{
		`{"alg":"ES256"}`, `{"alg":"ES256","kid":""}`, `{"alg":"ES256","kid":"rsa"}`, `{"alg":"ES256","kid":["ec"]}`, `{"alg":"es256","kid":"ec"}`,
		`{"alg":"ES256","kid":"../ec"}`, `{"alg":"ES256","crit":["exp"],"kid":"ec"}`, `{"alg":"ES256","crit":["b64"],"b64":false}`,
		`{"alg":["ES256"]}`, `{"alg":"RS256","alg":"ES256"}`, `{"ALG":"ES256"}`, `{}`, `[]`, `null`, `{"alg":"ES256","jku":"http://127.0.0.1/"}`,
		`{"alg":"ES256","jwk":{"kty":"oct","k":"AA"}}`, `{"alg":"ES256","zip":"DEF"}`, `{"alg":"ES256"} `, `{"alg":"ES256"}{}`,
	} {
		f.Add(uint8(0), header, claims)
	}
	for _, claims := range []string{
		`{"iss":"i","aud":["x","u"],"sub":"ada","exp":4767053600,"nbf":1,"iat":2.5,"groups":["a","b"]}`, `{"iss":"i","aud":"t","sub":"ada"}`,
		`{"iss":"i","aud":"t","sub":"ada","exp":1}`, `{"iss":"i","aud":"t","sub":"ada","exp":4767053600,"nbf":4767053600}`,
		`{"iss":"i","aud":"t","sub":"ada","exp":4767053600,"iat":4767053600}`, `{"iss":"i","aud":"t","sub":"ada","exp":"4767053600"}`,
		`{"iss":"i","aud":"t","sub":7,"exp":4767053600}`, `{"iss":"i","aud":"t","sub":"a\nb","exp":4767053600}`, `{"iss":"i","aud":"t","sub":"\ud800","exp":4767053600}`,
		`{"iss":"x","iss":"i","aud":"t","sub":"ada","exp":4767053600}`, `{"ISS":"i","aud":"t","sub":"ada","exp":4767053600}`,
		`{"iss":"i","aud":[],"sub":"ada","exp":4767053600}`, `{"iss":"i","aud":["t",1],"sub":"ada","exp":4767053600}`, `{"iss":"i","aud":null,"sub":"ada","exp":4767053600}`,
		`{"iss":"i","aud":"t","sub":"ada","exp":1e300}`, `{"iss":"i","aud":"t","sub":"ada","exp":-1e300}`, `{"iss":"i","aud":"t","sub":"ada","exp":4767053600,"nbf":1e300}`,
		`{"iss":"i","aud":"t","sub":"ada","exp":null}`, `{"iss":"i","aud":"t","sub":"ada","exp":4767053600,"groups":{"a":1}}`, `null`, `[]`, `{`,
	} {
		f.Add(uint8(0), `{"alg":"ES256","kid":"ec"}`, claims)
	}
	f.Add(uint8(255), "Bearer tidings_000000000000_secret", "")
	f.Add(uint8(255), "Bearer eyJhbGciOiJub25lIn0.eyJpc3MiOiJpIn0.", "")
	f.Fuzz(func(t *testing.T, way uint8, header, claims string) {
		authorization, want := header, expectation{}
		if int(way) < len(signatures) {
			encode := base64.RawURLEncoding.EncodeToString
			content := encode([]byte(header)) + "." + encode([]byte(claims))
			signature, err := signatures[way](&keys, content)
			if err != nil {
				t.Fatal(err)
			}
			authorization = "Bearer " + content + "." + encode(signature)
			switch way {
			case 0:
				want = expect("ES256", "ec", header, claims)
			case 1:
				want = expect("RS256", "rsa", header, claims)
			}
			want.valid = want.valid && len(authorization)-len("Bearer ") <= 8192
		}
		session, err := access.Authenticate(Credential{Authorization: authorization})
		switch {
		case err == nil && (!want.valid || session.Principal().Name != "corp:"+want.subject):
			t.Errorf("way %d, header %q, claims %q: authenticated as %q, want %+v", way, header, claims, session.Principal().Name, want)
		case err != nil && want.valid && !want.unsure:
			t.Errorf("way %d, header %q, claims %q: refused: %v", way, header, claims, err)
		case err != nil && authorization != "" && !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrExpired):
			t.Errorf("way %d, header %q, claims %q: %v", way, header, claims, err)
		}
	})
}

// expectation is what becomes of a token that the issuer signed.
type expectation struct {
	valid   bool
	unsure  bool // It may be refused all the same.
	subject string
}

// yearTenThousand is when it begins, in seconds since 1970.
var yearTenThousand = float64(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC).Unix())

// expect reads a token that a key signed, with an algorithm, as the standards say.
func expect(algorithm, keyID, header, claims string) (e expectation) {
	var h, c map[string]any
	if json.Unmarshal([]byte(header), &h) != nil || json.Unmarshal([]byte(claims), &c) != nil {
		return e
	}
	if kid, named := h["kid"]; named && kid != keyID {
		return e
	}
	_, critical := h["crit"] // None of what could be listed is understood: RFC 7515, 4.1.11.
	if h["alg"] != algorithm || critical {
		return e
	}
	for name := range c { // encoding/json takes other cases for the same.
		e.unsure = e.unsure || name != "iss" && strings.EqualFold(name, "iss")
	}
	now, skew := float64(time.Now().Unix()), 30.0
	end, ok := c["exp"].(float64)
	if !ok || end+skew <= now || end >= yearTenThousand {
		return e
	}
	e.unsure = e.unsure || end-now < 60
	for _, name := range []string{"nbf", "iat"} {
		begin, isNumber := c[name].(float64)
		if c[name] == nil {
			continue // Absent, or null.
		}
		if !isNumber || begin-skew > now+1 || begin <= -yearTenThousand {
			return e
		}
		e.unsure = e.unsure || begin-now > -60
	}
	e.subject, _ = c["sub"].(string)
	e.valid = c["iss"] == "i" && meant(c["aud"]) && plain(e.subject) && areGroups(c["groups"])
	return e
}

// meant reports whether an audience is a text, or a list of texts, with one of t and u.
func meant(audience any) (is bool) {
	if one, ok := audience.(string); ok {
		audience = []any{one}
	}
	list, _ := audience.([]any)
	for _, one := range list {
		text, ok := one.(string)
		if !ok {
			return false
		}
		is = is || text == "t" || text == "u"
	}
	return is
}

func plain(name string) bool {
	for _, r := range name {
		if r == utf8.RuneError || unicode.IsControl(r) {
			return false
		}
	}
	return name != "" && len("corp:"+name) <= 2053
}

func areGroups(value any) bool {
	list, ok := value.([]any)
	if _, one := value.(string); one || value == nil {
		return true
	}
	for _, group := range list {
		if _, text := group.(string); !text {
			return false
		}
	}
	return ok && len(list) <= 1000
}
