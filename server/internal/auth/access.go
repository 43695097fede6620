package auth

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"example.com/tidings/server/internal/guard"
)

// Access decides who makes a call and what they may do, by an access file that may
// change. It may be used by many goroutines.
type Access struct {
	path  string
	log   *slog.Logger
	count func(applied bool)
	now   func() time.Time

	current  atomic.Pointer[rules]
	mu       sync.Mutex
	sessions map[*Session]struct{} // Those of streams.
	content  []byte                // Of the files, as they were last looked at.
}

// rules are what an access file says at some time.
type rules struct {
	policy       Policy
	quotas       Quotas
	keys         *KeyFile      // nil: no API keys are taken.
	certificates *Certificates // nil: no certificates are taken.
	issuers      map[string]*openIssuer
	tokens       tokenCache
}

// openIssuer is an issuer whose keys are at hand. It stays the same while what is said
// of it does, so that another change doesn't need the issuer to answer.
type openIssuer struct {
	*tokens

	said  Issuer
	files []byte
	close context.CancelFunc
}

// How often the files are looked at.
const lookEvery = time.Second

// Open reads an access file and goes on to follow it until the context ends or close
// is called, which waits for that. A later content that is wrong leaves the one before
// in force; count is told of both.
func Open(ctx context.Context, path string, log *slog.Logger, count func(applied bool)) (a *Access, closeAccess func(), err error) {
	a = &Access{path: path, log: log, count: count, now: time.Now, sessions: make(map[*Session]struct{})}
	ctx, cancel := context.WithCancel(ctx)
	if a.content, err = a.read(); err == nil {
		err = a.load(ctx)
	}
	if err != nil {
		cancel()
		return nil, nil, err
	}
	var following guard.Group
	following.Go(func() error { a.follow(ctx); return nil }, guard.Log(log, "following the access file"))
	return a, func() {
		cancel()
		following.Wait()
	}, nil
}

// read returns the contents of all files, one after the other.
func (a *Access) read() ([]byte, error) {
	content, err := os.ReadFile(a.path)
	if err != nil {
		return nil, err
	}
	f, err := parseFile(a.path, content)
	if err != nil {
		return content, nil //nolint:nilerr // It is what load says of it.
	}
	for _, path := range f.files() {
		part, err := os.ReadFile(path)
		content = fmt.Appendf(content, "\n%s %d %v\n%s", path, len(part), err, part)
	}
	return content, nil
}

// files are the others that a file names.
func (f *File) files() []string {
	var paths []string
	if f.APIKeys != "" {
		paths = append(paths, f.APIKeys)
	}
	for _, issuer := range f.Issuers {
		paths = append(paths, issuer.files()...)
	}
	return paths
}

func (i *Issuer) files() []string {
	return slices.DeleteFunc([]string{i.JWKSFile, i.CAFile}, func(path string) bool { return path == "" })
}

func (a *Access) follow(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			a.look(ctx)
		}
	}
}

// look puts the files in force where they have changed.
func (a *Access) look(ctx context.Context) {
	content, err := a.read()
	if errors.Is(err, os.ErrNotExist) || err == nil && bytes.Equal(content, a.content) {
		return // Where there is none it is being replaced, or it will be missed at the next start.
	}
	a.content = content
	if err == nil {
		err = a.load(ctx)
	}
	a.count(err == nil)
	if err != nil {
		a.log.Error("access file not reloaded, the old one stays in force", "path", a.path, "error", err)
		return
	}
	a.log.Info("access file reloaded", "path", a.path)
}

// load puts the files in force and ends the streams that may no longer go on.
func (a *Access) load(ctx context.Context) error {
	f, err := ReadFile(a.path)
	if err != nil {
		return err
	}
	old := a.current.Load()
	next := &rules{policy: f.Grants, quotas: f.Quotas, certificates: f.ClientCertificates, issuers: make(map[string]*openIssuer)}
	if f.APIKeys != "" {
		if next.keys, err = ReadKeys(f.APIKeys); err != nil {
			return fmt.Errorf("api_keys: %w", err)
		}
	}
	for i, issuer := range f.Issuers {
		opened, err := issuer.openOr(ctx, old, a.log)
		if err != nil {
			next.closeBut(old)
			return fmt.Errorf("%s: issuers[%d].%w", a.path, i, err)
		}
		next.issuers[issuer.Issuer] = opened
	}
	a.current.Store(next)
	if old != nil {
		old.closeBut(next)
	}
	a.mu.Lock()
	open := make([]*Session, 0, len(a.sessions))
	for session := range a.sessions {
		open = append(open, session)
	}
	a.mu.Unlock()
	for _, session := range open {
		session.again()
	}
	return nil
}

// openOr opens an issuer, or returns the one that is open already.
func (i *Issuer) openOr(ctx context.Context, old *rules, log *slog.Logger) (*openIssuer, error) {
	var files []byte
	for _, path := range i.files() {
		part, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		files = append(files, part...)
	}
	if old != nil {
		if before := old.issuers[i.Issuer]; before != nil && reflect.DeepEqual(before.said, *i) && bytes.Equal(before.files, files) {
			return before, nil
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	opened, err := i.open(ctx, log)
	if err != nil {
		cancel()
		return nil, err
	}
	return &openIssuer{opened, *i, files, cancel}, nil
}

// closeBut closes the issuers that others don't have.
func (r *rules) closeBut(others *rules) {
	for name, issuer := range r.issuers {
		if others == nil || others.issuers[name] != issuer {
			issuer.close()
		}
	}
}

// bearer is the scheme of the Authorization header, whose case doesn't count.
const bearer = "bearer "

// Authenticate returns the session of a call that presents a credential. The error
// wraps ErrNoCredential, ErrExpired or ErrInvalid.
func (a *Access) Authenticate(c Credential) (*Session, error) {
	r := a.current.Load()
	principal, err := r.authenticate(c, a.now())
	if err != nil {
		return nil, err
	}
	return &Session{access: a, credential: c, rules: r, principal: principal}, nil
}

func (r *rules) authenticate(c Credential, now time.Time) (Principal, error) {
	principal, err := r.identify(c, now)
	if err == nil {
		err = checkPrincipal(principal.Name)
	}
	if err != nil {
		return Principal{}, err
	}
	return principal, nil
}

func (r *rules) identify(c Credential, now time.Time) (Principal, error) {
	if c.Authorization == "" {
		if c.Certificate == nil || r.certificates == nil {
			return Principal{}, ErrNoCredential
		}
		return r.certificates.verify(c.Certificate)
	}
	if len(c.Authorization) < len(bearer) || !strings.EqualFold(c.Authorization[:len(bearer)], bearer) {
		return Principal{}, fmt.Errorf("%w: the Authorization header isn't of the scheme Bearer", ErrInvalid)
	}
	token := strings.TrimSpace(c.Authorization[len(bearer):])
	if isKey(token) {
		if r.keys == nil {
			return Principal{}, fmt.Errorf("%w: no API keys are taken", ErrInvalid)
		}
		return r.keys.verify(token, now)
	}
	return r.tokens.get(token, now, func() (Principal, error) {
		name, err := issuerOf(token)
		if err != nil {
			return Principal{}, err
		}
		issuer := r.issuers[name]
		if issuer == nil {
			return Principal{}, fmt.Errorf("%w: tokens of the issuer %q aren't taken", ErrInvalid, abridged(name))
		}
		return issuer.verify(token)
	})
}

// tokenCache has the tokens that were verified, for a while: a signature costs more
// than a call.
type tokenCache struct {
	mu       sync.Mutex
	verified map[[sha256.Size]byte]cachedToken
}

type cachedToken struct {
	principal Principal
	until     time.Time
}

// The bounds of the cache. A key that was withdrawn is good for keepToken longer.
const (
	maxTokens = 4096
	keepToken = time.Minute
)

// get returns the principal of a token, which verify finds where it isn't known.
func (c *tokenCache) get(token string, now time.Time, verify func() (Principal, error)) (Principal, error) {
	if len(token) > maxTokenBytes {
		return verify()
	}
	sum := sha256.Sum256([]byte(token))
	c.mu.Lock()
	cached, ok := c.verified[sum]
	c.mu.Unlock()
	if ok && now.Before(cached.until) && now.Before(cached.principal.Expires) {
		return cached.principal, nil
	}
	principal, err := verify()
	if err != nil {
		return Principal{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.verified == nil || len(c.verified) >= maxTokens {
		c.verified = make(map[[sha256.Size]byte]cachedToken)
	}
	c.verified[sum] = cachedToken{principal, now.Add(keepToken)}
	return principal, nil
}
