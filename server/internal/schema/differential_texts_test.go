package schema

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// jsonRequest is a PublishRequest in JSON with an event of a type, in forms that
// clients write, and a few that they don't.
func (i *inventor) jsonRequest(of *Type) []byte {
	members := i.jsonMembers(of.Descriptor(), 4)
	typed := `"@type":` + i.jsonText(of.URL)
	if i.one(3) {
		members = slices.Insert(members, i.IntN(len(members)+1), typed)
	} else {
		members = append([]string{typed}, members...)
	}
	event := []string{`"id":` + i.jsonText("a1"), `"source":"/s"`, `"data":` + i.jsonObject(members)}
	if i.one(2) {
		event = append(event, `"time":`+i.jsonTime())
	}
	if i.one(2) {
		event = append(event, `"attributes":`+i.jsonObject([]string{`"b":"1"`, i.jsonText("a") + `:"2"`}))
	}
	if i.one(3) {
		i.Shuffle(len(event), func(a, b int) { event[a], event[b] = event[b], event[a] })
	}
	request := []string{`"topic":"t"`, `"events":[` + i.jsonObject(event) + `]`}
	if i.one(4) {
		request = append(request, `"preconditions":[`+i.jsonObject([]string{`"partitionKey":"k"`, pick(i, []string{`"lastSequence":"1"`, `"exists":true`, `"last_sequence":7`})})+`]`)
	}
	return []byte(i.jsonObject(request) + pick(i, []string{"", "", "", "\n"}))
}

func (i *inventor) jsonObject(members []string) string {
	space := i.space()
	return "{" + space + strings.Join(members, ","+i.space()) + space + "}"
}

func (i *inventor) space() string { return pick(i, []string{"", "", "", " ", "\n  ", "\t"}) }

// mostly returns one of the usual forms, and seldom an odd one.
func (i *inventor) mostly(usual, odd []string) string {
	if i.one(60) {
		return pick(i, odd)
	}
	return pick(i, usual)
}

var usualTexts = slices.DeleteFunc(slices.Clone(someTexts), func(text string) bool { return !utf8.ValidString(text) })

// jsonMembers are some fields of a message.
func (i *inventor) jsonMembers(message protoreflect.MessageDescriptor, depth int) (members []string) {
	fields := message.Fields()
	for n := range fields.Len() {
		field := fields.Get(n)
		oneof := field.ContainingOneof()
		if i.one(3) || field.Message() != nil && depth == 0 || oneof != nil && !oneof.IsSynthetic() && !i.one(oneof.Fields().Len()) {
			continue
		}
		name := field.JSONName()
		if i.one(10) {
			name = string(field.Name())
		}
		times := 1
		if i.one(200) {
			times = 2
		}
		for range times {
			members = append(members, i.jsonText(name)+i.space()+":"+i.space()+i.jsonField(field, depth))
		}
	}
	if i.one(100) {
		members = append(members, `"unknown":1`)
	}
	if i.one(3) {
		i.Shuffle(len(members), func(a, b int) { members[a], members[b] = members[b], members[a] })
	}
	return members
}

func (i *inventor) jsonField(field protoreflect.FieldDescriptor, depth int) string {
	if i.one(40) {
		return i.mostly([]string{"null"}, []string{"{}", "[]", "nul", `""`})
	}
	var values []string
	for range pick(i, []int{0, 1, 1, 2, 2, 3}) {
		switch {
		case field.IsMap():
			values = append(values, i.jsonKey(field.MapKey())+i.space()+":"+i.jsonValue(field.MapValue(), depth))
		case field.IsList():
			values = append(values, i.jsonValue(field, depth))
		}
	}
	switch {
	case field.IsMap():
		return i.jsonObject(values)
	case field.IsList():
		return "[" + i.space() + strings.Join(values, i.space()+",") + i.space() + "]"
	default:
		return i.jsonValue(field, depth)
	}
}

func (i *inventor) jsonKey(key protoreflect.FieldDescriptor) string {
	switch key.Kind() {
	case protoreflect.StringKind:
		return i.jsonText(i.mostly(usualTexts, someTexts))
	case protoreflect.BoolKind:
		return i.mostly([]string{`"true"`, `"false"`}, []string{`"1"`, `"True"`})
	default:
		return `"` + i.jsonWhole(key.Kind()) + `"`
	}
}

func (i *inventor) jsonValue(field protoreflect.FieldDescriptor, depth int) string {
	switch kind := field.Kind(); kind {
	case protoreflect.StringKind:
		return i.jsonText(i.mostly(usualTexts, someTexts))
	case protoreflect.BytesKind:
		encoding := pick(i, []*base64.Encoding{base64.StdEncoding, base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding})
		return i.jsonText(encoding.EncodeToString([]byte(pick(i, someTexts))) + i.mostly([]string{""}, []string{"=", "\n", "-", "/"}))
	case protoreflect.BoolKind:
		return i.mostly([]string{"true", "false"}, []string{`"true"`, "tru", "0"})
	case protoreflect.EnumKind:
		value := pick(i, []protoreflect.EnumNumber{0, 1, 2})
		if known := field.Enum().Values().ByNumber(value); known != nil && !i.one(4) {
			return i.mostly([]string{`"` + string(known.Name()) + `"`}, []string{`"1"`, `"UN"`, "1.0"})
		}
		return i.mostly([]string{"0", "1"}, []string{"-1", "77", "2147483648"})
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return i.mostly([]string{"0", "1", "-0", "1.5", "-2.25e3", "1E-7", "1e21", "0.1", "123456789012345678901", "1e-400"}, []string{"3.4028236e38", "1e400", `"NaN"`, `"Infinity"`, `"1.5"`, "01", "1.", ".5", "-"})
	case protoreflect.MessageKind:
		return i.jsonMessage(field.Message(), depth-1)
	default:
		whole := i.jsonWhole(kind)
		if kind == protoreflect.Int64Kind || kind == protoreflect.Uint64Kind || i.one(10) {
			whole = `"` + whole + `"`
		}
		return whole
	}
}

// jsonWhole is a number, most of which are in the range of a kind.
func (i *inventor) jsonWhole(kind protoreflect.Kind) string {
	if i.one(50) {
		return pick(i, []string{"1e2", "1.0", "-0", "+1", "01", " 1", "", "18446744073709551615", "18446744073709551616", "-9223372036854775808", "4294967295", "4294967296", "0x1", "1_0", "2147483648"})
	}
	return fmt.Sprint(i.number(kind).Interface())
}

func (i *inventor) jsonMessage(message protoreflect.MessageDescriptor, depth int) string {
	switch message.FullName() {
	case "google.protobuf.Timestamp":
		return i.jsonTime()
	case "google.protobuf.Duration":
		return i.jsonText(i.mostly([]string{"0s", "1s", "1.5s", "-1.000000001s", "-0.5s", "315576000000s", "-0s", "1.50s", "-315576000000.999999999s"}, []string{"315576000001s", "1.0000000001s", "+1s", ".5s", "1.s", "1", "01s", "99999999999999999999s", "-+1s", "--1s"}))
	case "google.protobuf.Any":
		return i.mostly([]string{"{}"}, []string{`{"@type":"x/google.protobuf.Empty","value":{}}`, `{"@type":"x/google.protobuf.Duration","value":"1s"}`, `{"@type":"x"}`})
	case "google.protobuf.FieldMask":
		return pick(i, []string{`"a,bC"`, `""`, `"aB"`})
	case "google.protobuf.Struct":
		return pick(i, []string{"{}", `{"a":[1,null]}`})
	case "google.protobuf.Value":
		return pick(i, []string{"null", "1", `"a"`, "[true]"})
	}
	if strings.HasPrefix(string(message.FullName()), "google.protobuf.") && message.Fields().Len() == 1 {
		return i.jsonValue(message.Fields().Get(0), depth)
	}
	return i.jsonObject(i.jsonMembers(message, max(depth, 0)))
}

func (i *inventor) jsonTime() string {
	return i.jsonText(i.mostly([]string{
		"2026-01-02T03:04:05Z", "2026-01-02T03:04:05.6Z", "2026-01-02T03:04:05.123456789Z", "2026-01-02T03:04:05+01:30", "2026-01-02T03:04:05.5-23:59",
		"0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z", "1970-01-01T00:00:00Z", "1969-12-31T23:59:59.9Z",
	}, []string{
		"2026-01-02T03:04:05.1234567890Z", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "0000-12-31T23:59:59Z", "2026-01-02T3:04:05Z",
		"2026-01-02T03:04:05,5Z", "2026-01-02T03:04:05", "2026-02-30T03:04:05Z", "2026-01-02t03:04:05z", "2026-01-02T03:04:60Z", "2026-01-02T03:04:05+24:00", "2026-01-02T24:00:00Z",
	}))
}

// jsonText is a text in quotation marks. Some letters are escaped.
func (i *inventor) jsonText(text string) string {
	if !i.one(12) {
		return quoteJSON(text)
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, letter := range text {
		switch {
		case i.one(3) && letter < 0x10000:
			fmt.Fprintf(&b, `\u%04`+pick(i, []string{"x", "X"}), letter)
		case letter == '/' && i.one(2):
			b.WriteString(`\/`)
		default:
			b.WriteString(strings.Trim(quoteJSON(string(letter)), `"`))
		}
	}
	b.WriteString(i.mostly([]string{"", `\ud83d\ude00`, "\U0001f600"}, []string{`\ud83d`, `\ude00\ud83d`, `\q`, `\u00`}))
	b.WriteByte('"')
	return b.String()
}

// quoteJSON leaves bytes that aren't UTF-8 as they are.
func quoteJSON(text string) string {
	var b strings.Builder
	for n := range len(text) {
		switch c := text[n]; {
		case c == '"' || c == '\\':
			b.WriteString(`\` + string(rune(c)))
		case c < ' ':
			b.WriteString(`\u00` + strconv.FormatUint(uint64(c)+0x100, 16)[1:])
		default:
			b.WriteByte(c)
		}
	}
	return `"` + b.String() + `"`
}

// damageJSON changes bytes of a text.
func (i *inventor) damageJSON(text []byte) []byte {
	text = slices.Clone(text)
	at := i.IntN(len(text))
	some := []byte("{}[]\":,\\0e.-+tn u\x00\x1f\x7f\x80\xff\n")
	switch i.IntN(5) {
	case 0:
		text[at] = pick(i, some)
	case 1:
		return slices.Delete(text, at, min(at+1+i.IntN(3), len(text)))
	case 2:
		return slices.Insert(text, at, pick(i, some))
	case 3: // A piece of it once more.
		end := min(at+i.IntN(20), len(text))
		return slices.Insert(text, end, text[at:end]...)
	default:
		return text[:at]
	}
	return text
}
