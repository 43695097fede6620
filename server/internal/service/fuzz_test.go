package service

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/eventlog"
	"example.com/tidings/server/internal/eventwire"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// last expects a sequence, of a key or of the topic.
func last(key string, sequence int64) *tidingsv1.Precondition {
	p := &tidingsv1.Precondition{Expectation: &tidingsv1.Precondition_LastSequence{LastSequence: sequence}}
	if key != "" {
		p.PartitionKey = &key
	}
	return p
}

// batchSeeds are requests on both sides of what scanBatch takes.
func batchSeeds() [][]byte {
	event := func(change func(*tidingsv1.Event)) *tidingsv1.PublishRequest {
		e := &tidingsv1.Event{Id: "1", Source: "/s", Data: &anypb.Any{TypeUrl: "a/b.C", Value: []byte{1}}}
		change(e)
		return &tidingsv1.PublishRequest{Topic: "orders", Events: []*tidingsv1.Event{e}}
	}
	expecting := func(preconditions ...*tidingsv1.Precondition) *tidingsv1.PublishRequest {
		request := event(func(*tidingsv1.Event) {})
		request.Preconditions = preconditions
		return request
	}
	var seeds [][]byte
	for _, request := range []*tidingsv1.PublishRequest{
		{},
		event(func(*tidingsv1.Event) {}),
		event(func(e *tidingsv1.Event) { e.Id = "" }),
		event(func(e *tidingsv1.Event) { e.Id = "\x00" }),
		event(func(e *tidingsv1.Event) { e.Id = strings.Repeat("é", 256) }),
		event(func(e *tidingsv1.Event) { e.Id = strings.Repeat("é", 128) }),
		event(func(e *tidingsv1.Event) { e.Source = "a b" }),
		event(func(e *tidingsv1.Event) { e.Subject, e.PartitionKey = "s", new("k") }),
		event(func(e *tidingsv1.Event) { e.PartitionKey = new("") }),
		event(func(e *tidingsv1.Event) { e.Time = timestamppb.Now() }),
		event(func(e *tidingsv1.Event) { e.Time = &timestamppb.Timestamp{} }),
		event(func(e *tidingsv1.Event) { e.Time = &timestamppb.Timestamp{Seconds: 253402300799, Nanos: 999999999} }),
		event(func(e *tidingsv1.Event) { e.Time = &timestamppb.Timestamp{Seconds: 253402300800} }),
		event(func(e *tidingsv1.Event) { e.Time = &timestamppb.Timestamp{Seconds: -1} }),
		event(func(e *tidingsv1.Event) { e.Time = &timestamppb.Timestamp{Nanos: -1} }),
		event(func(e *tidingsv1.Event) { e.Attributes = map[string]string{"a": "1"} }),
		event(func(e *tidingsv1.Event) { e.Attributes = map[string]string{"type": "1"} }),
		event(func(e *tidingsv1.Event) { e.Attributes = map[string]string{"tidingsx": "1"} }),
		event(func(e *tidingsv1.Event) { e.Attributes = map[string]string{"tiding": "1"} }),
		event(func(e *tidingsv1.Event) { e.Attributes = map[string]string{"": ""} }),
		event(func(e *tidingsv1.Event) { e.Attributes = map[string]string{"A": "1"} }),
		event(func(e *tidingsv1.Event) { e.Attributes = map[string]string{"a": strings.Repeat("é", 4096)} }),
		event(func(e *tidingsv1.Event) { e.Data = nil }),
		event(func(e *tidingsv1.Event) { e.Data = new(anypb.Any) }),
		event(func(e *tidingsv1.Event) { e.ProtoReflect().SetUnknown([]byte{0xa0, 0x06, 0x01}) }),
		{Topic: "orders", RequestId: "r", SkipInvalid: true, Events: event(func(*tidingsv1.Event) {}).GetEvents()},
		{Topic: "A", Events: event(func(*tidingsv1.Event) {}).GetEvents()},
		{RequestId: "\x7f", Events: event(func(*tidingsv1.Event) {}).GetEvents()},
		expecting(last("", 5)),
		expecting(last("", -5)),
		expecting(last("k", 1<<40), last("", 1)),
		expecting(&tidingsv1.Precondition{Expectation: &tidingsv1.Precondition_Exists{Exists: true}}),
		expecting(&tidingsv1.Precondition{Expectation: &tidingsv1.Precondition_Exists{}}),
		expecting(&tidingsv1.Precondition{PartitionKey: new("k")}),
		expecting(&tidingsv1.Precondition{PartitionKey: new(""), Expectation: &tidingsv1.Precondition_Exists{}}),
		expecting(last("\x00", 5)),
		expecting(slices.Repeat([]*tidingsv1.Precondition{last("", 1)}, maxPreconditions)...),
		expecting(slices.Repeat([]*tidingsv1.Precondition{last("", 1)}, maxPreconditions+1)...),
	} {
		encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(request)
		if err != nil {
			panic(err)
		}
		seeds = append(seeds, encoded)
	}
	for _, source := range slices.Concat(goodSources, badSources) {
		encoded, _ := proto.Marshal(event(func(e *tidingsv1.Event) { e.Source = source }))
		seeds = append(seeds, encoded)
	}
	for _, text := range slices.Concat(goodTexts, badTexts) {
		encoded, _ := proto.Marshal(event(func(e *tidingsv1.Event) {
			e.Id, e.Subject, e.PartitionKey, e.Attributes = text, text, &text, map[string]string{"a": text}
		}))
		seeds = append(seeds, encoded)
	}
	whole := seeds[1]
	field := func(number protowire.Number, value []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), value)
	}
	raw, _ := proto.Marshal(event(func(*tidingsv1.Event) {}).GetEvents()[0])
	attribute := func(parts ...[]byte) []byte {
		return field(2, append(bytes.Clone(raw), field(6, bytes.Join(parts, nil))...))
	}
	return append(seeds,
		append(bytes.Clone(whole), whole...),                       // The topic twice.
		field(2, append(bytes.Clone(raw), raw...)),                 // Every field of an event twice.
		append(bytes.Clone(whole), 0x20, 0x80, 0x80, 0x00),         // A bool of three bytes.
		append(bytes.Clone(whole), 0x20, 0x05),                     // A bool that is 5.
		append(bytes.Clone(whole), 0x23, 0x24),                     // A group.
		append(bytes.Clone(whole), 0x0d, 0, 0, 0, 0),               // The topic as fixed32.
		append([]byte{0x8a, 0x00, 0x01, 'a'}, whole...),            // A tag of two bytes.
		attribute(field(2, []byte("v")), field(1, []byte("name"))), // The value first.
		attribute(field(1, []byte("a")), field(1, []byte("b"))),    // The name twice.
		attribute(field(1, []byte("a"))),                           // No value.
		attribute(field(2, []byte("v"))),                           // No name.
		attribute(field(1, []byte("a")), field(2, []byte{0xff})),   // Not UTF-8.
		field(2, append(bytes.Clone(raw), field(4, []byte{0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f})...)),
		field(2, append(bytes.Clone(raw), field(4, []byte{0x08, 0x05, 0x08, 0x06, 0x10, 0x81, 0x80, 0x80, 0x80, 0x10})...)),
		field(2, append(bytes.Clone(raw), field(4, []byte{0x0a, 0x00})...)), // Seconds as bytes.
		field(2, append(field(1, []byte{0xff}), raw...)),
	)
}

// FuzzParseBatch holds the two ways through parseBatch together: whatever
// scanBatch accepts, the generated code and protovalidate accept too, and it
// says the same.
func FuzzParseBatch(f *testing.F) {
	for _, seed := range batchSeeds() {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var fast batch
		if !scanBatch(bytes.Clone(data), &fast) {
			var slow batch
			if err := parseBatch(data, &slow, 7); err == nil && len(slow.events) == 0 {
				t.Error("accepted without events")
			}
			return
		}
		var slow batch
		if err := decodeBatch(data, &slow, 0); err != nil {
			t.Fatalf("scanBatch accepts what decodeBatch refuses: %v", err)
		}
		if fast.topic != slow.topic || fast.requestID != slow.requestID || fast.skipInvalid != slow.skipInvalid || len(fast.events) != len(slow.events) ||
			!slices.EqualFunc(fast.preconditions, slow.preconditions, func(a, b *tidingsv1.Precondition) bool { return proto.Equal(a, b) }) {
			t.Fatalf("scanBatch: %+v\ndecodeBatch: %+v", fast, slow)
		}
		for i := range fast.events {
			compareEvents(t, &fast.events[i], &slow.events[i])
		}
	})
}

func compareEvents(t *testing.T, fast, slow *sentEvent) {
	t.Helper()
	if slow.err != nil {
		t.Fatalf("scanBatch accepts an event that decodeBatch refuses: %v", slow.err)
	}
	if fast.err != nil || fast.id != slow.id || fast.source != slow.source || fast.key != slow.key || fast.keyed != slow.keyed || fast.typeURL != slow.typeURL ||
		!bytes.Equal(fast.payload, slow.payload) {
		t.Fatalf("scanBatch: %+v\ndecodeBatch: %+v", fast, slow)
	}
	// What is stored says the same, and its type is found in it.
	var left, right tidingsv1.Event
	if err := proto.Unmarshal(fast.raw, &left); err != nil {
		t.Fatal(err)
	}
	if err := proto.Unmarshal(slow.raw, &right); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(&left, &right) {
		t.Fatalf("scanBatch keeps %v, decodeBatch %v", &left, &right)
	}
	for _, raw := range [][]byte{fast.raw, slow.raw} {
		if name, err := typeOf(raw); err != nil || name != fast.typeName() {
			t.Fatalf("the type is %q, %v; want %q", name, err, fast.typeName())
		}
	}
}

// typeOf returns the full name of the type of an encoded event.
func typeOf(raw []byte) (string, error) {
	var e eventwire.Event
	_, err := e.Scan(raw)
	return e.TypeName(), err
}

// Whatever is accepted can be stored and read back.
func FuzzRecord(f *testing.F) {
	for _, seed := range batchSeeds() {
		f.Add(seed, "key")
	}
	f.Fuzz(func(t *testing.T, data []byte, key string) {
		var b batch
		if parseBatch(data, &b, 0) != nil || !plainKey(key) {
			return
		}
		record := eventlog.AppendHeader(nil, "", [8]byte([]byte("revision")))
		for i := range b.events {
			record = eventlog.AppendEvent(record, b.events[i].raw, b.events[i].missing(key))
		}
		events, err := eventlog.Events(0, record, nil)
		if err != nil || len(events) != len(b.events) {
			t.Fatalf("%d events of %d, %v", len(events), len(b.events), err)
		}
		var stored storagev1.Record
		if err := proto.Unmarshal(record, &stored); err != nil {
			t.Fatal(err)
		}
		for i, raw := range events {
			var sent tidingsv1.Event
			if err := proto.Unmarshal(b.events[i].raw, &sent); err != nil {
				t.Fatal(err)
			}
			if sent.PartitionKey == nil && key != "" {
				sent.PartitionKey = &key
			}
			if !proto.Equal(&sent, stored.GetEvents()[i]) {
				t.Fatalf("stored %v, want %v", stored.GetEvents()[i], &sent)
			}
			if name, err := typeOf(raw); err != nil || name != b.events[i].typeName() {
				t.Fatalf("the type is %q, %v; want %q", name, err, b.events[i].typeName())
			}
		}
	})
}

func testTopic(uid uint64) *engine.Topic {
	return &engine.Topic{Name: "orders", Config: &storagev1.TopicConfig{Uid: uid}}
}

// FuzzParseCursor holds that a cursor is what cursorOf made, and of its topic.
func FuzzParseCursor(f *testing.F) {
	topic := testTopic(0x0123456789abcdef)
	for _, sequence := range []int64{0, 1, 4095, 4096, 1<<63 - 1} {
		f.Add(eventlog.Cursor(topic.Config.GetUid(), sequence), sequence)
	}
	f.Add("", int64(0))
	f.Add("AAAAAAAAAAA", int64(-1))
	f.Fuzz(func(t *testing.T, cursor string, sequence int64) {
		if sequence >= 0 {
			made := eventlog.Cursor(topic.Config.GetUid(), sequence)
			if got, ok := eventlog.ParseCursor(topic.Config.GetUid(), made); !ok || got != sequence {
				t.Fatalf("%q of %d is %d, %t", made, sequence, got, ok)
			}
			if _, ok := eventlog.ParseCursor(0xfedcba9876543210, made); ok {
				t.Fatalf("%q is taken for one of another topic", made)
			}
			if len(made) > 256 {
				t.Fatalf("%q is longer than the contract allows", made)
			}
		}
		if got, ok := eventlog.ParseCursor(topic.Config.GetUid(), cursor); ok && (got < 0 || eventlog.Cursor(topic.Config.GetUid(), got) != cursor) {
			t.Fatalf("%q is accepted as %d, which is %q", cursor, got, eventlog.Cursor(topic.Config.GetUid(), got))
		}
	})
}

func TestPaginate(t *testing.T) {
	list := strings.Fields("a b c d e")
	name := func(s string) string { return s }
	show := func(s string) (*wrapperspb.StringValue, error) { return wrapperspb.String(s), nil }
	var all []string
	token := ""
	for {
		page, next, err := paginate(list, name, show, "letters", 2, token)
		if err != nil || len(page) > 2 {
			t.Fatal(page, err)
		}
		for _, letter := range page {
			all = append(all, letter.GetValue())
		}
		if token = next; next == "" {
			break
		}
		list = append([]string{fmt.Sprint("A", len(list))}, list...) // What comes before doesn't shift the pages.
	}
	if strings.Join(all, " ") != "a b c d e" {
		t.Errorf("listed %q", all)
	}
	_, token, err := paginate(list, name, show, "letters", 1, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{"!", "YQ", token + "!", base64.RawURLEncoding.EncodeToString([]byte("words\x00a"))} {
		if _, _, err := paginate(list, name, show, "letters", 1, token); err == nil {
			t.Errorf("the token %q is accepted", token)
		}
	}
	if page, next, err := paginate(list[:0], name, show, "letters", 0, token); len(page) != 0 || next != "" || err != nil {
		t.Errorf("of nothing: %q, %q, %v", page, next, err)
	}
	exact, next, err := paginate(make([]string, defaultPageSize), name, show, "letters", 0, "")
	if len(exact) != defaultPageSize || next != "" || err != nil {
		t.Errorf("a full page: %d, %q, %v", len(exact), next, err)
	}
}

// A page holds no more bytes than clients take, and at least one element.
func TestPageBytes(t *testing.T) {
	sizes := []int{1 << 20, 1 << 20, 1 << 20, 5 << 20, 0, 3<<20 - 100, 99}
	index := func(i int) string { return fmt.Sprint(i) }
	show := func(i int) (*wrapperspb.StringValue, error) {
		return wrapperspb.String(strings.Repeat("a", sizes[i])), nil
	}
	list := []int{0, 1, 2, 3, 4, 5, 6}
	var pages []int
	token := ""
	for {
		page, next, err := paginate(list, index, show, "sizes", 0, token)
		if err != nil || len(page) == 0 {
			t.Fatal(page, err)
		}
		pages = append(pages, len(page))
		if token = next; next == "" {
			break
		}
	}
	if want := []int{2, 1, 1, 2, 1}; !slices.Equal(pages, want) {
		t.Errorf("the pages hold %d, want %d", pages, want)
	}
}

func TestIdentities(t *testing.T) {
	e := func(source, id string) sentEvent { return sentEvent{source: source, id: id} }
	of := func(events ...sentEvent) engine.ID {
		return eventsIdentity(events)
	}
	one := e("/s", "1")
	all := []engine.ID{
		requestIdentity("", "1"), requestIdentity("", "2"), requestIdentity("", ""), eventIdentity(&one),
		requestIdentity("key:a", "1"), requestIdentity("key:b", "1"), requestIdentity("key:a1", ""), requestIdentity("key:a", ""),
		of(one), of(one, one), of(one, e("/s", "2")), of(e("/s", "2"), one), of(e("/", "s1")), of(e("/s1", "")), of(e("/s", "1/s"), e("", "1")),
	}
	seen := make(map[engine.ID]int)
	for i, identity := range all {
		if other, taken := seen[identity]; taken {
			t.Errorf("%d and %d have the same identity, %x", other, i, identity)
		}
		seen[identity] = i
	}
	if of(one) != of(e("/s", "1")) {
		t.Error("the same events have two identities")
	}
	// Another form would store again what an earlier release has stored.
	for want, identity := range map[string]engine.ID{
		"ab77aeaaf5ba3838008bdcd66b6c79ae": of(one, e("/s", "2")),
		"82f3e9c695dc6b8d1b11818d5701919e": requestIdentity("", "1"),
		"572ed948b5fc5b792c3da5d190086870": eventIdentity(&one),
	} {
		if got := hex.EncodeToString(identity[:]); got != want {
			t.Errorf("an identity is %s, was %s", got, want)
		}
	}
}

func TestRecordRefuses(t *testing.T) {
	whole := eventlog.AppendEvent(eventlog.AppendHeader(nil, "", [8]byte([]byte("revision"))), []byte{0x0a, 0x01, 'a'}, "")
	if _, err := eventlog.Events(0, whole, nil); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"nothing": nil, "no events": whole[:12], "cut off": whole[:len(whole)-1], "no form": whole[2:],
		"a later form": append([]byte{0x08, 0x02}, whole[2:]...), "garbage": []byte("garbage"),
	} {
		if events, err := eventlog.Events(0, data, nil); err == nil {
			t.Errorf("%s: %q", name, events)
		}
	}
}
