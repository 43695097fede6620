package eventwire_test

import (
	"bytes"
	"slices"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"example.com/tidings/server/internal/eventwire"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// full is an event with every field of the contract.
func full() *tidingsv1.Event {
	return &tidingsv1.Event{
		Id: "1", Source: "/s", Subject: "é", PartitionKey: new("k"), Time: &timestamppb.Timestamp{Seconds: -5, Nanos: 7},
		Attributes: map[string]string{"a": "1", "b": ""}, Data: &anypb.Any{TypeUrl: "x/a.B", Value: []byte{1, 2}},
	}
}

func encode(t testing.TB, event *tidingsv1.Event) []byte {
	t.Helper()
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func field(number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), value)
}

// read returns the event that Scan and AppendAttributes see.
func read(raw []byte) (event *tidingsv1.Event, regular bool, err error) {
	var e eventwire.Event
	regular, err = e.Scan(raw)
	if err != nil {
		return nil, false, err
	}
	attributes, regularAttributes, err := e.AppendAttributes(nil)
	if err != nil {
		return nil, false, err
	}
	event = &tidingsv1.Event{Id: e.ID, Source: e.Source, Subject: e.Subject}
	if e.HasKey {
		event.PartitionKey = &e.Key
	}
	if e.HasTime {
		event.Time = &timestamppb.Timestamp{Seconds: e.Seconds, Nanos: e.Nanos}
	}
	if e.HasData {
		event.Data = &anypb.Any{TypeUrl: e.TypeURL, Value: e.Payload}
	}
	for _, a := range attributes {
		if event.Attributes == nil {
			event.Attributes = make(map[string]string)
		}
		event.Attributes[a.Name] = a.Value
	}
	return event, regular && regularAttributes, nil
}

// withoutUnknown empties the unknown fields of an event, and reports whether there
// were any.
func withoutUnknown(event *tidingsv1.Event) (found bool) {
	for _, m := range []protoreflect.Message{event.ProtoReflect(), event.GetTime().ProtoReflect(), event.GetData().ProtoReflect()} {
		if m.IsValid() && len(m.GetUnknown()) > 0 {
			m.SetUnknown(nil)
			found = true
		}
	}
	return found
}

// FuzzEvent holds that an event says here what it says to the generated code, and
// that one which is regular says all of it here.
func FuzzEvent(f *testing.F) {
	whole := encode(f, full())
	for _, seed := range [][]byte{
		nil, whole, whole[:len(whole)-1], slices.Concat(whole, whole),
		encode(f, &tidingsv1.Event{}), encode(f, &tidingsv1.Event{PartitionKey: new(""), Data: new(anypb.Any), Time: new(timestamppb.Timestamp)}),
		slices.Concat(whole, field(4, []byte{0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0x10, 0x05})),
		slices.Concat(whole, field(4, []byte{0x08, 0x05, 0x0a, 0x00, 0x15, 0, 0, 0, 0})),
		field(4, []byte{0x10, 0x81, 0x80, 0x80, 0x80, 0x10}), // Nanoseconds of more than 32 bits.
		field(4, []byte{0x08, 0x01, 0x08, 0x02}),
		field(6, field(2, []byte("v"))), field(6, field(1, []byte("n"))), field(6, nil),
		field(6, append(field(1, []byte("a")), field(1, []byte("b"))...)),
		field(6, append(field(3, []byte("a")), field(1, []byte("b"))...)),
		field(7, append(field(1, []byte("a")), field(1, []byte("b"))...)),
		field(7, append(field(2, []byte("a")), field(3, []byte("b"))...)),
		slices.Concat(whole, field(5, nil)), slices.Concat(whole, field(7, field(1, []byte("x/y")))),
		slices.Concat(whole, []byte{0x08, 0x05, 0x0d, 0, 0, 0, 0, 0x0b, 0x0c}), // The id in other forms.
		slices.Concat(whole, []byte{0xa2, 0x06, 0x01, 'x', 0x8a, 0x80, 0x00, 0x01, 'y'}),
		{0x8a, 0x00, 0x01, 'a'}, {0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f}, {0x07}, {0x0f}, {0x0c}, {0x0b}, {0x80},
		bytes.Repeat([]byte{0x0b}, 20_000),
	} {
		f.Add(seed, "type.googleapis.com/shop.v1.Sold")
	}
	f.Fuzz(func(t *testing.T, raw []byte, url string) {
		want := new(tidingsv1.Event)
		if proto.Unmarshal(raw, want) != nil {
			return // It may be one here: texts may hold anything.
		}
		unknown := withoutUnknown(want)
		got, regular, err := read(raw)
		if err != nil || !proto.Equal(got, want) {
			t.Fatalf("%v, %v; want %v", got, err, want)
		}
		if key, err := eventwire.PartitionKey(raw); err != nil || key != want.GetPartitionKey() {
			t.Errorf("the key is %q, %v; want %q", key, err, want.GetPartitionKey())
		}
		if !regular {
			return
		}
		if unknown {
			t.Error("regular, with unknown fields")
		}
		if want.GetData() == nil {
			return
		}
		renamed := new(tidingsv1.Event)
		if err := proto.Unmarshal(eventwire.WithTypeURL(raw, url), renamed); err != nil {
			return // The text isn't UTF-8.
		}
		if want.Data.TypeUrl = url; !proto.Equal(renamed, want) {
			t.Errorf("with another type URL: %v, want %v", renamed, want)
		}
	})
}

func TestRegular(t *testing.T) {
	whole := encode(t, full())
	with := func(more ...byte) []byte { return slices.Concat(whole, more) }
	backwards := slices.Concat(field(7, field(2, []byte{1})), field(6, slices.Concat(field(2, []byte("v")), field(1, []byte("n")))), field(1, []byte("1")))
	for name, test := range map[string]struct {
		raw  []byte
		want bool
	}{
		"every field":                 {whole, true},
		"none":                        {nil, true},
		"in another order":            {backwards, true},
		"an id again":                 {with(field(1, []byte("1"))...), false},
		"data again":                  {with(field(7, nil)...), false},
		"an attribute again":          {with(field(6, field(1, []byte("a")))...), true}, // The last counts.
		"an unknown field":            {with(field(8, nil)...), false},
		"a large number":              {with(field(100, nil)...), false},
		"a number for an id":          {with(0x08, 0x01), false},
		"a group":                     {with(0x0b, 0x0c), false},
		"a tag of two bytes":          {[]byte{0x8a, 0x00, 0x01, 'a'}, false},
		"seconds twice":               {field(4, []byte{0x08, 0x01, 0x08, 0x02}), false},
		"another field of a time":     {field(4, []byte{0x18, 0x01}), false},
		"nanoseconds of 33 bits":      {field(4, []byte{0x10, 0x81, 0x80, 0x80, 0x80, 0x10}), false},
		"a name twice":                {field(6, slices.Concat(field(1, []byte("a")), field(1, []byte("b")))), false},
		"another field of attributes": {field(6, field(3, nil)), false},
		"another field of data":       {field(7, field(3, nil)), false},
		"a number in data":            {field(7, []byte{0x08, 0x01}), false},
	} {
		if _, got, err := read(test.raw); err != nil || got != test.want {
			t.Errorf("%s: %t, %v", name, got, err)
		}
	}
}

func TestNotAnEvent(t *testing.T) {
	whole := encode(t, full())
	for _, raw := range [][]byte{
		whole[:len(whole)-1], {0x07}, {0x0f}, {0x0c}, {0x0b}, {0x80}, {0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f},
		field(4, []byte{0x08}), field(6, []byte{0x0a, 0x05}), field(7, []byte{0x0a, 0x05}),
	} {
		if event, _, err := read(raw); err == nil {
			t.Errorf("%q is %v", raw, event)
		}
	}
}
