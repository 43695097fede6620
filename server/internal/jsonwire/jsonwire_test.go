package jsonwire

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// newTypes has the types that are compiled in, among them the contract's own: they
// serve as payloads.
func newTypes() *Types {
	return NewTypes(func(name protoreflect.FullName) protoreflect.MessageDescriptor {
		found, err := protoregistry.GlobalTypes.FindMessageByName(name)
		if err != nil {
			return nil
		}
		return found.Descriptor()
	}, nil)
}

// What goes in one pass, and what doesn't.
func TestWhatIsSure(t *testing.T) {
	types := newTypes()
	payload := func(members string) string { return `{"data":{"@type":"x/tidings.v1.Event",` + members + `}}` }
	for text, sure := range map[string]bool{
		`{}`:                              true,
		" {\r\n\t}\n":                     true,
		`{"id":"a","time":null}`:          true,
		`{"time":null,"id":"a"}`:          true,
		`{"partition_key":"a"}`:           true,
		`{"id":"\u00e9\ud83d\ude00\/\\"}`: true,
		payload(`"id":"a"`):               true,
		payload(`"attributes":{"b":"","a":"\u0062"}`): true,
		`{"data":{"@type":"x/tidings.v1.Event"}}`:     true,
		`{"data":null}`:                          true,
		`{"time":"2026-01-02T03:04:05.5+01:00"}`: true,
		``:                                       false,
		`null`:                                   false,
		`[]`:                                     false,
		`{}{}`:                                   false,
		`{"id":"a",}`:                            false,
		`{,"id":"a"}`:                            false,
		`{"id" "a"}`:                             false,
		`{"id":"a"`:                              false,
		`{"id":"a"]`:                             false,
		`{"id":1}`:                               false,
		`{"i\u0064":"a"}`:                        false,
		`{"id":"a","id":"b"}`:                    false,
		`{"id":null,"id":"b"}`:                   false,
		`{"partitionKey":"a","partition_key":"a"}`: false,
		`{"unknown":1}`:                         false,
		`{"@type":"x/tidings.v1.Event"}`:        false,
		`{"id":"\ud83d"}`:                       false,
		`{"id":"\ud83d\u0041"}`:                 false,
		`{"id":"\u00g0"}`:                       false,
		"{\"id\":\"\n\"}":                       false,
		"{\"id\":\"\xff\"}":                     false,
		`{"attributes":{"a":"1","a":"2"}}`:      false,
		`{"attributes":{"a":"1","\u0061":"2"}}`: false,
		`{"attributes":{"a":null}}`:             false,
		`{"data":{}}`:                           false,
		`{"data":{"id":"@type","attributes":{"@type":"x"},"@type":"x/tidings.v1.Event"}}`: true,
		`{"data":{"id":"@type"}}`:                                      false,
		`{"data":{"id":"a", "@type":1}}`:                               false,
		`{"data":{"@type":"x/tidings.v1.Nothing"}}`:                    false,
		`{"data":{"@type":"x/google.protobuf.Duration","value":"1s"}}`: false,
		`{"data":{"@type":"x/google.protobuf.Empty","value":{}}}`:      false,
		payload(`"@type":"x/tidings.v1.Event"`):                        false,
		payload(`"data":{"@type":"x/tidings.v1.Event"}`):               false,
		`{"time":"2026-01-02T03:04:05+24:00"}`:                         false,
		`{"time":"2026-01-02T03:04:05,5Z"}`:                            false,
		`{"time":"2026-01-02T3:04:05Z"}`:                               false,
		`{"time":"0000-01-02T03:04:05Z"}`:                              false,
	} {
		message := new(tidingsv1.Event)
		encoded, ok := types.AppendWire(nil, []byte(text), message.ProtoReflect().Descriptor())
		if ok != sure {
			t.Errorf("%s: is sure: %t", text, ok)
		}
		if !ok {
			continue
		}
		if err := protojson.Unmarshal([]byte(text), message); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		want, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
		if err != nil || !bytes.Equal(encoded, want) {
			t.Errorf("%s: got %x, want %x, %v", text, encoded, want, err)
		}
	}
}

// Neither depth nor what is asked for again and again takes memory without bound.
func TestBounds(t *testing.T) {
	types := newTypes()
	of := (*tidingsv1.ReadResponse)(nil).ProtoReflect().Descriptor()
	for name, text := range map[string]string{
		"deep in texts":   strings.Repeat(`{"events":`, 1_000_000),
		"one field":       `{` + strings.Repeat(`"events":null,`, 300_000) + `"events":null}`,
		"one list":        `{"events":` + strings.Repeat("[", 1_000_000),
		"texts that last": `{"` + strings.Repeat(`\"`, 1_000_000),
	} {
		if _, ok := types.AppendWire(nil, []byte(text), of); ok {
			t.Errorf("%s: is sure", name)
		}
	}
	for i := range 1000 {
		types.AppendWire(nil, fmt.Appendf(nil, `{"data":{"@type":"x/a%d"}}`, i), (*tidingsv1.Event)(nil).ProtoReflect().Descriptor())
	}
	if len(types.payloads) > 0 {
		t.Errorf("%d names that nothing has are kept", len(types.payloads))
	}
}

// The search by eight bytes finds what one byte after the other finds.
func TestSpecial(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // It is to be repeated.
	some := []byte("\x00\x1f !\"#[\\]az~\x7f\x80\xa2\xdc\xff")
	for range 100_000 {
		text := make([]byte, random.IntN(20))
		for i := range text {
			text[i] = 'a'
			if random.IntN(6) == 0 {
				text[i] = some[random.IntN(len(some))]
			}
		}
		from := random.IntN(len(text) + 1)
		want := from
		for want < len(text) && text[want] >= ' ' && text[want] < 0x80 && text[want] != '"' && text[want] != '\\' {
			want++
		}
		if got := special(text, from); got != want {
			t.Fatalf("in %q from %d on: got %d, want %d", text, from, got, want)
		}
	}
}
