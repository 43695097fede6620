package eventlog

import (
	"github.com/cespare/xxhash/v2"
	"google.golang.org/protobuf/encoding/protowire"
)

// Hash is that of several contents in their order. The zero value is that of
// none.
type Hash struct{ sum uint64 }

// Add adds the hash of the next content.
func (h *Hash) Add(next uint64) {
	// Odd, so that nothing is lost, and with bits all over.
	const prime = 0x9E3779B185EBCA87
	h.sum = (h.sum<<7|h.sum>>57)*prime + next
}

// Sum returns the hash.
func (h *Hash) Sum() uint64 { return max(h.sum, 1) }

// HashOf returns the hash of an encoded event. It doesn't depend on the order of
// the fields, so that it is that of the same event in another encoding too, unless
// the encodings of its payload differ. It is never 0.
func HashOf(raw []byte) uint64 {
	var sum uint64
	for rest := raw; len(rest) > 0; {
		_, _, n := protowire.ConsumeField(rest)
		if n < 0 {
			return max(xxhash.Sum64(raw), 1)
		}
		sum += xxhash.Sum64(rest[:n])
		rest = rest[n:]
	}
	return max(sum, 1)
}
