package delivery

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"

	"example.com/tidings/server/internal/lease"

	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// A delivery token is its form's version, six bytes that tell the subscription
// from every other, the generation, the sequence and the delivery as varints,
// and a message authentication code (HMAC-SHA-256, RFC 2104, its first 12
// bytes), in base64url. Whoever has the subscription's key can tell a token of
// the server from every other text.

const (
	tokenVersion = 1
	uidBytes     = 6
	macBytes     = 12
	// tokenBytes is the size of the longest token before base64.
	tokenBytes = 1 + uidBytes + 3*binary.MaxVarintLen64 + macBytes
)

// Tokens makes and reads the tokens of a subscription. It is for one goroutine.
type Tokens struct {
	prefix [1 + uidBytes]byte
	mac    hash.Hash
	sum    [sha256.Size]byte
}

// NewTokens returns the tokens of a subscription.
func NewTokens(config *storagev1.SubscriptionConfig) *Tokens {
	t := &Tokens{mac: hmac.New(sha256.New, config.GetTokenKey())}
	t.prefix[0] = tokenVersion
	var uid [8]byte
	binary.BigEndian.PutUint64(uid[:], config.GetUid())
	copy(t.prefix[1:], uid[:uidBytes])
	return t
}

func (t *Tokens) append(b []byte, ref lease.Ref) []byte {
	var raw [tokenBytes]byte
	n := copy(raw[:], t.prefix[:])
	n += binary.PutUvarint(raw[n:], ref.Generation)
	n += binary.PutUvarint(raw[n:], uint64(ref.Sequence))
	n += binary.PutUvarint(raw[n:], uint64(ref.Delivery))
	n += copy(raw[n:], t.code(raw[:n]))
	return base64.RawURLEncoding.AppendEncode(b, raw[:n])
}

// code is the message authentication code, good until the next call.
func (t *Tokens) code(message []byte) []byte {
	t.mac.Reset()
	t.mac.Write(message)
	return t.mac.Sum(t.sum[:0])[:macBytes]
}

// Parse returns what a token of the subscription says. ok is false for any other
// text.
func (t *Tokens) Parse(token string) (ref lease.Ref, ok bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	// Base64 passes over line breaks: only what append writes is a token.
	if err != nil || base64.RawURLEncoding.EncodedLen(len(raw)) != len(token) ||
		len(raw) <= len(t.prefix)+macBytes || string(raw[:len(t.prefix)]) != string(t.prefix[:]) {
		return lease.Ref{}, false
	}
	body, code := raw[:len(raw)-macBytes], raw[len(raw)-macBytes:]
	if !hmac.Equal(code, t.code(body)) {
		return lease.Ref{}, false
	}
	rest := body[len(t.prefix):]
	var numbers [3]uint64
	for i := range numbers {
		value, n := binary.Uvarint(rest)
		if n <= 0 {
			return lease.Ref{}, false
		}
		numbers[i], rest = value, rest[n:]
	}
	return lease.Ref{Generation: numbers[0], Sequence: int64(numbers[1]), Delivery: uint32(numbers[2])}, true
}
