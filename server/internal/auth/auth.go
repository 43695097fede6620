// Package auth says who makes a call and what they may do: API keys, tokens of OpenID
// Connect issuers and client certificates on one side, roles on topics,
// subscriptions and event types on the other. It knows no transport and no storage.
package auth

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Principal is who makes a call.
type Principal struct {
	// Name is the name in its source, after the source's: key:checkout,
	// cert:spiffe://example.com/checkout, or NAME:SUBJECT of an issuer that the file
	// calls NAME. So no source can give out another's names.
	Name string
	// Groups are those of a token's claim, after the name of its issuer as well.
	Groups []string
	// Expires is when the credential ends. Zero: never.
	Expires time.Time
}

// maxPrincipalBytes bounds the name of a principal, which is recorded with what it
// publishes: a SPIFFE ID has up to 2,048.
const maxPrincipalBytes = 2048 + len("cert:")

// checkPrincipal refuses a name that can't be stored and shown as it is, or that may
// stand for several: U+FFFD is what becomes of anything that isn't Unicode.
func checkPrincipal(name string) error {
	switch {
	case len(name) > maxPrincipalBytes:
		return fmt.Errorf("%w: the name of its principal has %d bytes, at most %d are taken", ErrInvalid, len(name), maxPrincipalBytes)
	case strings.ContainsFunc(name, func(r rune) bool { return r == utf8.RuneError || unicode.IsControl(r) }):
		return fmt.Errorf("%w: the name of its principal %q has control characters or isn't valid Unicode", ErrInvalid, abridged(name))
	default:
		return nil
	}
}

// Credential is what a call presents.
type Credential struct {
	// Authorization is the header of that name. Empty: none.
	Authorization string
	// Certificate is the client's, which TLS has verified. nil: none.
	Certificate *x509.Certificate
}

// The errors of Authenticate. What they wrap is for the log.
var (
	// ErrNoCredential says that a call presents none.
	ErrNoCredential = errors.New("no credential")
	// ErrExpired says that a credential was valid once.
	ErrExpired = errors.New("the credential has expired")
	// ErrInvalid says that a credential isn't valid.
	ErrInvalid = errors.New("the credential isn't valid")
)

// ErrDenied says that a principal may not do something.
var ErrDenied = errors.New("permission denied")

type sessionKey struct{}

// NewContext returns a context with the session of its call.
func NewContext(ctx context.Context, s *Session) context.Context {
	return context.WithValue(ctx, sessionKey{}, s)
}

// FromContext returns the session of a call. nil: the server asks for no credential.
func FromContext(ctx context.Context) *Session {
	s, _ := ctx.Value(sessionKey{}).(*Session)
	return s
}

// Check returns ErrDenied unless the call of a context may do something. Where the
// server asks for no credential, everything is allowed.
func Check(ctx context.Context, p Permission) error {
	s := FromContext(ctx)
	if s == nil {
		return nil
	}
	return s.Check(p)
}
