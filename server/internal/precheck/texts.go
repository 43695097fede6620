package precheck

import (
	"bytes"
	"slices"
	"unicode/utf8"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// add adds the rules of a text. It is false where one isn't known.
func (t *textRule) add(of *validate.FieldRules) bool {
	rules := of.GetString()
	if rules == nil {
		return true
	}
	known := true
	eachRule(rules, func(name protoreflect.Name, value protoreflect.Value) {
		known = known && (t.bound(name, value) || t.part(name, value) || t.format(name, value, rules))
	})
	return known
}

// bound takes a rule about the length.
func (t *textRule) bound(name protoreflect.Name, value protoreflect.Value) bool {
	switch name {
	case "len":
		t.minRunes, t.maxRunes = max(t.minRunes, value.Uint()), min(t.maxRunes, value.Uint())
	case "min_len":
		t.minRunes = max(t.minRunes, value.Uint())
	case "max_len":
		t.maxRunes = min(t.maxRunes, value.Uint())
	case "len_bytes":
		t.minBytes, t.maxBytes = max(t.minBytes, value.Uint()), min(t.maxBytes, value.Uint())
		return true
	case "min_bytes":
		t.minBytes = max(t.minBytes, value.Uint())
		return true
	case "max_bytes":
		t.maxBytes = min(t.maxBytes, value.Uint())
		return true
	default:
		return false
	}
	t.counted = true
	return true
}

// part takes a rule about what a text is, or holds.
func (t *textRule) part(name protoreflect.Name, value protoreflect.Value) bool {
	var check func([]byte) bool
	switch name {
	case "const", "prefix", "suffix", "contains", "not_contains":
		check = partCheck(name, []byte(value.String()))
	case "in", "not_in":
		check = memberCheck(name, listOf(value, func(v protoreflect.Value) []byte { return []byte(v.String()) }))
	case "pattern":
		pattern, err := newPattern(value.String())
		if err != nil {
			return false
		}
		t.checks = append(t.checks, pattern)
		return true
	default:
		return false
	}
	t.checks = append(t.checks, func(text []byte, _ bool) bool { return check(text) })
	return true
}

func partCheck(name protoreflect.Name, part []byte) func([]byte) bool {
	switch name {
	case "const":
		return func(value []byte) bool { return bytes.Equal(value, part) }
	case "prefix":
		return func(value []byte) bool { return bytes.HasPrefix(value, part) }
	case "suffix":
		return func(value []byte) bool { return bytes.HasSuffix(value, part) }
	case "contains":
		return func(value []byte) bool { return bytes.Contains(value, part) }
	default:
		return func(value []byte) bool { return !bytes.Contains(value, part) }
	}
}

func memberCheck(name protoreflect.Name, all [][]byte) func([]byte) bool {
	return func(value []byte) bool {
		return slices.ContainsFunc(all, func(one []byte) bool { return bytes.Equal(one, value) }) == (name == "in")
	}
}

// format takes a rule about a well-known format.
func (t *textRule) format(name protoreflect.Name, value protoreflect.Value, rules *validate.StringRules) bool {
	switch {
	case name == "strict":
		return true
	case name == "well_known_regex":
		strict := !rules.HasStrict() || rules.GetStrict()
		switch regex := rules.GetWellKnownRegex(); regex {
		case validate.KnownRegex_KNOWN_REGEX_HTTP_HEADER_NAME, validate.KnownRegex_KNOWN_REGEX_HTTP_HEADER_VALUE:
			t.checks = append(t.checks, isHeader(regex == validate.KnownRegex_KNOWN_REGEX_HTTP_HEADER_NAME, strict))
			return true
		default:
			return false
		}
	case formats[string(name)] == nil:
		return false
	}
	if value.Bool() {
		t.checks = append(t.checks, formats[string(name)])
	}
	return true
}

// bytesChecks returns the checks of bytes. It is false where a rule isn't known.
func bytesChecks(of *validate.FieldRules) (checks []func([]byte) bool, known bool) {
	rules := of.GetBytes()
	if rules == nil {
		return nil, true
	}
	known = true
	eachRule(rules, func(name protoreflect.Name, value protoreflect.Value) {
		if name := string(name); name == "ip" || name == "ipv4" || name == "ipv6" || name == "uuid" {
			if value.Bool() {
				checks = append(checks, func(value []byte) bool {
					return len(value) == 4 && (name == "ip" || name == "ipv4") || len(value) == 16 && name != "ipv4"
				})
			}
			return
		}
		check, ok := bytesCheck(name, value)
		checks, known = append(checks, check), known && ok
	})
	return checks, known
}

func bytesCheck(name protoreflect.Name, value protoreflect.Value) (func([]byte) bool, bool) {
	switch name {
	case "len":
		return func(v []byte) bool { return uint64(len(v)) == value.Uint() }, true
	case "min_len":
		return func(v []byte) bool { return uint64(len(v)) >= value.Uint() }, true
	case "max_len":
		return func(v []byte) bool { return uint64(len(v)) <= value.Uint() }, true
	case "const", "prefix", "suffix", "contains":
		return partCheck(name, value.Bytes()), true
	case "in", "not_in":
		return memberCheck(name, listOf(value, protoreflect.Value.Bytes)), true
	case "pattern":
		pattern, err := newPattern(value.String())
		if err != nil {
			return nil, false
		}
		return func(v []byte) bool {
			ascii := isASCII(v)
			return (ascii || utf8.Valid(v)) && pattern(v, ascii)
		}, true
	default:
		return nil, false
	}
}
