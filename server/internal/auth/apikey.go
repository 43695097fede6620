package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// keyPrefix begins every API key, so that scanners for secrets know it.
const keyPrefix = "tidings_"

// The sizes of the parts of an API key, in bytes before they are encoded.
const (
	keyIDBytes     = 6
	keySecretBytes = 32
)

// Key is what is stored of an API key. The key itself is nowhere: it is
// tidings_ID_SECRET, and Hash is that of its secret. The secret is 256 random bits, so a
// hash that is quick to make gives nothing away.
type Key struct {
	ID      string    `yaml:"id"`
	Name    string    `yaml:"name"`
	Hash    string    `yaml:"sha256"` // In hexadecimal.
	Created time.Time `yaml:"created"`
	// Expires is when it ends. Zero: never.
	Expires time.Time `yaml:"expires,omitempty"`
	// Revoked is when it was revoked. Zero: it wasn't.
	Revoked time.Time `yaml:"revoked,omitempty"`
}

// KeyFile is a file of API keys.
type KeyFile struct {
	Keys []Key `yaml:"keys"`
}

// keyID is what the id of a key looks like.
var keyID = regexp.MustCompile(fmt.Sprintf("^[0-9a-f]{%d}$", 2*keyIDBytes))

// keyName is what a key or an issuer may be called, and nameRule says so.
var keyName = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$`)

const nameRule = "1 to 64 lower-case letters, digits, dots, hyphens and underscores"

func checkName(name string) error {
	if !keyName.MatchString(name) {
		return fmt.Errorf("%q is not %s", name, nameRule)
	}
	return nil
}

// NewKey makes a key, and what is stored of it. Zero for the end: it has none.
func NewKey(name string, now, expires time.Time) (key string, stored Key, err error) {
	if err := checkName(name); err != nil {
		return "", Key{}, err
	}
	random := make([]byte, keyIDBytes+keySecretBytes)
	_, _ = rand.Read(random) // It never fails.
	id, secret := hex.EncodeToString(random[:keyIDBytes]), base64.RawURLEncoding.EncodeToString(random[keyIDBytes:])
	return keyPrefix + id + "_" + secret, Key{
		ID: id, Name: name, Hash: hashOf(secret), Created: now.UTC().Truncate(time.Second), Expires: expires,
	}, nil
}

func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

func (f *KeyFile) validate() error {
	ids := make(map[string]bool)
	for i, key := range f.Keys {
		sum, err := hex.DecodeString(key.Hash)
		switch {
		case key.ID == "" || ids[key.ID]:
			return fmt.Errorf("keys[%d].id: %q is empty or there twice", i, key.ID)
		case checkName(key.Name) != nil:
			return fmt.Errorf("keys[%d].name: %w", i, checkName(key.Name))
		case err != nil || len(sum) != sha256.Size:
			return fmt.Errorf("keys[%d].sha256: it is not 64 hexadecimal digits", i)
		}
		ids[key.ID] = true
	}
	return nil
}

// isKey reports whether a bearer token is an API key rather than a JWT.
func isKey(token string) bool { return strings.HasPrefix(token, keyPrefix) }

// verify returns the principal of a key.
func (f *KeyFile) verify(token string, now time.Time) (Principal, error) {
	id, secret, _ := strings.Cut(strings.TrimPrefix(token, keyPrefix), "_")
	stored := Key{Hash: hashOf("")}
	i := slices.IndexFunc(f.Keys, func(k Key) bool { return k.ID == id })
	if i >= 0 {
		stored = f.Keys[i]
	}
	// The comparison is made also where there is no such key, and takes the same time
	// wherever two hashes differ.
	same := subtle.ConstantTimeCompare([]byte(hashOf(secret)), []byte(strings.ToLower(stored.Hash))) == 1
	switch {
	case i < 0 && !keyID.MatchString(id):
		return Principal{}, fmt.Errorf("%w: it isn't of the form of an API key", ErrInvalid) // It may be a secret.
	case i < 0:
		return Principal{}, fmt.Errorf("%w: there is no API key %s", ErrInvalid, id)
	case !same:
		return Principal{}, fmt.Errorf("%w: the secret of API key %s is another", ErrInvalid, id)
	case !stored.Revoked.IsZero():
		return Principal{}, fmt.Errorf("%w: API key %s was revoked", ErrInvalid, id)
	case !stored.Expires.IsZero() && !now.Before(stored.Expires):
		return Principal{}, fmt.Errorf("%w: API key %s", ErrExpired, id)
	}
	return Principal{Name: "key:" + stored.Name, Expires: stored.Expires}, nil
}

// abridged bounds what a log repeats of somebody's input.
func abridged(text string) string {
	const most = 40
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}
