package auth

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"

	"example.com/tidings/server/internal/secure"
)

// Issuer is one that tokens are taken from, such as an OpenID Connect provider or a
// Kubernetes cluster.
type Issuer struct {
	// Name begins the names of its principals: NAME:SUBJECT.
	Name string `yaml:"name"`
	// Issuer is the claim `iss` of its tokens. Without the two below its keys are
	// found by discovery (OpenID Connect Discovery 1.0).
	Issuer string `yaml:"issuer"`
	// JWKSURL is where its keys are. Empty: as the discovery document says.
	JWKSURL string `yaml:"jwks_url"`
	// JWKSFile is a file of its keys, instead of a URL.
	JWKSFile string `yaml:"jwks_file"`
	// CAFile has the certificates to trust in when its keys are fetched. Empty: those
	// of the system.
	CAFile string `yaml:"ca_file"`
	// Audiences are those of which a token names one.
	Audiences []string `yaml:"audiences"`
	// Algorithms are those that a signature may be of. Empty: RS256 and ES256.
	Algorithms []string `yaml:"algorithms"`
	// PrincipalClaim names the claim with the name of the principal. Empty: sub.
	PrincipalClaim string `yaml:"principal_claim"`
	// GroupsClaim names the claim with the list of groups. Empty: groups.
	GroupsClaim string `yaml:"groups_claim"`
	// ClockSkew is how far the issuer's clock may be off, up to 5 minutes. Unset: 30
	// seconds.
	ClockSkew *time.Duration `yaml:"clock_skew"`
}

// The algorithms that a signature may be of: those with a public key.
var algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// The defaults and bounds of issuers.
const (
	defaultClockSkew = 30 * time.Second
	maxClockSkew     = 5 * time.Minute
	// maxTokenBytes bounds a token: what is longer isn't looked at.
	maxTokenBytes = 8 << 10
	// Keys are fetched anew every refreshKeys, so that one which the issuer withdrew
	// is good no longer than that, and for a key that isn't known at most every
	// refreshUnknown.
	refreshKeys    = 5 * time.Minute
	refreshUnknown = 10 * time.Second
	// unknownWait is how long a call with such a key may wait for its turn and the
	// issuer together. One that wouldn't have its turn by then doesn't wait.
	unknownWait   = 2 * time.Second
	fetchTimeout  = 10 * time.Second
	maxFetchBytes = 1 << 20
	maxGroups     = 1000
)

func (i *Issuer) validate() error {
	for _, setting := range []struct {
		name  string
		value *string
		usual string
	}{{"principal_claim", &i.PrincipalClaim, "sub"}, {"groups_claim", &i.GroupsClaim, "groups"}} {
		if *setting.value == "" {
			*setting.value = setting.usual
		}
	}
	if len(i.Algorithms) == 0 {
		i.Algorithms = []string{"RS256", "ES256"}
	}
	if i.ClockSkew == nil {
		i.ClockSkew = new(defaultClockSkew)
	}
	switch {
	case checkName(i.Name) != nil || i.Name == "key" || i.Name == "cert":
		return fmt.Errorf("name: %q is not %s, or it is key or cert", i.Name, nameRule)
	case i.Issuer == "":
		return errors.New("issuer: it is empty")
	case len(i.Audiences) == 0 || slices.Contains(i.Audiences, ""):
		return errors.New("audiences: there have to be some, none empty: without one a token for any other service would be taken")
	case *i.ClockSkew < 0 || *i.ClockSkew > maxClockSkew:
		return fmt.Errorf("clock_skew: %s is not between 0 and %s", *i.ClockSkew, maxClockSkew)
	case i.JWKSFile != "" && (i.JWKSURL != "" || i.CAFile != ""):
		return errors.New("jwks_file: with it there is nothing to fetch, and no use for jwks_url and ca_file")
	}
	for _, algorithm := range i.Algorithms {
		if !slices.Contains(algorithms, algorithm) {
			return fmt.Errorf("algorithms: %q is not one of %s", algorithm, strings.Join(algorithms, ", "))
		}
	}
	if i.JWKSFile != "" {
		return nil
	}
	if i.JWKSURL != "" {
		return validURL("jwks_url", i.JWKSURL)
	}
	return validURL("issuer", i.Issuer)
}

// validURL refuses to fetch keys in a way that others could change, outside of this
// machine.
func validURL(name, text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil {
		return fmt.Errorf("%s: %q is not https://…", name, text)
	}
	if u.Scheme == "https" {
		return nil
	}
	ip, err := netip.ParseAddr(u.Hostname())
	if u.Scheme == "http" && err == nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("%s: %q is not https://…, and only a loopback address can do without", name, text)
}

// tokens verifies the tokens of an issuer.
type tokens struct {
	Issuer

	keys   keyfunc.Keyfunc
	parser *jwt.Parser
}

// open returns what verifies an issuer's tokens. What it fetches in the background
// ends with the context. An issuer that can't be reached now is asked again later.
func (i *Issuer) open(ctx context.Context, log *slog.Logger) (*tokens, error) {
	t := &tokens{
		Issuer: *i,
		parser: jwt.NewParser(jwt.WithValidMethods(i.Algorithms), jwt.WithIssuer(i.Issuer), jwt.WithAudience(i.Audiences...),
			jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(*i.ClockSkew), jwt.WithStrictDecoding()),
	}
	var err error
	if i.JWKSFile != "" {
		t.keys, err = readKeys(i.JWKSFile)
	} else {
		t.keys, err = i.fetchKeys(ctx, log)
	}
	return t, err
}

func readKeys(path string) (keyfunc.Keyfunc, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("jwks_file: %w", err)
	}
	keys, err := keyfunc.NewJWKSetJSON(data)
	if err != nil {
		return nil, fmt.Errorf("jwks_file: %s: %w", path, err)
	}
	all, err := keys.Storage().KeyReadAll(context.Background())
	if err == nil && len(all) == 0 {
		err = errors.New("it has no keys")
	}
	if err != nil {
		return nil, fmt.Errorf("jwks_file: %s: %w", path, err)
	}
	return withUse(keys.Storage())
}

// withUse leaves out keys that are for something else than signatures.
func withUse(storage jwkset.Storage) (keyfunc.Keyfunc, error) {
	return keyfunc.New(keyfunc.Options{Storage: storage, UseWhitelist: []jwkset.USE{jwkset.UseSig, ""}})
}

// fetchKeys returns the keys behind a URL, which is found by discovery where none is
// set.
func (i *Issuer) fetchKeys(ctx context.Context, log *slog.Logger) (keyfunc.Keyfunc, error) {
	client, err := i.httpClient()
	if err != nil {
		return nil, err
	}
	storage, err := jwkset.NewStorageFromHTTP(i.keysURL(), jwkset.HTTPClientStorageOptions{
		Client: client, Ctx: ctx, HTTPTimeout: fetchTimeout, NoErrorReturnFirstHTTPReq: true,
		RefreshInterval: refreshKeys,
		RefreshErrorHandler: func(ctx context.Context, err error) {
			log.WarnContext(ctx, "the keys of an issuer can't be fetched: those from before stay in force", "issuer", i.Name, "error", err)
		},
	})
	if err == nil {
		storage, err = jwkset.NewHTTPClient(jwkset.HTTPClientOptions{
			HTTPURLs:          map[string]jwkset.Storage{i.Issuer: storage},
			RateLimitWaitMax:  unknownWait,
			RefreshUnknownKID: rate.NewLimiter(rate.Every(refreshUnknown), 1),
		})
	}
	if err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	return withUse(storage)
}

// keysURL is the URL that is asked for keys: discovery takes the place of the set that
// it leads to, see discovery.
func (i *Issuer) keysURL() string {
	if i.JWKSURL != "" {
		return i.JWKSURL
	}
	return strings.TrimSuffix(i.Issuer, "/") + "/.well-known/openid-configuration"
}

func (i *Issuer) httpClient() (*http.Client, error) {
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: fetchTimeout}).DialContext,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true,
		ResponseHeaderTimeout: fetchTimeout, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 64 << 10,
	}
	if i.CAFile != "" {
		pool, err := secure.CertPool(i.CAFile)
		if err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
		transport.TLSClientConfig.RootCAs = pool
	}
	var next http.RoundTripper = bounded{transport}
	if i.JWKSURL == "" {
		next = discovery{next, i.Issuer}
	}
	return &http.Client{
		Transport: next, Timeout: fetchTimeout,
		// What keys come from is what was configured, and nothing that it points to.
		CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("redirects aren't followed") },
	}, nil
}

// bounded refuses answers that are longer than keys are.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := b.RoundTripper.RoundTrip(request)
	if err == nil {
		response.Body = http.MaxBytesReader(nil, response.Body, maxFetchBytes)
	}
	return response, err
}

// discovery answers a request for an issuer's configuration with the keys that it
// leads to, so that these are found anew each time they are fetched.
type discovery struct {
	http.RoundTripper

	issuer string
}

func (d discovery) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := d.RoundTripper.RoundTrip(request)
	if err != nil || response.StatusCode != http.StatusOK {
		return response, err
	}
	data, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil {
		return nil, err
	}
	var document struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(data, &document); err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	if document.Issuer != d.issuer {
		return nil, fmt.Errorf("discovery: the document is of the issuer %q, not %q", abridged(document.Issuer), d.issuer)
	}
	if err := validURL("jwks_uri", document.JWKSURI); err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	next, err := http.NewRequestWithContext(request.Context(), http.MethodGet, document.JWKSURI, http.NoBody)
	if err != nil {
		return nil, err
	}
	return d.RoundTripper.RoundTrip(next)
}
