package fuzz

import (
	"bytes"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

var (
	deepGroups   = append(bytes.Repeat([]byte{0x0b}, 300), bytes.Repeat([]byte{0x0c}, 300)...)
	deepMessages = func() []byte {
		var b []byte
		for range 150 {
			b = field(1, b, nil)
		}
		return b
	}()
)

// damage changes an encoded message in one place or a few.
func (g *generator) damage(data []byte) []byte {
	data = bytes.Clone(data)
	for range 1 + g.IntN(3) {
		at := g.IntN(len(data) + 1)
		switch g.IntN(10) {
		case 0:
			data = data[:at]
		case 1:
			if at < len(data) {
				data[at] ^= 1 << g.IntN(8)
			}
		case 2:
			if at < len(data) {
				data[at] = pick[byte](g, 0, 0x7f, 0x80, 0xff)
			}
		case 3: // A field of any number and any wire type, well-formed or not.
			tag := protowire.AppendTag(nil, protowire.Number(1+g.IntN(20)), protowire.Type(g.IntN(8)))
			data = slices.Insert(data, at, append(tag, byte(g.IntN(4)), 0xff, 0, 1)...)
		case 4:
			data = append(data, pick(g, deepGroups, deepMessages)...)
		case 5: // Everything twice.
			data = append(data, data...)
		case 6: // A part of it twice.
			to := at + g.IntN(len(data)-at+1)
			data = slices.Insert(data, at, bytes.Clone(data[at:to])...)
		case 7: // A length that nothing has.
			data = append(data, field(protowire.Number(1+g.IntN(12)), nil, nil)[0], 0xff, 0xff, 0xff, 0xff, byte(g.IntN(16)))
		case 8: // A varint that is longer than it has to be.
			data = append(protowire.AppendTag(nil, protowire.Number(1+g.IntN(12)), protowire.VarintType), append(bytes.Repeat([]byte{0x80}, 1+g.IntN(11)), append([]byte{1}, data...)...)...)
		default: // A field whose name is known with other bytes.
			data = field(protowire.Number(1+g.IntN(8)), pick(g, []byte{0xff, 0xfe}, []byte("x"), nil, data), data)
		}
	}
	return data
}

// jsonParts are put into JSON where a value, a name or anything else was.
var jsonParts = []string{
	"null", "true", "1e999999999", "-0", "1.5", "\"\\ud800\"", "\"\xff\"", "\"\\u0000\"", "[", "]", "{", "}", "[]", "{}", ",", ":", "NaN", "'a'", "// c\n", "\ufeff",
	"\"@type\":\"type.googleapis.com/google.protobuf.Any\",", "\"@type\":\"x\",", "\"value\":{},", "9223372036854775808", "\"-1\"", "\"\"", "\\", "\x00",
	strings.Repeat("[", 300) + strings.Repeat("]", 300), strings.Repeat("{\"a\":", 300) + "1" + strings.Repeat("}", 300), "\"2026-13-01T00:00:00Z\"", "\"0001-01-01T00:00:00Z\"", "\"1.0000000001s\"",
}

// damageJSON changes a JSON text in one place or a few.
func (g *generator) damageJSON(text []byte) []byte {
	text = bytes.Clone(text)
	for range 1 + g.IntN(2) {
		at := g.IntN(len(text) + 1)
		switch g.IntN(6) {
		case 0:
			text = text[:at]
		case 1:
			text = slices.Insert(text, at, []byte(pick(g, jsonParts...))...)
		case 2, 3: // In the place of a value.
			if i := bytes.IndexByte(text[at:], ':'); i >= 0 {
				from := at + i + 1
				to := bytes.IndexAny(text[from:], ",}]")
				text = slices.Replace(text, from, from+max(to, 0), []byte(pick(g, jsonParts...))...)
			}
		case 4: // A part of it twice: a name twice, if it fits.
			if i := bytes.IndexByte(text[at:], ','); i >= 0 {
				part := bytes.Clone(text[at : at+i+1])
				text = slices.Insert(text, at, part...)
			}
		default:
			if at < len(text) {
				text[at] = byte(g.Uint32())
			}
		}
	}
	return text
}
