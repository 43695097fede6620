package service

import (
	"unicode/utf8"
)

// What the rules of the contract say of texts, for the fast way of envelope.go.
// It may be stricter than they are, and never takes what they don't.

// The numbers of characters that texts have at most.
const (
	maxRequestID     = 128
	maxID            = 256
	maxSource        = 512
	maxSubject       = 1024
	maxKey           = 512
	maxAttributeName = 20
	maxAttribute     = 4096
)

// lastSecond is the last one of a Timestamp: the end of the year 9999.
const lastSecond = 253402300799

// plainText reports whether a text surely has no more than a number of
// characters, and is a String of CloudEvents.
func plainText(text string, most int) bool {
	if len(text) > most {
		return false
	}
	for i := range len(text) {
		c := text[i]
		if c < 0x20 || c == 0x7f {
			return false
		}
		if c >= utf8.RuneSelf {
			return plainRunes(text[i:])
		}
	}
	return true
}

// plainRunes is plainText for texts that aren't ASCII, but for the length.
func plainRunes(text string) bool {
	for text != "" {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && size == 1, r < 0x20, r >= 0x7f && r <= 0x9f, noncharacter(r):
			return false
		}
		text = text[size:]
	}
	return true
}

// noncharacter reports whether Unicode has set a code point aside forever.
func noncharacter(r rune) bool {
	return r&0xfffe == 0xfffe || r >= 0xfdd0 && r <= 0xfdef
}

// Kinds of characters in a URI (RFC 3986).
const (
	uriScheme = 1 << iota // Letters, digits, `+`, `-` and `.`.
	uriHost               // Those of a name of a host.
	uriPath               // Those of a path and a query, but for `%`.
)

var uriKinds = func() (kinds [256]byte) {
	mark := func(characters string, kind byte) {
		for _, c := range []byte(characters) {
			kinds[c] |= kind
		}
	}
	const letters, digits = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"
	mark(letters+digits+"+-.", uriScheme)
	mark(letters+digits+"-._~!$&'()*+,;=", uriHost|uriPath)
	mark(":@/?", uriPath)
	return kinds
}()

// plainSource reports whether a text surely is a source: a URI-reference. Users,
// addresses in brackets and fragments are left to the rules.
func plainSource(text string) bool {
	if text == "" || len(text) > maxSource {
		return false
	}
	rest := text
	if scheme := spanOf(text, uriScheme); scheme > 0 && scheme < len(text) && text[scheme] == ':' && text[0] >= 'A' {
		rest = text[scheme+1:]
	} else if first := spanOf(text, uriHost); first < len(text) && text[first] == ':' {
		return false // What looks like a scheme is none.
	} else if first < len(text) && text[first] == '@' || first < len(text) && text[first] == '%' {
		return false // There may be a colon behind it.
	}
	if len(rest) > 1 && rest[0] == '/' && rest[1] == '/' {
		rest = rest[2+spanOf(rest[2:], uriHost):]
		if rest != "" && rest[0] == ':' {
			rest = rest[1:]
			for rest != "" && rest[0] >= '0' && rest[0] <= '9' {
				rest = rest[1:]
			}
		}
		if rest != "" && rest[0] != '/' && rest[0] != '?' {
			return false
		}
	}
	for i := 0; i < len(rest); i++ {
		switch c := rest[i]; {
		case uriKinds[c]&uriPath != 0:
		case c == '%' && i+2 < len(rest) && hexadecimal(rest[i+1]) && hexadecimal(rest[i+2]):
			i += 2
		default:
			return false
		}
	}
	return true
}

// spanOf is the length of the characters of a kind with which a text begins.
func spanOf(text string, kind byte) int {
	for i := range len(text) {
		if uriKinds[text[i]]&kind == 0 {
			return i
		}
	}
	return len(text)
}

func hexadecimal(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}
