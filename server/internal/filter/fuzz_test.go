package filter

import (
	"maps"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// FuzzMatch holds that whatever protobuf takes for an event is one here too,
// with the same attributes, and that what follows from that follows.
func FuzzMatch(f *testing.F) {
	set := things(f)
	whole := encoded(f, set, fullEvent, thing, richThing)
	field := func(number protowire.Number, value []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), value)
	}
	for _, seed := range [][]byte{
		nil, whole, encoded(f, set, bareEvent, other, `{}`),
		whole[:len(whole)-1],
		append(whole, whole...),
		append(whole, field(4, []byte{0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0x10, 0x05})...),
		append(whole, field(4, []byte{0x08, 0x05, 0x0a, 0x00, 0x15, 0, 0, 0, 0})...),
		append(whole, field(6, field(2, []byte("v")))...),
		append(whole, field(6, append(field(1, []byte("region")), field(1, []byte("tenant"))...))...),
		append(whole, field(5, nil)...),
		append(whole, field(7, field(1, []byte("x/"+other)))...),
		append(whole, 0x08, 0x05, 0x0d, 0, 0, 0, 0, 0x0b, 0x0c), // The id in other forms.
		append(whole, 0xa2, 0x06, 0x01, 'x', 0x8a, 0x80, 0x00, 0x01, 'y'),
		{0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f}, {0x07}, {0x0f}, {0x0c}, {0x0b}, {0x80},
		[]byte(strings.Repeat("\x0b", 20_000)),
	} {
		f.Add(seed, "region")
	}
	compile := func(filter *tidingsv1.EventFilter) *Matcher {
		m, err := Compile(filter, set, nil)
		if err != nil {
			f.Fatal(err)
		}
		return m
	}
	types := compile(&tidingsv1.EventFilter{EventTypes: []string{thing}})
	expression := compile(&tidingsv1.EventFilter{EventTypes: []string{thing, other}, Cel: "string(data.number) != 'x' || event.id == event.subject"})
	f.Fuzz(func(t *testing.T, raw []byte, name string) {
		decoded := new(tidingsv1.Event)
		isEvent := proto.Unmarshal(raw, decoded) == nil
		want := attributesOf(decoded)
		value := want[name]
		if value == "" {
			value = "-"
		}
		attributes, err := compileAttributes(oneOf(exactly(name, value), beginning(name, value), ending(name, value)))
		if err != nil {
			t.Fatal(err)
		}
		m := &Matcher{attributes: attributes}
		got, err := m.Match(t.Context(), raw)
		if isEvent && (err != nil || got != (want[name] != "")) {
			t.Errorf("%q with the value %q: %t, %v", name, want[name], got, err)
		}
		if got, err := types.Match(t.Context(), raw); isEvent && (err != nil || got != (want["type"] == thing)) {
			t.Errorf("type %q: %t, %v", want["type"], got, err)
		}
		if _, err := expression.Match(t.Context(), raw); isEvent && err != nil {
			t.Error(err)
		}
		var e event
		if _, err := e.Scan(raw); err != nil || !isEvent {
			return
		}
		message, err := e.message()
		decoded.Data = nil
		decoded.ProtoReflect().SetUnknown(nil)
		if decoded.GetTime() != nil {
			decoded.GetTime().ProtoReflect().SetUnknown(nil)
		}
		if err != nil || !proto.Equal(message, decoded) {
			t.Errorf("CEL gets %v, %v; want %v", message, err, decoded)
		}
	})
}

// attributesOf are the CloudEvents attributes of a decoded event.
func attributesOf(e *tidingsv1.Event) map[string]string {
	attributes := make(map[string]string)
	maps.Copy(attributes, e.GetAttributes())
	name := e.GetData().GetTypeUrl()
	stamp := ""
	if e.GetTime().CheckValid() == nil {
		stamp = e.GetTime().AsTime().Format("2006-01-02T15:04:05.000000000Z")
		for range 3 {
			stamp = strings.Replace(stamp, "000Z", "Z", 1)
		}
		stamp = strings.Replace(stamp, ".Z", "Z", 1)
	}
	maps.Copy(attributes, map[string]string{
		"id": e.GetId(), "source": e.GetSource(), "type": name[strings.LastIndexByte(name, '/')+1:], "specversion": "1.0",
		"subject": e.GetSubject(), "time": stamp, "datacontenttype": "application/protobuf", "partitionkey": e.GetPartitionKey(),
	})
	return attributes
}

// FuzzCompile holds that an expression is refused with a reason or can be
// evaluated, whatever it and the payload are.
func FuzzCompile(f *testing.F) {
	set := things(f)
	full, bare := encoded(f, set, fullEvent, thing, richThing), encoded(f, set, bareEvent, thing, `{}`)
	for _, seed := range []string{
		"", "true", "event.id == 'id-1'", "data.number > 3", "data.words.exists(w, w.matches('a+'))", "1 / 0 == 1",
		"data.labels['x'] == 'y' || has(data.at)", "data.json.list[1] == 2.0", "[1, 'a', null].all(x, x != data.value)",
		"data.parts.map(p, p.number).filter(n, n > 1) == [2]", "{'a': 1}.a == 1", "(((((", "'\\x00' == r'\\d' + \"\"\"x\"\"\"",
		"data.kind == Kind.KIND_GOOD ? event.time > timestamp(0) : data.raw == b'\\xff'", "type(1) == int", ".data.yes && !.data.yes",
		"data.text.split('')[0].lowerAscii().charAt(0) == 'h'", "event.attributes.all(a, a in event.attributes)", "-9223372036854775808 < 1u",
	} {
		f.Add(seed, []byte(nil))
		f.Add(seed, full)
	}
	f.Fuzz(func(t *testing.T, source string, payload []byte) {
		m, err := Compile(&tidingsv1.EventFilter{EventTypes: []string{thing, other}, Cel: source}, set, nil)
		if err != nil {
			invalid, ok := err.(*Error) //nolint:errorlint // It is never wrapped.
			if !ok || invalid.Field != "cel" || invalid.Description == "" {
				t.Fatalf("%#v", err)
			}
			return
		}
		older := mustMarshal(t, &tidingsv1.Event{Id: "1", Time: timestamppb.Now(), Data: &anypb.Any{TypeUrl: thing, Value: payload}})
		for _, raw := range [][]byte{full, bare, older} {
			if _, err := m.Match(t.Context(), raw); err != nil {
				t.Error(err)
			}
		}
	})
}
