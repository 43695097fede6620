package command

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Text from a server may hold anything, and none of it may control the terminal
// or show something else than it is.

// controls reports whether a character isn't shown but does something: controls,
// marks of direction, what has no width, and separators that some take for the
// end of a line. Line feeds and tabs are harmless.
func controls(r rune) bool {
	return r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp))
}

// Printable writes controls as JSON escapes them. What isn't UTF-8 becomes
// U+FFFD.
func Printable(text string) string {
	if plain(text) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		switch {
		case !controls(r):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// printableJSON is printable for a document in JSON, which means the same then.
func printableJSON(document []byte) []byte {
	if plain(document) {
		return document
	}
	return []byte(Printable(string(document)))
}

// WithoutControls drops them.
func WithoutControls(text string) string {
	return strings.Map(func(r rune) rune {
		if controls(r) {
			return -1
		}
		return r
	}, text)
}

// plain reports whether a text is ASCII that controls nothing: most are.
func plain[T string | []byte](text T) bool {
	for i := range len(text) {
		if c := text[i]; c >= utf8.RuneSelf || c == 0x7f || c < ' ' && c != '\n' && c != '\t' {
			return false
		}
	}
	return true
}
