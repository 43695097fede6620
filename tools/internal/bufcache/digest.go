package bufcache

import (
	"crypto/sha3"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
)

// digestBytes is the length of the SHAKE256 output that Buf uses.
const digestBytes = 64

// b5Digest computes Buf's b5 digest of a module that has no dependencies: the
// digest of the digest of a manifest, which has a line for each file in the
// order of their paths.
func b5Digest(files map[string][]byte) string {
	var manifest strings.Builder
	for _, name := range slices.Sorted(maps.Keys(files)) {
		manifest.WriteString(shake256(files[name]) + "  " + name + "\n")
	}
	content := shake256([]byte(manifest.String()))
	return "b5:" + strings.TrimPrefix(shake256([]byte(content)), "shake256:")
}

func shake256(data []byte) string {
	return "shake256:" + hex.EncodeToString(sha3.SumSHAKE256(data, digestBytes))
}
