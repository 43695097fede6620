package jsonwire

import (
	"encoding/binary"
	"math/bits"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// space passes over white space.
func (r *run) space() {
	for r.pos < len(r.in) {
		switch r.in[r.pos] {
		case ' ', '\n', '\r', '\t':
			r.pos++
		default:
			return
		}
	}
}

// next passes over white space and returns the byte that follows, or 0.
func (r *run) next() byte {
	if r.pos < len(r.in) && r.in[r.pos] > ' ' {
		return r.in[r.pos]
	}
	r.space()
	if r.pos < len(r.in) {
		return r.in[r.pos]
	}
	return 0
}

// take passes over a byte that comes next, after white space.
func (r *run) take(c byte) bool {
	if r.next() != c {
		return false
	}
	r.pos++
	return true
}

// literal passes over a word that comes next.
func (r *run) literal(word string) bool {
	if len(r.in)-r.pos < len(word) || string(r.in[r.pos:r.pos+len(word)]) != word {
		return false
	}
	r.pos += len(word)
	return true
}

// special returns the place, from one on, of the first byte of a text that isn't
// ASCII, a control character, a quotation mark or a backslash, or the end of the
// text.
func special(text []byte, at int) int {
	const (
		ones  = 0x0101010101010101
		highs = 0x80 * ones
	)
	for ; at+8 <= len(text); at += 8 {
		v := binary.LittleEndian.Uint64(text[at:])
		quotes, slashes := v^('"'*ones), v^('\\'*ones)
		// Each byte that is looked for borrows from the next one, so that the lowest
		// bit that is set is right.
		if found := ((v - ' '*ones) | (quotes - ones) | (slashes - ones) | v) & highs; found != 0 {
			return at + bits.TrailingZeros64(found)/8
		}
	}
	for at < len(text) && !isSpecial(text[at]) {
		at++
	}
	return at
}

func isSpecial(b byte) bool { return b < ' ' || b == '"' || b == '\\' || b >= utf8.RuneSelf }

// text passes over a text that comes next, and returns what is between its quotation
// marks, as it stands there.
func (r *run) text() (raw []byte, escaped, ok bool) {
	if !r.take('"') {
		return nil, false, false
	}
	begin, ascii := r.pos, true
	for at := begin; ; at++ {
		if at = special(r.in, at); at >= len(r.in) {
			return nil, false, false
		}
		switch c := r.in[at]; {
		case c == '"':
			r.pos = at + 1
			raw = r.in[begin:at]
			return raw, escaped, ascii || utf8.Valid(raw)
		case c == '\\':
			escaped = true
			at++ // What follows is no end, whatever it is.
		case c < ' ':
			return nil, false, false
		default:
			ascii = false
		}
	}
}

// plain is text for those that have no escapes.
func (r *run) plain() (raw []byte, ok bool) {
	raw, escaped, ok := r.text()
	return raw, ok && !escaped
}

// unescape appends a text to the output that has escapes, and no control characters.
func (r *run) unescape(raw []byte) bool {
	for at := 0; at < len(raw); {
		c := raw[at]
		if c != '\\' {
			r.out = append(r.out, c)
			at++
			continue
		}
		if at+1 >= len(raw) {
			return false
		}
		switch c = raw[at+1]; c {
		case '"', '\\', '/':
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			letter, size := unicodeEscape(raw[at:])
			if size == 0 {
				return false
			}
			r.out = utf8.AppendRune(r.out, letter)
			at += size
			continue
		default:
			return false
		}
		r.out = append(r.out, c)
		at += 2
	}
	return true
}

// unicodeEscape returns the character of an escape such as \u00e9, or of two that are
// a surrogate pair, and how many bytes it takes: 0 where it isn't one.
func unicodeEscape(raw []byte) (letter rune, size int) {
	const one = len(`\u00e9`)
	first, ok := hexadecimal(raw)
	if !ok {
		return 0, 0
	}
	if !utf16.IsSurrogate(first) {
		return first, one
	}
	second, ok := hexadecimal(raw[one:])
	letter = utf16.DecodeRune(first, second)
	if !ok || letter == utf8.RuneError {
		return 0, 0
	}
	return letter, 2 * one
}

func hexadecimal(raw []byte) (rune, bool) {
	if len(raw) < 6 || raw[0] != '\\' || raw[1] != 'u' {
		return 0, false
	}
	var code rune
	for _, c := range raw[2:6] {
		switch {
		case c >= '0' && c <= '9':
			code = code<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			code = code<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return code, true
}

// digits returns where the digits that stand from a place on end.
func digits(text []byte, at int) int {
	for at < len(text) && text[at] >= '0' && text[at] <= '9' {
		at++
	}
	return at
}

// whole parses a text that is a whole number and nothing else, in its usual form:
// its sign, and its absolute value.
func whole(text []byte) (negative bool, value uint64, ok bool) {
	if len(text) > 0 && text[0] == '-' {
		negative, text = true, text[1:]
	}
	const safe = 19 // Digits that can't overflow.
	if len(text) == 0 || text[0] == '0' && (len(text) > 1 || negative) || digits(text, 0) != len(text) {
		return false, 0, false
	}
	if len(text) > safe {
		value, err := strconv.ParseUint(string(text), 10, 64)
		return negative, value, err == nil
	}
	for _, c := range text {
		value = value*10 + uint64(c-'0')
	}
	return negative, value, true
}

// number passes over a number that comes next, in JSON's grammar.
func (r *run) number() (raw []byte, ok bool) {
	r.next()
	begin, at := r.pos, r.pos
	if at < len(r.in) && r.in[at] == '-' {
		at++
	}
	end := digits(r.in, at)
	if end == at || r.in[at] == '0' && end > at+1 {
		return nil, false
	}
	at = end
	if at < len(r.in) && r.in[at] == '.' {
		if end = digits(r.in, at+1); end == at+1 {
			return nil, false
		}
		at = end
	}
	if at < len(r.in) && r.in[at]|0x20 == 'e' {
		at++
		if at < len(r.in) && (r.in[at] == '+' || r.in[at] == '-') {
			at++
		}
		if end = digits(r.in, at); end == at {
			return nil, false
		}
		at = end
	}
	r.pos = at
	return r.in[begin:at], true
}
