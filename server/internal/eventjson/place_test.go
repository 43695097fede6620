package eventjson

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// document is a PublishRequest in JSON, made at random, in which one thing is
// wrong.
type document struct {
	out    strings.Builder
	random *rand.Rand
	// sound is the number of things that are right before the wrong one.
	sound int
	// at is the byte at which the wrong one begins, and path that of its field. 0:
	// there is none yet.
	at   int
	path string
}

// texts are what its strings hold, as JSON has it, and keys what maps have.
var (
	texts = []string{
		"", "text", "ää", "\u65e5\u672c\u8a9e", "👋🏽", "e\u0301", "\u2028", "\u00a0", `\u00e4`, `\ud83d\ude00`, `\"`, `\\`, `\\\"}`, `{\"nosuch\":1}`, `[,]`, `\n`, "Ω≈ç√", strings.Repeat("é", 3000),
	}
	keys = []string{"k", "ä", "\u65e5\u672c", "a.b", "[0]", "nosuch"}
)

// wrong reports whether the next thing is the wrong one, which is in a field.
func (d *document) wrong(path string) bool {
	d.sound--
	if d.sound != -1 {
		return false
	}
	d.at, d.path = d.out.Len(), path
	return true
}

func (d *document) space() {
	for range d.random.IntN(3) {
		d.out.WriteString([]string{" ", "\n", "\t", "\r\n"}[d.random.IntN(4)])
	}
}

// text writes a string, or what is none.
func (d *document) text(path string) {
	if d.wrong(path) {
		d.out.WriteString([]string{"17", "true", "-1e3", "[]"}[d.random.IntN(4)])
		return
	}
	d.out.WriteString(`"` + texts[d.random.IntN(len(texts))] + `"`)
}

// elements writes a list of something between commas.
func (d *document) elements(count int, element func(i int)) {
	for i := range count {
		if i > 0 {
			d.out.WriteByte(',')
		}
		d.space()
		element(i)
		d.space()
	}
}

// list writes an array.
func (d *document) list(path string, value func(path string)) {
	d.out.WriteByte('[')
	d.elements(d.random.IntN(4), func(i int) { value(fmt.Sprintf("%s[%d]", path, i)) })
	d.out.WriteByte(']')
}

// entries writes a map with a key, which is a string or a number.
func (d *document) entries(path, key, subscript string, value func(path string)) {
	d.out.WriteString(`{"` + key + `":`)
	value(path + subscript)
	d.out.WriteByte('}')
}

// field is a member of an object.
type field struct {
	name  string
	value func(path string)
}

// object writes a message, perhaps with a member that it doesn't have.
func (d *document) object(path string, fields ...field) {
	d.random.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	below := func(name string) string { return strings.TrimPrefix(path+"."+name, ".") }
	d.out.WriteByte('{')
	d.elements(len(fields), func(i int) {
		if d.wrong(below("nosüch")) {
			d.out.WriteString(`"nosüch":1,`)
		}
		d.out.WriteString(`"` + fields[i].name + `"`)
		d.space()
		d.out.WriteByte(':')
		d.space()
		fields[i].value(below(fields[i].name))
	})
	d.out.WriteByte('}')
}

// payload are the fields of a test.v1.Payload.
func (d *document) payload(depth int) []field {
	fields := []field{{"name", d.text}}
	if depth == 0 {
		return fields
	}
	key := keys[d.random.IntN(len(keys))]
	below := func(path string) { d.object(path, d.payload(depth-1)...) }
	return append(fields,
		field{"below", below},
		field{"map", func(path string) { d.entries(path, key, "["+strconv.Quote(key)+"]", below) }},
		field{"numbered", func(path string) { d.entries(path, "-7", "[-7]", below) }},
		field{"list", func(path string) { d.list(path, func(path string) { d.any(path, depth-1) }) }},
	)
}

// any writes an Any with a payload.
func (d *document) any(path string, depth int) {
	d.object(path, append(d.payload(depth), field{"@type", func(string) { d.out.WriteString(`"` + payloadURL + `"`) }})...)
}

func (d *document) event(path string) {
	key := keys[d.random.IntN(len(keys))]
	d.object(path,
		field{"id", d.text}, field{"subject", d.text},
		field{"attributes", func(path string) { d.entries(path, key, "["+strconv.Quote(key)+"]", d.text) }},
		field{"data", func(path string) { d.any(path, 2) }},
	)
}

// Where protojson finds something wrong, Parse names the field of it, and the
// line and the column that protojson gives.
func TestPlaceIsProtojsons(t *testing.T) {
	types := testTypes(t)
	wrong := 0
	for seed := range uint64(600) {
		d := &document{random: rand.New(rand.NewPCG(seed, 0))} //nolint:gosec // The same each time.
		d.sound = d.random.IntN(100)
		d.space()
		d.object("", field{"topic", d.text}, field{"requestId", d.text}, field{"events", func(path string) { d.list(path, d.event) }})
		text := d.out.String()
		theirs := protojson.UnmarshalOptions{Resolver: types}.Unmarshal([]byte(text), new(tidingsv1.PublishRequest))
		ours := Parse([]byte(text), new(tidingsv1.PublishRequest), types)
		if d.at == 0 {
			if theirs != nil || ours != nil {
				t.Errorf("nothing is wrong with %s\n%v, %v", text, theirs, ours)
			}
			continue
		}
		wrong++
		match := place.FindStringSubmatch(fmt.Sprint(theirs))
		if len(match) == 0 || match[1] == "" {
			t.Fatalf("protojson gives no place: %v", theirs)
		}
		line, _ := strconv.Atoi(match[1])
		column, _ := strconv.Atoi(match[2])
		if at := offsetOf([]byte(text), line, column); at != d.at {
			t.Errorf("%s\nprotojson: %v, which is the byte %d, not %d", text, theirs, at, d.at)
		}
		failure, ok := ours.(*Error) //nolint:errorlint // It is documented so.
		if !ok || failure.Path != d.path || failure.Line != line || failure.Column != column {
			t.Errorf("%s\ngot %q at %+v, want %q", text, ours, failure, d.path)
		}
	}
	if wrong < 200 {
		t.Errorf("something is wrong with %d documents only", wrong)
	}
}
