package schema

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/anypb"

	"example.com/tidings/server/internal/eventjson"
	"example.com/tidings/server/internal/jsonwire"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// known are the types of a set and those that are compiled in, as the server's codec
// finds them.
type known struct{ *Set }

func (k known) FindMessageByName(name protoreflect.FullName) (protoreflect.MessageType, error) {
	found, err := k.Set.FindMessageByName(name)
	if errors.Is(err, protoregistry.NotFound) {
		return protoregistry.GlobalTypes.FindMessageByName(name)
	}
	return found, err
}

func (k known) FindMessageByURL(url string) (protoreflect.MessageType, error) {
	return k.FindMessageByName(protoreflect.FullName(url[strings.LastIndexByte(url, '/')+1:]))
}

// transcoder is the one of the server. It calls a function for each payload that it shows
// in the other way.
func (k known) transcoder(shown func()) *jsonwire.Types {
	return jsonwire.NewTypes(func(name protoreflect.FullName) protoreflect.MessageDescriptor {
		found, err := k.FindMessageByName(name)
		if err != nil {
			return nil
		}
		return found.Descriptor()
	}, func(dst, encoded []byte) ([]byte, bool) {
		shown()
		data := new(anypb.Any)
		if proto.Unmarshal(encoded, data) != nil {
			return dst, false
		}
		dst, err := eventjson.AppendPayload(dst, data, k)
		return dst, err == nil
	})
}

var (
	publishRequest = (*tidingsv1.PublishRequest)(nil).ProtoReflect().Descriptor()
	readResponse   = (*tidingsv1.ReadResponse)(nil).ProtoReflect().Descriptor()
)

// transcoding compares the ways between JSON and encodings: with messages, and
// without.
type transcoding struct {
	types known
	wires *jsonwire.Types

	texts, valid, fromText int
	encoded, shown, toText int
	others                 int // Payloads that were shown in the other way.
}

func newTranscoding(set *Set) *transcoding {
	c := &transcoding{types: known{set}}
	c.wires = c.types.transcoder(func() { c.others++ })
	return c
}

// parse compares the ways for a message in JSON, and says what is wrong.
func (c *transcoding) parse(message proto.Message, text []byte) string {
	var want []byte
	err := eventjson.Parse(text, message, c.types)
	if err == nil {
		want, err = proto.MarshalOptions{Deterministic: true}.Marshal(message)
	}
	c.texts++
	if err == nil {
		c.valid++
	}
	got, ok := c.wires.AppendWire([]byte("before"), text, message.ProtoReflect().Descriptor())
	if problem := difference(got, ok, want, err, func(data []byte) string { return fmt.Sprintf("%x", data) }); problem != "" {
		return problem
	}
	if ok {
		c.fromText++
	}
	return ""
}

// difference says what is wrong with what was appended to "before", where there is
// something that was wanted, or an error, printed by a function.
func difference(got []byte, ok bool, want []byte, err error, text func([]byte) string) string {
	got, isAppended := bytes.CutPrefix(got, []byte("before"))
	switch {
	case !isAppended || !ok && len(got) > 0:
		return "what was there before is lost"
	case !ok:
		return ""
	case err != nil:
		return fmt.Sprintf("became %s, but: %v", text(got), err)
	case !bytes.Equal(got, want):
		return fmt.Sprintf("became\n%s, not\n%s", text(got), text(want))
	}
	return ""
}

// show compares the ways for an encoded message, and says what is wrong.
func (c *transcoding) show(message proto.Message, encoded []byte, opaque string) string {
	var want []byte
	err := proto.Unmarshal(encoded, message)
	if err == nil {
		want, err = eventjson.Append(nil, message, c.types)
	}
	c.encoded++
	if err == nil && !bytes.Contains(want, []byte(opaque)) {
		c.shown++
	}
	others := c.others
	got, ok := c.wires.AppendJSON([]byte("before"), encoded, message.ProtoReflect().Descriptor())
	if problem := difference(got, ok, want, err, func(data []byte) string { return string(data) }); problem != "" {
		return problem
	}
	if ok && c.others == others {
		c.toText++
	}
	return ""
}

// compare compares the ways for payloads of a type.
func (c *transcoding) compare(i *inventor, of *Type, payloads int) error {
	for range payloads {
		text := i.jsonRequest(of)
		if i.one(4) {
			text = i.damageJSON(text)
		}
		if wrong := c.parse(new(tidingsv1.PublishRequest), text); wrong != "" {
			return fmt.Errorf("%s\n%s", text, wrong)
		}
		payload := i.payload(of.Descriptor(), 3)
		if i.one(8) {
			payload = i.damage(payload)
		}
		encoded := i.response(of, payload)
		if i.one(20) {
			encoded = i.damage(encoded)
		}
		if wrong := c.show(new(tidingsv1.ReadResponse), encoded, of.URL+`","value":"`); wrong != "" {
			return fmt.Errorf("payload %x\n%s", payload, wrong)
		}
	}
	return nil
}

func (c *transcoding) String() string {
	return fmt.Sprintf("%d requests in JSON, of which %d are valid, %d of them encoded in one pass; %d encoded responses, of which %d show their payloads in JSON, %d are written in one pass; %d payloads are shown alone",
		c.texts, c.valid, c.fromText, c.encoded, c.shown, c.toText, c.others)
}

// What goes between JSON and encodings in one pass is what it becomes by messages,
// byte for byte, whatever the schema and the payload.
func TestTranscodingAgreesWithMessages(t *testing.T) {
	seed, more := fuzzing(t)
	total := new(transcoding)
	schemas := 0
	for ; more(schemas) && !t.Failed(); schemas++ {
		i := &inventor{Rand: rand.New(rand.NewPCG(seed, uint64(schemas)))} //nolint:gosec // It is to be repeated.
		file := i.file()
		set, err := Parse(image(t, file))
		if err != nil {
			t.Fatal(err)
		}
		c := newTranscoding(set)
		for _, name := range set.Names(true) {
			of, err := set.Type(name)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.compare(i, of, 100); err != nil {
				t.Errorf("schema %d: %v\n%s", schemas, err, describe(file))
			}
		}
		total.add(c)
	}
	t.Logf("%s=%d: %d schemas, %s", fuzzSeedVariable, seed, schemas, total)
	if total.fromText*3 < total.valid || total.valid*10 < total.texts || total.toText*3 < total.shown || total.shown*10 < total.encoded {
		t.Error("too few go in one pass, or are valid")
	}
}

func (c *transcoding) add(other *transcoding) {
	c.texts, c.valid, c.fromText = c.texts+other.texts, c.valid+other.valid, c.fromText+other.fromText
	c.encoded, c.shown, c.toText, c.others = c.encoded+other.encoded, c.shown+other.shown, c.toText+other.toText, c.others+other.others
}

// So it is of the example events.
func TestTranscodingAgreesOnExamples(t *testing.T) {
	set := examples(t)
	i := &inventor{Rand: rand.New(rand.NewPCG(2, 2))} //nolint:gosec // It is to be repeated.
	c := newTranscoding(set)
	for _, name := range set.Names(true) {
		of, err := set.Type(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.compare(i, of, 20); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	t.Log(c)
	if c.fromText*2 < c.valid || c.fromText < 100 || c.toText*4 < c.shown*3 || c.toText < 100 {
		t.Error("too few go in one pass")
	}
}

// So it is of every message of the contract, whose generated code has its own order of
// fields.
func TestTranscodingAgreesOnContract(t *testing.T) {
	i := &inventor{Rand: rand.New(rand.NewPCG(3, 3))} //nolint:gosec // It is to be repeated.
	c := newTranscoding(examples(t))
	protoregistry.GlobalTypes.RangeMessages(func(of protoreflect.MessageType) bool {
		if !strings.HasPrefix(string(of.Descriptor().FullName()), "tidings.") {
			return true
		}
		for range 40 {
			text := i.jsonObject(i.jsonMembers(of.Descriptor(), 4))
			if wrong := c.parse(of.New().Interface(), []byte(text)); wrong != "" {
				t.Errorf("%s: %s\n%s", of.Descriptor().FullName(), text, wrong)
			}
			if !strings.HasSuffix(string(of.Descriptor().Name()), "Response") {
				continue // eventjson looks for payloads in what is sent.
			}
			encoded := i.payload(of.Descriptor(), 5)
			if wrong := c.show(of.New().Interface(), encoded, `"@type"`); wrong != "" {
				t.Errorf("%s: %x\n%s", of.Descriptor().FullName(), encoded, wrong)
			}
		}
		return !t.Failed()
	})
	t.Log(c)
	if c.fromText < 500 || c.toText < 200 {
		t.Error("too few go in one pass")
	}
}

// response is an encoded ReadResponse with an event before the one of a payload.
func (i *inventor) response(of *Type, payload []byte) []byte {
	str := func(data []byte, number protowire.Number, text string) []byte {
		return protowire.AppendString(protowire.AppendTag(data, number, protowire.BytesType), text)
	}
	url := of.URL
	if i.one(10) {
		url = pick(i, []string{"x/gone.v1.Gone", "gone", "", "a/../&<>\u2028", "a\"\\/gone", "x/google.protobuf.Duration", "x/google.protobuf.Empty", "\xff", "\u65e5/gone"})
	}
	data := protowire.AppendBytes(protowire.AppendTag(str(nil, 1, url), 2, protowire.BytesType), payload)
	event := str(str(nil, 1, pick(i, []string{"1", "a\"\\\n\u2028", "\u65e5"})), 2, "/s")
	if i.one(2) {
		event = protowire.AppendBytes(protowire.AppendTag(event, 4, protowire.BytesType), i.held(publishTime, 1))
	}
	for _, key := range pick(i, [][]string{{}, {"a"}, {"a", "b"}, {"b", "a"}, {"a", "c", "b"}}) {
		if i.one(60) {
			key = "a"
		}
		event = str(event, 6, string(str(str(nil, 1, key), 2, pick(i, []string{"", "x", "\u007f\t"}))))
	}
	event = str(event, 7, string(data))
	recorded := str(str(nil, 1, string(event)), 2, "topic")
	recorded = protowire.AppendVarint(protowire.AppendTag(recorded, 3, protowire.VarintType), i.Uint64()>>i.IntN(64))
	return str(nil, 1, string(str(str(nil, 1, string(recorded)), 1, string(recorded))))
}

var publishTime = (*tidingsv1.RecordedEvent)(nil).ProtoReflect().Descriptor().Fields().ByName("publish_time").Message()

// FuzzTranscoding looks for texts and encodings of which the ways make something else.
func FuzzTranscoding(f *testing.F) {
	set := examples(f)
	c := newTranscoding(set)
	i := &inventor{Rand: rand.New(rand.NewPCG(4, 4))} //nolint:gosec // It is to be repeated.
	for _, name := range set.Names(true) {
		of, err := set.Type(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(true, i.jsonRequest(of))
		f.Add(false, i.response(of, i.payload(of.Descriptor(), 3)))
	}
	f.Fuzz(func(t *testing.T, isText bool, data []byte) {
		wrong := c.parse(new(tidingsv1.PublishRequest), data)
		if !isText {
			wrong = c.show(new(tidingsv1.ReadResponse), data, "")
		}
		if wrong != "" {
			t.Errorf("%q\n%s", data, wrong)
		}
	})
}
