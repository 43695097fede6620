package eventjson

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/anypb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"

	_ "google.golang.org/protobuf/types/known/durationpb"
	_ "google.golang.org/protobuf/types/known/structpb"
	_ "google.golang.org/protobuf/types/known/timestamppb"
)

// testTypes has the message test.v1.Payload, which holds what can go wrong.
func testTypes(t testing.TB) Resolver {
	t.Helper()
	field := func(name string, number int32, kind descriptorpb.FieldDescriptorProto_Type, of string) *descriptorpb.FieldDescriptorProto {
		f := &descriptorpb.FieldDescriptorProto{Name: &name, Number: &number, Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(), Type: &kind}
		if of != "" {
			f.TypeName = &of
		}
		return f
	}
	repeated := func(f *descriptorpb.FieldDescriptorProto) *descriptorpb.FieldDescriptorProto {
		f.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
		return f
	}
	const text, number, message = descriptorpb.FieldDescriptorProto_TYPE_STRING, descriptorpb.FieldDescriptorProto_TYPE_INT64, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE
	entry := func(name string, key descriptorpb.FieldDescriptorProto_Type) *descriptorpb.DescriptorProto {
		return &descriptorpb.DescriptorProto{
			Name: &name, Options: &descriptorpb.MessageOptions{MapEntry: new(true)},
			Field: []*descriptorpb.FieldDescriptorProto{field("key", 1, key, ""), field("value", 2, message, ".test.v1.Payload")},
		}
	}
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: new("test.proto"), Package: new("test.v1"), Syntax: new("proto3"),
		Dependency: []string{"google/protobuf/any.proto", "google/protobuf/timestamp.proto", "google/protobuf/duration.proto", "google/protobuf/struct.proto"},
		MessageType: []*descriptorpb.DescriptorProto{{
			Name: new("Payload"),
			Field: []*descriptorpb.FieldDescriptorProto{
				field("name", 1, text, ""),
				repeated(field("map", 2, message, ".test.v1.Payload.MapEntry")),
				field("at", 3, message, ".google.protobuf.Timestamp"),
				field("wait", 4, message, ".google.protobuf.Duration"),
				field("any", 5, message, ".google.protobuf.Any"),
				field("below", 6, message, ".test.v1.Payload"),
				repeated(field("numbered", 7, message, ".test.v1.Payload.NumberedEntry")),
				repeated(field("times", 8, message, ".google.protobuf.Timestamp")),
				field("struct", 9, message, ".google.protobuf.Struct"),
				repeated(field("list", 10, message, ".google.protobuf.Any")),
			},
			NestedType: []*descriptorpb.DescriptorProto{entry("MapEntry", text), entry("NumberedEntry", number)},
		}},
	}, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	return resolver{dynamicpb.NewMessageType(file.Messages().Get(0))}
}

type resolver struct{ payload protoreflect.MessageType }

func (r resolver) FindMessageByName(name protoreflect.FullName) (protoreflect.MessageType, error) {
	if name == r.payload.Descriptor().FullName() {
		return r.payload, nil
	}
	return protoregistry.GlobalTypes.FindMessageByName(name)
}

func (r resolver) FindMessageByURL(url string) (protoreflect.MessageType, error) {
	return r.FindMessageByName(protoreflect.FullName(url[strings.LastIndexByte(url, '/')+1:]))
}

func (r resolver) FindExtensionByName(name protoreflect.FullName) (protoreflect.ExtensionType, error) {
	return protoregistry.GlobalTypes.FindExtensionByName(name)
}

func (r resolver) FindExtensionByNumber(message protoreflect.FullName, number protoreflect.FieldNumber) (protoreflect.ExtensionType, error) {
	return protoregistry.GlobalTypes.FindExtensionByNumber(message, number)
}

const payloadURL = "type.googleapis.com/test.v1.Payload"

// Whatever a payload is, it is shown, and so are the others.
func TestEveryPayloadIsShown(t *testing.T) {
	types := testTypes(t)
	deep := func(levels int) []byte {
		var payload []byte
		for range levels {
			inner, err := proto.Marshal(&anypb.Any{TypeUrl: payloadURL, Value: payload})
			if err != nil {
				t.Fatal(err)
			}
			payload = append([]byte{5<<3 | 2}, append(varint(len(inner)), inner...)...)
		}
		return payload
	}
	for name, test := range map[string]struct {
		data  *anypb.Any
		shown bool // As what it means.
	}{
		"known":                    {&anypb.Any{TypeUrl: payloadURL, Value: []byte("\x0a\x01a")}, true},
		"an unknown type":          {&anypb.Any{TypeUrl: "type.googleapis.com/gone.v1.Gone", Value: []byte{8, 1}}, false},
		"an unknown type in Any":   {&anypb.Any{TypeUrl: payloadURL, Value: []byte("\x2a\x05\x0a\x03a/b")}, false},
		"a key of another type":    {&anypb.Any{TypeUrl: payloadURL, Value: []byte{0x12, 5, 0x0a, 1, 'a', 8, 1}}, false},
		"not an encoding":          {&anypb.Any{TypeUrl: payloadURL, Value: []byte{0x0a, 9}}, false},
		"not UTF-8":                {&anypb.Any{TypeUrl: payloadURL, Value: []byte{0x0a, 1, 0xff}}, false},
		"a time that there isn't":  {&anypb.Any{TypeUrl: payloadURL, Value: []byte("\x1a\x07\x08\xff\xff\xff\xff\xff\x7f")}, false},
		"no kind of Value":         {&anypb.Any{TypeUrl: payloadURL, Value: []byte("\x4a\x07\x0a\x05\x0a\x01a\x12\x00")}, false},
		"some Any in one another":  {&anypb.Any{TypeUrl: payloadURL, Value: deep(50)}, true},
		"many Any in one another":  {&anypb.Any{TypeUrl: payloadURL, Value: deep(5000)}, false},
		"many Any beside another":  {&anypb.Any{TypeUrl: payloadURL, Value: []byte(strings.Repeat("\x52\x00", 5000))}, true},
		"a type with quotes":       {&anypb.Any{TypeUrl: "a\"\\\n/gone.v1.Gone", Value: nil}, false},
		"a name that can't be one": {&anypb.Any{TypeUrl: "a/../&<>", Value: []byte{1}}, false},
		"a value and no type":      {&anypb.Any{Value: []byte{1}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			response := &tidingsv1.ReadResponse{Frame: &tidingsv1.ReadResponse_Events{Events: &tidingsv1.EventBatch{
				Events: []*tidingsv1.RecordedEvent{
					{Event: &tidingsv1.Event{Id: "before", Data: &anypb.Any{TypeUrl: payloadURL, Value: []byte("\x0a\x01b")}}},
					{Event: &tidingsv1.Event{Id: "this", Data: test.data}},
					{Event: &tidingsv1.Event{Id: "after", Data: &anypb.Any{TypeUrl: payloadURL, Value: []byte("\x0a\x01c")}}},
				},
			}}}
			before := proto.CloneOf(response)
			encoded, err := Append([]byte("x"), response, types)
			if err != nil {
				t.Fatal(err)
			}
			if !proto.Equal(response, before) {
				t.Error("the response was changed")
			}
			var got struct {
				Events struct {
					Events []struct {
						Event struct {
							Data map[string]any `json:"data"`
						} `json:"event"`
					} `json:"events"`
				} `json:"events"`
			}
			if err := json.Unmarshal(encoded[1:], &got); err != nil || len(got.Events.Events) != 3 {
				t.Fatalf("%v: %s", err, encoded)
			}
			if got.Events.Events[0].Event.Data["name"] != "b" || got.Events.Events[2].Event.Data["name"] != "c" {
				t.Errorf("the others are shown as %v and %v", got.Events.Events[0], got.Events.Events[2])
			}
			data := got.Events.Events[1].Event.Data
			value, isValue := data["value"].(string)
			switch bytes, err := base64.StdEncoding.DecodeString(value); {
			case test.shown && isValue:
				t.Errorf("shown as its encoding")
			case !test.shown && (err != nil || string(bytes) != string(test.data.GetValue()) || data["@type"] != test.data.GetTypeUrl()):
				t.Errorf("shown as %.200v", data)
			}
		})
	}
}

// Payloads that can be shown one by one can be shown in one message, however many
// Any they hold together.
func TestManyAnyInOneMessage(t *testing.T) {
	types := testTypes(t)
	payload := []byte{5<<3 | 2, 0} // An Any without a type.
	for range 3 {
		inner, err := proto.Marshal(&anypb.Any{TypeUrl: payloadURL, Value: payload})
		if err != nil {
			t.Fatal(err)
		}
		payload = append([]byte{5<<3 | 2}, append(varint(len(inner)), inner...)...)
	}
	batch := new(tidingsv1.EventBatch)
	for range maxHeld {
		batch.Events = append(batch.Events, &tidingsv1.RecordedEvent{Event: &tidingsv1.Event{Data: &anypb.Any{TypeUrl: payloadURL, Value: payload}}})
	}
	text, err := Append(nil, &tidingsv1.ReadResponse{Frame: &tidingsv1.ReadResponse_Events{Events: batch}}, types)
	if err != nil {
		t.Fatal(err)
	}
	if shown := strings.Count(string(text), payloadURL); shown != 4*maxHeld {
		t.Errorf("%d types are shown", shown)
	}
}

func varint(n int) []byte {
	var b []byte
	for ; n > 0x7f; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

// Every answer of the contract that holds events is one that Append knows.
func TestEveryAnswerIsKnown(t *testing.T) {
	answers := 0
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			for j := range file.Services().Get(i).Methods().Len() {
				output := file.Services().Get(i).Methods().Get(j).Output()
				found, err := protoregistry.GlobalTypes.FindMessageByName(output.FullName())
				if err != nil {
					t.Fatal(err)
				}
				answer := found.New()
				if !fillEvents(answer, nil) {
					continue
				}
				answers++
				visited := 0
				each(answer.Interface(), func(event *tidingsv1.Event) {
					if event != nil {
						visited++
					}
				})
				if visited != 1 {
					t.Errorf("%s: %d of its events are known, want 1", output.FullName(), visited)
				}
			}
		}
		return true
	})
	if answers != 6 {
		t.Errorf("%d RPCs answer with events, want 6", answers)
	}
}

// fillEvents sets the fields that lead to an event, and reports whether there
// are any.
func fillEvents(message protoreflect.Message, above []protoreflect.FullName) bool {
	name := message.Descriptor().FullName()
	if name == "tidings.v1.Event" {
		return true
	}
	if slices.Contains(above, name) {
		return false
	}
	fields := message.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if field.Message() == nil || field.IsMap() {
			continue
		}
		if field.IsList() {
			list := message.NewField(field).List()
			if element := list.NewElement(); fillEvents(element.Message(), append(above, name)) {
				list.Append(element)
				message.Set(field, protoreflect.ValueOfList(list))
				return true
			}
			continue
		}
		if value := message.NewField(field); fillEvents(value.Message(), append(above, name)) {
			message.Set(field, value)
			return true
		}
	}
	return false
}

func TestParseNamesTheField(t *testing.T) {
	types := testTypes(t)
	in := func(member string) string {
		return `{"events":[{"id":"ä","data":{"@type":"` + payloadURL + `",` + member + `}}]}`
	}
	for text, want := range map[string]struct{ path, what string }{
		`{"topic":"` + strings.Repeat("ä", 60) + `","requestId":"b","nosuch":1}`: {"nosuch", `unknown field "nosuch"`},
		"{\n \"topic\":\"ąęąęąęąę\",\n \"nosuch\":1}":                            {"nosuch", `unknown field "nosuch"`},
		`{"events":[{"attributes":{"a":1}}]}`:                                    {`events[0].attributes["a"]`, `invalid value for string`},
		in(`"map":{"a.b":{"name":1}}`):                                           {`events[0].data.map["a.b"].name`, "invalid value for string"},
		in(`"numbered":{"7":{"name":1}}`):                                        {"events[0].data.numbered[7].name", "invalid value for string"},
		in(`"below":{"map":{"x":{"nosuch":1}}}`):                                 {`events[0].data.below.map["x"].nosuch`, "unknown field"},
		// @type may follow.
		`{"events":[{"data":{"map":{"a":{"name":1}},"@type":"` + payloadURL + `"}}]}`: {`events[0].data.map["a"].name`, "invalid value for string"},
		in(`"name":NaN`):                       {"events[0].data.name", "invalid value NaN"},
		in(`"name":"\ud83d"`):                  {"events[0].data.name", `\ud83d is half`},
		in(`"name":"\ud83d and more of it"`):   {"events[0].data.name", `\ud83d is half`},
		in(`"name":"\\\udc00 and more of it"`): {"events[0].data.name", `\udc00 is half`},
		`{"topic":"\ud83d"}`:                   {"topic", `\ud83d is half`},
		in(`"name":"\x"`):                      {"events[0].data.name", "invalid escape code"},
		`{"topic":"a`:                          {"", "unexpected EOF"},
		`{"topic":"\\ud83d`:                    {"", "unexpected EOF"},
		in(`"at":"2026-01-01T00:00:00,5Z"`):    {"events[0].data.at", "not a time of RFC 3339"},
		in(`"at":"2026-01-01T1:00:00Z"`):       {"events[0].data.at", "not a time of RFC 3339"},
		in(`"at":"2026-01-01T01:00:00+24:00"`): {"events[0].data.at", "not a time of RFC 3339"},
		in(`"at":"2026-01-01T01:00:00+23:60"`): {"events[0].data.at", "not a time of RFC 3339"},
		in(`"times":["2026-01-01T1:00:00Z"]`):  {"events[0].data.times[0]", "not a time of RFC 3339"},
		in(`"wait":".5s"`):                     {"events[0].data.wait", "not a duration"},
		in(`"wait":"1.s"`):                     {"events[0].data.wait", "not a duration"},
		in(`"map":{"k":{"wait":"+1s"}}`):       {`events[0].data.map["k"].wait`, "not a duration"},
		in(`"any":{"@type":"` + payloadURL + `","below":{"wait":"-.5s"}}`):                {"events[0].data.any.below.wait", "not a duration"},
		in(`"any":{"@type":"a/google.protobuf.Duration","value":"+1s"}`):                  {"events[0].data.any.value", "not a duration"},
		in(`"any":{"value":"2026-01-01T1:00:00Z","@type":"a/google.protobuf.Timestamp"}`): {"events[0].data.any.value", "not a time of RFC 3339"},
		`{"events":[{"time":"2026-01-01T1:00:00Z"}]}`:                                     {"events[0].time", "not a time of RFC 3339"},
		in(strings.Repeat(`"below":{`, 250) + strings.Repeat("}", 250)):                   {"events[0].data" + strings.Repeat(".below", 96), "recursion depth"},
	} {
		var failure *Error
		err := Parse([]byte(text), new(tidingsv1.PublishRequest), types)
		if failure, _ = err.(*Error); failure == nil { //nolint:errorlint // It is documented so.
			t.Errorf("%s: accepted, or %v", text, err)
			continue
		}
		if failure.Path != want.path || !strings.Contains(failure.Text, want.what) {
			t.Errorf("%s: got %q at %q", text, failure.Text, failure.Path)
		}
	}
	for _, text := range []string{
		in(`"at":"2026-01-01T00:00:00Z"`), in(`"at":"2026-01-01T00:00:00.123456789-23:59"`),
		in(`"wait":"-0.5s"`), in(`"wait":"0s"`), in(`"name":"+1s"`), in(`"name":"2026-01-01T1:00:00Z"`),
		in(`"struct":{"at":"2026-01-01T1:00:00Z","wait":"+1s"}`), in(`"any":{"@type":"a/google.protobuf.Value","value":{"a":["+1s"]}}`),
		in(`"name":"\ud83d\ude00"`), in(`"name":"\\ud83d"`),
		in(strings.Repeat(`"below":{`, 198) + strings.Repeat("}", 198)), // Too deep for a payload, which whoever takes it says.
	} {
		if err := Parse([]byte(text), new(tidingsv1.PublishRequest), types); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestPathAt(t *testing.T) {
	// The path of the place marked by ^.
	for _, test := range []struct{ marked, want string }{
		{`^{"a":1}`, ""},
		{`{^"a":1}`, "a"},
		{`{"a":^1}`, "a"},
		{`{"a":1,^"b":2}`, "b"},
		{`{"a":{"b":{^"c":1}}}`, "a.b.c"},
		{`{"a":[1,^2]}`, "a[1]"},
		{`{"a":[{"b":1},{^"b":2}]}`, "a[1].b"},
		{`{"a":[[1],[2,^3]]}`, "a[1][1]"},
		{`{"a":[],^"b":1}`, "b"},
		{`{"a":{"x":[1,2]},"b":{^"c":1}}`, "b.c"},
		{`{"a":{"b":1}^}`, ""},
		{`{"a":{"b":1^}}`, "a"},
		{`{"a":{}^,"b":1}`, "b"},
		{`{"a":{"b":tru^`, "a.b"},
		{`{"é":{"b":^NaN}}`, "é.b"},
		{`{"a"^`, "a"},
		{`[^1]`, "[0]"},
		{`^1`, ""},
		{`^`, ""},
	} {
		offset := strings.IndexByte(test.marked, '^')
		document := strings.Replace(test.marked, "^", "", 1)
		if got := pathAt([]byte(document), offset, (*tidingsv1.Event)(nil).ProtoReflect().Descriptor(), testTypes(t)); got != test.want {
			t.Errorf("%s: got %q, want %q", test.marked, got, test.want)
		}
	}
}

// FuzzParse holds that whatever is refused is explained in words that can be
// sent.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "{}", "[]", "null", `{"events":[{"id":1}]}`, `{"evnets":[]}`, `{"events":[{"data":{"@type":"a/b.C"}}]}`,
		"{\n\"events\": [\n{\"attributes\":{\"a\":\"1\",\"a\":\"2\"}}]}", `{"topic":"` + "\xff" + `"}`, `{"é":1}`, `{"a":{"b":[1,2,{"c":"`,
		strings.Repeat("[", 200), strings.Repeat(`{"a":`, 200), "{\"topic\":\n\n\"x\"\n,}", `{"preCondition":{"expectedLastSequence":"99999999999999999999"}}`,
		`{"topic":"\ud83d`, `{"topic":"\ud83d\`, `{"events":[{"time":"2026-01-01T1:00:00Z","data":{"@type":"` + payloadURL + `","wait":"+1s","map":{"\u0000":{"at":1}}}}]}`,
	} {
		f.Add([]byte(seed))
	}
	types := testTypes(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		request := new(tidingsv1.PublishRequest)
		err := Parse(data, request, types)
		if err == nil {
			if _, err := Append(nil, request, types); err != nil {
				t.Errorf("taken, and can't be shown: %v", err)
			}
			return
		}
		failure, ok := err.(*Error) //nolint:errorlint // It is documented so.
		if !ok || failure.Text == "" {
			t.Fatalf("%v", err)
		}
		if utf8.Valid(data) && (!utf8.ValidString(failure.Text) || !utf8.ValidString(failure.Path)) {
			t.Errorf("not UTF-8: %q at %q", failure.Text, failure.Path)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	types := testTypes(b)
	batch := new(tidingsv1.EventBatch)
	for i := range 100 {
		batch.Events = append(batch.Events, &tidingsv1.RecordedEvent{
			Event: &tidingsv1.Event{Id: fmt.Sprint(i), Source: "/s", Data: &anypb.Any{TypeUrl: payloadURL, Value: []byte("\x0a\x05hello")}},
			Topic: "orders", Sequence: int64(i),
		})
	}
	response := &tidingsv1.ReadResponse{Frame: &tidingsv1.ReadResponse_Events{Events: batch}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Append(nil, response, types); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	types := testTypes(b)
	event := `{"id":"1001","source":"/s","time":"2026-01-01T00:00:00Z","data":{"@type":"` + payloadURL + `","name":"hello","at":"2026-01-01T00:00:00Z","wait":"1s"}}`
	text := []byte(`{"events":[` + strings.Repeat(event+",", 99) + event + `]}`)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if err := Parse(text, new(tidingsv1.PublishRequest), types); err != nil {
			b.Fatal(err)
		}
	}
}
