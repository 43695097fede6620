package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// provider is an OpenID Connect provider.
type provider struct {
	t   *testing.T
	url string

	mu      sync.Mutex
	keys    map[string]any // The public keys, by their ids.
	down    bool
	fetches int
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{t: t, keys: make(map[string]any)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer": %q, "jwks_uri": %q}`, p.url, p.url+"/keys")
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.fetches++
		if p.down {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write(jwks(p.keys))
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	p.url = server.URL
	return p
}

func encodeInt(i *big.Int) string { return base64.RawURLEncoding.EncodeToString(i.Bytes()) }

// jwks is a set of public keys.
func jwks(keys map[string]any) []byte {
	var set struct {
		Keys []map[string]string `json:"keys"`
	}
	for id, key := range keys {
		switch key := key.(type) {
		case *rsa.PublicKey:
			set.Keys = append(set.Keys, map[string]string{"kid": id, "kty": "RSA", "use": "sig", "alg": "RS256", "n": encodeInt(key.N), "e": encodeInt(big.NewInt(int64(key.E)))})
		case *ecdsa.PublicKey:
			point, _ := key.Bytes()
			set.Keys = append(set.Keys, map[string]string{
				"kid": id, "kty": "EC", "crv": "P-256",
				"x": base64.RawURLEncoding.EncodeToString(point[1:33]), "y": base64.RawURLEncoding.EncodeToString(point[33:]),
			})
		}
	}
	data, err := json.Marshal(set)
	if err != nil {
		panic(err)
	}
	return data
}

func (p *provider) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

func (p *provider) access() string {
	return fmt.Sprintf("issuers: [{name: corp, issuer: %q, audiences: [tidings, events]}]\n", p.url)
}

func sign(t *testing.T, method jwt.SigningMethod, key any, id string, all jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, all)
	if id != "" {
		token.Header["kid"] = id
	}
	signed, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestTokens(t *testing.T) {
	p := newProvider(t)
	rsaKey, _ := rsa.GenerateKey(rand.Reader, 2048)
	ecKey, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	other, _ := rsa.GenerateKey(rand.Reader, 2048)
	p.keys["one"], p.keys["two"] = &rsaKey.PublicKey, &ecKey.PublicKey
	access := newPlace(t, p.access()).open()

	now := time.Now()
	good := jwt.MapClaims{
		"iss": p.url, "aud": "tidings", "sub": "ada", "exp": now.Add(time.Hour).Unix(),
		"iat": now.Unix(), "groups": []string{"payments", "staff"},
	}
	with := func(name string, value any) jwt.MapClaims {
		changed := maps.Clone(good)
		changed[name] = value
		if value == nil {
			delete(changed, name)
		}
		return changed
	}
	rs := func(all jwt.MapClaims) string { return sign(t, jwt.SigningMethodRS256, rsaKey, "one", all) }

	session, err := access.Authenticate(withToken(rs(good)))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(session.Principal().Name, session.Principal().Groups); got != "corp:ada[corp:payments corp:staff]" {
		t.Error(got)
	}
	public, err := x509.MarshalPKIXPublicKey(&rsaKey.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	parts := strings.Split(rs(good), ".")
	for name, test := range map[string]struct {
		token string
		want  error
	}{
		"ES256":                           {sign(t, jwt.SigningMethodES256, ecKey, "two", good), nil},
		"no key id":                       {sign(t, jwt.SigningMethodRS256, rsaKey, "", good), nil},
		"one audience of several":         {rs(with("aud", []string{"other", "events"})), nil},
		"expired within the skew":         {rs(with("exp", now.Add(-20*time.Second).Unix())), nil},
		"not yet valid within the skew":   {rs(with("nbf", now.Add(20*time.Second).Unix())), nil},
		"groups in one text":              {rs(with("groups", "staff")), nil},
		"no groups":                       {rs(with("groups", nil)), nil},
		"expired":                         {rs(with("exp", now.Add(-time.Minute).Unix())), ErrExpired},
		"expired, of another audience":    {rs(jwt.MapClaims{"iss": p.url, "aud": "other", "sub": "ada", "exp": 1}), ErrInvalid},
		"no end":                          {rs(with("exp", nil)), ErrInvalid},
		"not yet valid":                   {rs(with("nbf", now.Add(time.Minute).Unix())), ErrInvalid},
		"issued later":                    {rs(with("iat", now.Add(time.Minute).Unix())), ErrInvalid},
		"another audience":                {rs(with("aud", "other")), ErrInvalid},
		"no audience":                     {rs(with("aud", nil)), ErrInvalid},
		"another issuer":                  {rs(with("iss", "https://other.example")), ErrInvalid},
		"no issuer":                       {rs(with("iss", nil)), ErrInvalid},
		"no subject":                      {rs(with("sub", nil)), ErrInvalid},
		"a subject that is a number":      {rs(with("sub", 1)), ErrInvalid},
		"groups that are numbers":         {rs(with("groups", []int{1})), ErrInvalid},
		"too many groups":                 {rs(with("groups", strings.Split(strings.Repeat("g,", maxGroups+1), ","))), ErrInvalid},
		"another key":                     {sign(t, jwt.SigningMethodRS256, other, "one", good), ErrInvalid},
		"the key of another algorithm":    {sign(t, jwt.SigningMethodRS256, rsaKey, "two", good), ErrInvalid},
		"an algorithm that isn't taken":   {sign(t, jwt.SigningMethodRS512, rsaKey, "one", good), ErrInvalid},
		"PSS with a key for PKCS 1":       {sign(t, jwt.SigningMethodPS256, rsaKey, "one", good), ErrInvalid},
		"no signature":                    {sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, "one", good), ErrInvalid},
		"the signature left out":          {parts[0] + "." + parts[1] + ".", ErrInvalid},
		"an HMAC with the public key":     {sign(t, jwt.SigningMethodHS256, publicPEM, "one", good), ErrInvalid},
		"an HMAC with the key's DER":      {sign(t, jwt.SigningMethodHS256, public, "one", good), ErrInvalid},
		"a key id that is a path":         {sign(t, jwt.SigningMethodRS256, rsaKey, "../../one", good), ErrInvalid},
		"a key id that is a query":        {sign(t, jwt.SigningMethodRS256, rsaKey, "one' OR '1'='1", good), ErrInvalid},
		"padding in the encoding":         {parts[0] + "=." + parts[1] + "." + parts[2], ErrInvalid},
		"other claims with the signature": {parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"`+p.url+`","sub":"root"}`)) + "." + parts[2], ErrInvalid},
		"claims that aren't JSON":         {parts[0] + ".e30x." + parts[2], ErrInvalid},
		"too long":                        {rs(with("x", strings.Repeat("a", maxTokenBytes))), ErrInvalid},
		"four parts":                      {rs(good) + ".e30", ErrInvalid},
	} {
		_, err := access.Authenticate(withToken(test.token))
		if !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	embedded := jwt.NewWithClaims(jwt.SigningMethodRS256, good)
	embedded.Header["kid"], embedded.Header["jku"] = "theirs", p.url+"/theirs"
	embedded.Header["jwk"] = json.RawMessage(strings.TrimSuffix(strings.TrimPrefix(string(jwks(map[string]any{"theirs": &other.PublicKey})), `{"keys":[`), "]}"))
	token, err := embedded.SignedString(other)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := access.Authenticate(withToken(token)); !errors.Is(err, ErrInvalid) {
		t.Errorf("a token brings its own key: %v", err)
	}
}

func TestKeysOfAnIssuer(t *testing.T) {
	p := newProvider(t)
	one, _ := rsa.GenerateKey(rand.Reader, 2048)
	two, _ := rsa.GenerateKey(rand.Reader, 2048)
	p.keys["one"] = &one.PublicKey
	place := newPlace(t, p.access())
	access := place.open()
	token := func(key *rsa.PrivateKey, id, subject string) Credential {
		return withToken(sign(t, jwt.SigningMethodRS256, key, id, jwt.MapClaims{"iss": p.url, "aud": "tidings", "sub": subject, "exp": time.Now().Add(time.Hour).Unix()}))
	}
	authenticate := func(c Credential) error {
		_, err := access.Authenticate(c)
		return err
	}
	if err := authenticate(token(one, "one", "a")); err != nil {
		t.Fatal(err)
	}

	// The issuer rotates its key: the new one is found when a token names it.
	p.set(func() { p.keys = map[string]any{"two": &two.PublicKey} })
	if err := authenticate(token(two, "two", "a")); err != nil {
		t.Error(err)
	}
	if err := authenticate(token(one, "one", "b")); !errors.Is(err, ErrInvalid) {
		t.Errorf("a key that was withdrawn: %v", err)
	}

	// Tokens with keys that don't exist don't make the server ask for each.
	before := p.fetches
	for i := range 100 {
		if err := authenticate(token(one, fmt.Sprint("unknown-", i), "a")); !errors.Is(err, ErrInvalid) {
			t.Fatal(err)
		}
	}
	if p.fetches > before+1 {
		t.Errorf("the keys were fetched %d times", p.fetches-before)
	}

	// Without the issuer, the keys stay, also when something else in the file changes.
	p.set(func() { p.down = true })
	place.write("access.yaml", p.access()+"grants: [{principals: ['corp:a'], roles: [admin]}]\n")
	access.look(t.Context())
	session, err := access.Authenticate(token(two, "two", "a"))
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Check(Permission{Action: Monitor}); err != nil {
		t.Error(err)
	}
}

// An issuer that can't be reached when the server starts is asked later.
func TestAnIssuerThatIsDown(t *testing.T) {
	p := newProvider(t)
	key, _ := rsa.GenerateKey(rand.Reader, 2048)
	p.keys["one"], p.down = &key.PublicKey, true
	access := newPlace(t, p.access()).open()
	credential := withToken(sign(t, jwt.SigningMethodRS256, key, "one", jwt.MapClaims{"iss": p.url, "aud": "tidings", "sub": "a", "exp": time.Now().Add(time.Hour).Unix()}))
	p.set(func() { p.down = false })
	if _, err := access.Authenticate(credential); err != nil {
		t.Error(err)
	}
}

// The document of one issuer can't lead to the keys of another.
func TestDiscoveryOfAnotherIssuer(t *testing.T) {
	p := newProvider(t)
	key, _ := rsa.GenerateKey(rand.Reader, 2048)
	p.keys["one"] = &key.PublicKey
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer": %q, "jwks_uri": %q}`, p.url, p.url+"/keys")
	}))
	defer front.Close()
	access := newPlace(t, fmt.Sprintf("issuers: [{name: corp, issuer: %q, audiences: [tidings]}]\n", front.URL)).open()
	credential := withToken(sign(t, jwt.SigningMethodRS256, key, "one", jwt.MapClaims{"iss": front.URL, "aud": "tidings", "sub": "a", "exp": time.Now().Add(time.Hour).Unix()}))
	if _, err := access.Authenticate(credential); !errors.Is(err, ErrInvalid) {
		t.Errorf("%v", err)
	}
}
