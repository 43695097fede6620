package precheck

import (
	"bytes"
	"strings"
)

// The well-known formats of protovalidate, as far as they are told with ease: what
// is left out is in doubt.

// formats are those of texts, by the names of their rules.
var formats = map[string]textCheck{
	"email":         func(text []byte, _ bool) bool { return isEmail(text) },
	"hostname":      func(text []byte, _ bool) bool { return isHostname(text) },
	"ip":            func(text []byte, _ bool) bool { return isIPv4(text) || isIPv6(text) },
	"ipv4":          func(text []byte, _ bool) bool { return isIPv4(text) },
	"ipv6":          func(text []byte, _ bool) bool { return isIPv6(text) },
	"address":       func(text []byte, _ bool) bool { return isHostname(text) || isIPv4(text) || isIPv6(text) },
	"host_and_port": func(text []byte, _ bool) bool { return isHostAndPort(text) },
	"uri":           func(text []byte, _ bool) bool { return isURL(text) },
	"uri_ref":       func(text []byte, _ bool) bool { return isURL(text) || isPath(text) },
	"uuid":          func(text []byte, _ bool) bool { return isUUID(text) },
	"tuuid":         func(text []byte, _ bool) bool { return len(text) == 32 && allOf(text, hexadecimal) },
	"ulid": func(text []byte, _ bool) bool {
		return len(text) == 26 && text[0] >= '0' && text[0] <= '7' && allOf(text, crockford)
	},
}

// class is a set of bytes, each a bit of these.
type class uint16

const (
	digit class = 1 << iota
	letter
	hexadecimal
	crockford  // The digits of a ULID.
	local      // What comes before the @ of an address of mail.
	unreserved // What a URI holds without being escaped, but for delimiters.
	delimiter  // Sub-delims of a URI.
	headerName
	headerValue
	line
)

var classes = func() (of [256]class) {
	set := func(c class, holds func(b byte) bool) {
		for b := range of {
			if holds(byte(b)) {
				of[b] |= c
			}
		}
	}
	within := func(text string) func(b byte) bool {
		return func(b byte) bool { return strings.IndexByte(text, b) >= 0 }
	}
	set(digit, func(b byte) bool { return b >= '0' && b <= '9' })
	set(letter, func(b byte) bool { return b|0x20 >= 'a' && b|0x20 <= 'z' })
	alphanumeric := func(b byte) bool { return of[b]&(digit|letter) != 0 }
	set(hexadecimal, func(b byte) bool { return of[b]&digit != 0 || b|0x20 >= 'a' && b|0x20 <= 'f' })
	set(crockford, func(b byte) bool { return alphanumeric(b) && !within("ilouILOU")(b) })
	set(local, func(b byte) bool { return alphanumeric(b) || within(".!#$%&'*+/=?^_`{|}~-")(b) })
	set(unreserved, func(b byte) bool { return alphanumeric(b) || within("-._~")(b) })
	set(delimiter, within("!$&'()*+,;="))
	set(headerName, func(b byte) bool { return alphanumeric(b) || within("!#$%&'*+.-^_|~`")(b) })
	set(headerValue, func(b byte) bool { return b == '\t' || b >= ' ' && b != 0x7f })
	set(line, func(b byte) bool { return b != 0 && b != '\n' && b != '\r' })
	return of
}()

// allOf reports whether each byte is of one of some classes.
func allOf(text []byte, c class) bool {
	for _, b := range text {
		if classes[b]&c == 0 {
			return false
		}
	}
	return true
}

const maxLabel = 63

func isLabel(label []byte) bool {
	if len(label) == 0 || len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	for _, b := range label {
		if classes[b]&(digit|letter) == 0 && b != '-' {
			return false
		}
	}
	return true
}

// areLabels reports whether a text is labels with dots between them, and returns
// the last one.
func areLabels(text []byte) (last []byte, ok bool) {
	for {
		label, rest, more := bytes.Cut(text, []byte("."))
		if !isLabel(label) {
			return nil, false
		}
		if !more {
			return label, true
		}
		text = rest
	}
}

func isEmail(text []byte) bool {
	at := bytes.IndexByte(text, '@')
	if at < 1 || !allOf(text[:at], local) {
		return false
	}
	_, ok := areLabels(text[at+1:])
	return ok
}

func isHostname(text []byte) bool {
	last, ok := areLabels(text)
	return ok && len(text) <= 253 && !allOf(last, digit)
}

// isNumber reports whether a text is a number up to a maximum, without a zero at
// its begin.
func isNumber(text []byte, most int) bool {
	if len(text) == 0 || len(text) > 5 || len(text) > 1 && text[0] == '0' {
		return false
	}
	n := 0
	for _, b := range text {
		if classes[b]&digit == 0 {
			return false
		}
		n = n*10 + int(b-'0')
	}
	return n <= most
}

func isIPv4(text []byte) bool {
	for range 3 {
		part, rest, ok := bytes.Cut(text, []byte("."))
		if !ok || !isNumber(part, 255) {
			return false
		}
		text = rest
	}
	return isNumber(text, 255)
}

// isIPv6 knows addresses in hexadecimal digits, with two colons for at least two
// groups of zeros.
func isIPv6(text []byte) bool {
	before, after, short := bytes.Cut(text, []byte("::"))
	groups, ok := hexGroups(before, short)
	if !short {
		return ok && groups == 8
	}
	more, last := hexGroups(after, true)
	return ok && last && groups+more <= 6
}

func hexGroups(text []byte, maybeEmpty bool) (count int, ok bool) {
	if len(text) == 0 {
		return 0, maybeEmpty
	}
	for more := true; more; count++ {
		var group []byte
		group, text, more = bytes.Cut(text, []byte(":"))
		if len(group) == 0 || len(group) > 4 || !allOf(group, hexadecimal) {
			return 0, false
		}
	}
	return count, true
}

func isHostAndPort(text []byte) bool {
	colon := bytes.LastIndexByte(text, ':')
	if colon < 0 || !isNumber(text[colon+1:], 65535) {
		return false
	}
	host := text[:colon]
	return isHostname(host) || isIPv4(host)
}

// isURL knows URIs with a host that is a name or an IPv4 address.
func isURL(text []byte) bool {
	scheme, rest, ok := bytes.Cut(text, []byte("://"))
	if !ok || len(scheme) == 0 || classes[scheme[0]]&letter == 0 || !allOf(scheme, letter|digit) {
		return false
	}
	end := bytes.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	host, port, withPort := bytes.Cut(rest[:end], []byte(":"))
	return len(host) > 0 && allOf(host, unreserved) && (!withPort || allOf(port, digit)) && isTail(rest[end:])
}

// isPath knows references that are an absolute path.
func isPath(text []byte) bool {
	return len(text) > 0 && text[0] == '/' && !bytes.HasPrefix(text, []byte("//")) && isTail(text)
}

// isTail reports whether a text is the path, query and fragment of a URI.
func isTail(text []byte) bool {
	fragments := 0
	for i := 0; i < len(text); i++ {
		switch b := text[i]; {
		case classes[b]&(unreserved|delimiter) != 0 || b == '/' || b == '?' || b == ':' || b == '@':
		case b == '#' && fragments == 0:
			fragments++
		case b == '%' && i+2 < len(text) && allOf(text[i+1:i+3], hexadecimal):
			i += 2
		default:
			return false
		}
	}
	return true
}

func isUUID(text []byte) bool {
	if len(text) != 36 {
		return false
	}
	for i, b := range text {
		switch i {
		case 8, 13, 18, 23:
			if b != '-' {
				return false
			}
		default:
			if classes[b]&hexadecimal == 0 {
				return false
			}
		}
	}
	return true
}

// isMaskPath reports whether a path of a FieldMask comes back from its form in JSON.
func isMaskPath(path []byte) bool {
	begin := true // Of a name, or after an underscore.
	for _, b := range path {
		isLetter := b >= 'a' && b <= 'z'
		if !isLetter && (begin || b != '.' && b != '_' && classes[b]&digit == 0) {
			return false
		}
		begin = b == '.' || b == '_'
	}
	return !begin
}

// isHeader returns the check of the name, or else the value, of a header of HTTP.
// What is only a line of text is not strict.
func isHeader(name, strict bool) textCheck {
	return func(text []byte, _ bool) bool {
		switch {
		case name && len(text) == 0:
			return false
		case !strict: // The pattern asks for at least one, though a value may be empty.
			return len(text) > 0 && allOf(text, line)
		case name:
			text = bytes.TrimPrefix(text, []byte(":"))
			return len(text) > 0 && allOf(text, headerName)
		default:
			return allOf(text, headerValue)
		}
	}
}
