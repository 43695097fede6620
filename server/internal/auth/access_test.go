package auth

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// place is a directory with an access file that a test changes.
type place struct {
	t      testing.TB
	dir    string
	access *Access
}

func newPlace(t testing.TB, content string) *place {
	t.Helper()
	p := &place{t: t, dir: t.TempDir()}
	return p.write("access.yaml", content)
}

func (p *place) write(name, content string) *place {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(content), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return p
}

// open opens the access file. It is looked at when the test says so.
func (p *place) open() *Access {
	p.t.Helper()
	access, closeAccess, err := Open(p.t.Context(), filepath.Join(p.dir, "access.yaml"), slog.New(slog.DiscardHandler), func(bool) {})
	if err != nil {
		p.t.Fatal(err)
	}
	closeAccess() // Its own clock isn't needed.
	p.access = access
	return access
}

func (p *place) addKey(name string, expires time.Time) string {
	p.t.Helper()
	path := filepath.Join(p.dir, "keys.yaml")
	file, err := ReadKeys(path)
	if errors.Is(err, os.ErrNotExist) {
		file, err = new(KeyFile), nil
	}
	key, stored, keyErr := NewKey(name, time.Now(), expires)
	if err = errors.Join(err, keyErr); err != nil {
		p.t.Fatal(err)
	}
	file.Keys = append(file.Keys, stored)
	if err := file.Write(path); err != nil {
		p.t.Fatal(err)
	}
	return key
}

func (p *place) revoke(name string) {
	p.t.Helper()
	path := filepath.Join(p.dir, "keys.yaml")
	file, err := ReadKeys(path)
	if err != nil {
		p.t.Fatal(err)
	}
	for i := range file.Keys {
		if file.Keys[i].Name == name {
			file.Keys[i].Revoked = time.Now()
		}
	}
	if err := file.Write(path); err != nil {
		p.t.Fatal(err)
	}
}

const keysOnly = `api_keys: keys.yaml
grants:
- principals: ["key:checkout"]
  roles: [publish]
  topics: [orders]
`

func withToken(token string) Credential { return Credential{Authorization: "Bearer " + token} }

func TestAPIKeys(t *testing.T) {
	p := newPlace(t, keysOnly)
	key := p.addKey("checkout", time.Time{})
	late := p.addKey("late", time.Now().Add(-time.Second))
	soon := p.addKey("soon", time.Now().Add(time.Hour))
	access := p.open()

	session, err := access.Authenticate(withToken(key))
	if err != nil {
		t.Fatal(err)
	}
	if session.Principal().Name != "key:checkout" || !session.Principal().Expires.IsZero() {
		t.Errorf("%+v", session.Principal())
	}
	if err := session.Check(Permission{Action: Publish, Topic: "orders"}); err != nil {
		t.Error(err)
	}
	if err := session.Check(Permission{Action: Read, Topic: "orders"}); !errors.Is(err, ErrDenied) || !strings.Contains(err.Error(), `key:checkout may not read topic "orders"`) {
		t.Error(err)
	}
	if session, err := access.Authenticate(Credential{Authorization: "bearer  " + soon}); err != nil || session.Principal().Expires.IsZero() {
		t.Error(err)
	}
	id, _, _ := strings.Cut(strings.TrimPrefix(key, keyPrefix), "_")
	for credential, want := range map[string]error{
		"":                                 ErrNoCredential,
		"Bearer " + late:                   ErrExpired,
		"Bearer " + key + "x":              ErrInvalid,
		"Bearer " + key[:len(key)-1]:       ErrInvalid,
		"Bearer tidings_" + id + "_":       ErrInvalid,
		"Bearer tidings_" + id:             ErrInvalid,
		"Bearer tidings_000000000000_abcd": ErrInvalid,
		"Bearer ":                          ErrInvalid,
		"Bearer":                           ErrInvalid,
		"Basic " + key:                     ErrInvalid,
		key:                                ErrInvalid,
		"Bearer a.b.c":                     ErrInvalid,
		"Bearer " + strings.Repeat("a", 1<<20) + ".b.c": ErrInvalid,
	} {
		if _, err := access.Authenticate(Credential{Authorization: credential}); !errors.Is(err, want) {
			t.Errorf("%.60q: %v, want %v", credential, err, want)
		} else if strings.Contains(err.Error(), key[len(key)-20:]) {
			t.Errorf("the error tells the key: %v", err)
		}
	}

	stored, err := os.ReadFile(filepath.Join(p.dir, "keys.yaml"))
	if err != nil || strings.Contains(string(stored), key[len(keyPrefix)+13:]) {
		t.Error("the file has the key", err)
	}
	if info, err := os.Stat(filepath.Join(p.dir, "keys.yaml")); err != nil || info.Mode().Perm() != 0o600 {
		t.Error("others can read the file of the keys", err)
	}
}

// What a stream was allowed is held to the rules as they change.
func TestStreamsEndWithTheirRights(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*place)
		want   error
	}{
		"the key is revoked":    {func(p *place) { p.revoke("checkout") }, ErrInvalid},
		"the grant is gone":     {func(p *place) { p.write("access.yaml", strings.ReplaceAll(keysOnly, "orders", "others")) }, ErrDenied},
		"another grant remains": {func(p *place) { p.write("access.yaml", strings.ReplaceAll(keysOnly, "orders", "o*")) }, nil},
		"the file is broken":    {func(p *place) { p.write("access.yaml", "grants: [") }, nil},
		"a field is misspelt":   {func(p *place) { p.write("access.yaml", keysOnly+"grant: []\n") }, nil},
		"the keys are broken":   {func(p *place) { p.write("keys.yaml", "keys: [{}]") }, nil},
		"the file is gone":      {func(p *place) { _ = os.Remove(filepath.Join(p.dir, "access.yaml")) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t, keysOnly)
			key := p.addKey("checkout", time.Time{})
			access := p.open()
			session, err := access.Authenticate(withToken(key))
			if err != nil {
				t.Fatal(err)
			}
			ctx, end := session.Stream(t.Context())
			if err := session.Check(Permission{Action: Publish, Topic: "orders"}); err != nil {
				t.Fatal(err)
			}
			test.change(p)
			access.look(t.Context())
			if cause := context.Cause(ctx); !errors.Is(cause, test.want) {
				t.Errorf("the stream ended with %v, want %v", cause, test.want)
			}
			end()
			if len(access.sessions) != 0 {
				t.Error("the session is kept")
			}
			// A new call is judged as the old one was.
			session, err = access.Authenticate(withToken(key))
			if err == nil {
				err = session.Check(Permission{Action: Publish, Topic: "orders"})
			}
			if !errors.Is(err, test.want) {
				t.Errorf("a new call: %v, want %v", err, test.want)
			}
		})
	}
}

func TestStreamsEndWhenTheirCredentialExpires(t *testing.T) {
	p := newPlace(t, keysOnly)
	key := p.addKey("checkout", time.Now().Add(300*time.Millisecond))
	session, err := p.open().Authenticate(withToken(key))
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := session.Stream(t.Context())
	defer end()
	<-ctx.Done()
	if !errors.Is(context.Cause(ctx), ErrExpired) {
		t.Error(context.Cause(ctx))
	}
}

func TestCertificates(t *testing.T) {
	uri := func(text string) *url.URL {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	certificate := &x509.Certificate{
		Subject: named("Checkout"), DNSNames: []string{"a.example.com", "b.example.com"},
		URIs: []*url.URL{uri("spiffe://example.com/checkout")}, NotAfter: time.Now().Add(time.Hour),
	}
	for name, want := range map[NameSource]string{NameURI: "cert:spiffe://example.com/checkout", NameSubject: "cert:Checkout", NameDNS: ""} {
		access := newPlace(t, "client_certificates: {name: "+string(name)+"}\n").open()
		session, err := access.Authenticate(Credential{Certificate: certificate})
		if want == "" {
			if !errors.Is(err, ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || session.Principal().Name != want || session.Principal().Expires != certificate.NotAfter {
			t.Errorf("%s: %v", name, err)
		}
	}
	access := newPlace(t, "client_certificates: {name: subject}\n").open()
	for name, taken := range map[string]bool{
		"Checkout é": true, strings.Repeat("x", 2048): true, strings.Repeat("x", 2049): false,
		"a\nb": false, "a\x00": false, "a\u0085": false, "T61 \xe9": false, "\ufffd": false, "": false,
	} {
		certificate.Subject = named(name)
		if _, err := access.Authenticate(Credential{Certificate: certificate}); (err == nil) != taken || !taken && !errors.Is(err, ErrInvalid) {
			t.Errorf("%.20q: %v", name, err)
		}
	}
	certificate.Subject = named("one", "two")
	if _, err := access.Authenticate(Credential{Certificate: certificate}); !errors.Is(err, ErrInvalid) {
		t.Errorf("with two common names: %v", err)
	}
	p := newPlace(t, keysOnly)
	p.addKey("checkout", time.Time{})
	if _, err := p.open().Authenticate(Credential{Certificate: certificate}); !errors.Is(err, ErrNoCredential) {
		t.Errorf("certificates aren't taken: %v", err)
	}
}

// named is a subject as it is parsed from a certificate.
func named(commonNames ...string) (subject pkix.Name) {
	for _, name := range commonNames {
		subject.Names = append(subject.Names, pkix.AttributeTypeAndValue{Type: commonName, Value: name})
	}
	return subject
}

func TestFilesThatAreWrong(t *testing.T) {
	for content, want := range map[string]string{
		"":                                  "nobody can be told apart",
		"grants: []":                        "nobody can be told apart",
		"api_key: keys.yaml":                "field api_key not found",
		"api_keys: none.yaml":               "no such file",
		"client_certificates: {name: cn}":   `client_certificates.name: "cn" is not uri, dns or subject`,
		"issuers: [{name: key}]":            `issuers[0].name: "key" is not`,
		"issuers: [{name: a}]":              "issuers[0].issuer: it is empty",
		"issuers: [{name: a, issuer: 'x'}]": "issuers[0].audiences: there have to be some",
		"issuers: [{name: a, issuer: 'http://example.com', audiences: [t]}]":                                `issuers[0].issuer: "http://example.com" is not https://`,
		"issuers: [{name: a, issuer: 'https://e.example', audiences: [t], algorithms: [HS256]}]":            `issuers[0].algorithms: "HS256" is not one of`,
		"issuers: [{name: a, issuer: 'https://e.example', audiences: [t], algorithms: [none]}]":             `issuers[0].algorithms: "none" is not one of`,
		"issuers: [{name: a, issuer: 'https://e.example', audiences: [t], clock_skew: 6m}]":                 "issuers[0].clock_skew: 6m0s is not between 0 and 5m0s",
		"issuers: [{name: a, issuer: x, audiences: [t], jwks_file: none.json}]":                             "no such file",
		"issuers: [{name: a, issuer: x, audiences: [t], jwks_file: j.json, jwks_url: 'https://e.example'}]": "issuers[0].jwks_file: with it there is nothing to fetch",
		"issuers: [{name: a, issuer: x, audiences: [t], jwks_file: empty.json}]":                            "it has no keys",
	} {
		p := newPlace(t, content).write("empty.json", `{"keys": []}`)
		_, _, err := Open(t.Context(), filepath.Join(p.dir, "access.yaml"), slog.New(slog.DiscardHandler), func(bool) {})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n got %v\nwant %s", content, err, want)
		}
	}
}
