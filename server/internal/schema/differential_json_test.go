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

func (k known) transcoder() *jsonwire.Types {
	return jsonwire.NewTypes(func(name protoreflect.FullName) protoreflect.MessageDescriptor {
		found, err := k.FindMessageByName(name)
		if err != nil {
			return nil
		}
		return found.Descriptor()
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
}

func newTranscoding(set *Set) *transcoding {
	return &transcoding{types: known{set}, wires: known{set}.transcoder()}
}

// parse compares the ways for a PublishRequest in JSON, and says what is wrong.
func (c *transcoding) parse(text []byte) string {
	var request tidingsv1.PublishRequest
	var want []byte
	err := eventjson.Parse(text, &request, c.types)
	if err == nil {
		want, err = proto.MarshalOptions{Deterministic: true}.Marshal(&request)
	}
	c.texts++
	if err == nil {
		c.valid++
	}
	got, ok := c.wires.AppendWire([]byte("before"), text, publishRequest)
	got, isAppended := bytes.CutPrefix(got, []byte("before"))
	switch {
	case !isAppended || !ok && len(got) > 0:
		return "what was there before is lost"
	case !ok:
		return ""
	case err != nil:
		return fmt.Sprintf("became %x, but: %v", got, err)
	case !bytes.Equal(got, want):
		return fmt.Sprintf("became\n%x, not\n%x", got, want)
	}
	c.fromText++
	return ""
}

// show compares the ways for an encoded ReadResponse, and says what is wrong.
func (c *transcoding) show(of *Type, encoded []byte) string {
	var response tidingsv1.ReadResponse
	var want []byte
	err := proto.Unmarshal(encoded, &response)
	if err == nil {
		want, err = eventjson.Append(nil, &response, c.types)
	}
	c.encoded++
	if err == nil && !bytes.Contains(want, []byte(of.URL+`","value":"`)) {
		c.shown++
	}
	got, ok := c.wires.AppendJSON([]byte("before"), encoded, readResponse)
	got, isAppended := bytes.CutPrefix(got, []byte("before"))
	switch {
	case !isAppended || !ok && len(got) > 0:
		return "what was there before is lost"
	case !ok:
		return ""
	case err != nil:
		return fmt.Sprintf("became %s, but: %v", got, err)
	case !bytes.Equal(got, want):
		return fmt.Sprintf("became\n%s, not\n%s", got, want)
	}
	c.toText++
	return ""
}

// compare compares the ways for payloads of a type.
func (c *transcoding) compare(i *inventor, of *Type, payloads int) error {
	for range payloads {
		text := i.jsonRequest(of)
		if i.one(4) {
			text = i.damageJSON(text)
		}
		if wrong := c.parse(text); wrong != "" {
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
		if wrong := c.show(of, encoded); wrong != "" {
			return fmt.Errorf("payload %x\n%s", payload, wrong)
		}
	}
	return nil
}

func (c *transcoding) String() string {
	return fmt.Sprintf("%d requests in JSON, of which %d are valid, %d of them encoded in one pass; %d encoded responses, of which %d show their payloads in JSON, %d of them written in one pass",
		c.texts, c.valid, c.fromText, c.encoded, c.shown, c.toText)
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
	c.encoded, c.shown, c.toText = c.encoded+other.encoded, c.shown+other.shown, c.toText+other.toText
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

// response is an encoded ReadResponse with an event before the one of a payload.
func (i *inventor) response(of *Type, payload []byte) []byte {
	str := func(data []byte, number protowire.Number, text string) []byte {
		return protowire.AppendString(protowire.AppendTag(data, number, protowire.BytesType), text)
	}
	data := protowire.AppendBytes(protowire.AppendTag(str(nil, 1, of.URL), 2, protowire.BytesType), payload)
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
