package precheck

import (
	"encoding/binary"
	"math"
	"unicode/utf8"
)

// textRule is what a text has to be, besides UTF-8.
type textRule struct {
	orEmpty            bool // Nothing else holds of an empty one.
	minBytes, maxBytes uint64
	// In characters.
	counted            bool
	minRunes, maxRunes uint64
	checks             []textCheck
}

// textCheck reports whether a text, which is UTF-8, is in order. It is told whether
// all of it is ASCII.
type textCheck func(text []byte, ascii bool) bool

func newTextRule() *textRule {
	return &textRule{maxBytes: math.MaxUint64, maxRunes: math.MaxUint64}
}

func (t *textRule) holds(text []byte) bool {
	if t.orEmpty && len(text) == 0 {
		return true
	}
	ascii := isASCII(text)
	if !ascii && !utf8.Valid(text) {
		return false
	}
	size := uint64(len(text))
	if size < t.minBytes || size > t.maxBytes {
		return false
	}
	if t.counted {
		if !ascii {
			size = uint64(utf8.RuneCount(text))
		}
		if size < t.minRunes || size > t.maxRunes {
			return false
		}
	}
	for _, holds := range t.checks {
		if !holds(text, ascii) {
			return false
		}
	}
	return true
}

// isASCII looks at eight bytes at a time.
func isASCII(text []byte) bool {
	const high = 0x8080808080808080
	for len(text) >= 8 {
		if binary.LittleEndian.Uint64(text)&high != 0 {
			return false
		}
		text = text[8:]
	}
	var all byte
	for _, b := range text {
		all |= b
	}
	return all < 0x80
}
