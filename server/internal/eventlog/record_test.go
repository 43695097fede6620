package eventlog_test

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"example.com/tidings/server/internal/eventlog"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// A record carries the revisions of its events' types, and those of releases
// before that are read without.
func TestRevisions(t *testing.T) {
	event, err := proto.Marshal(&tidingsv1.Event{Id: "1", Source: "/s"})
	if err != nil {
		t.Fatal(err)
	}
	one, two := [8]byte{0, 1, 2, 3, 4, 5, 0xfe, 0xff}, [8]byte{7}
	const first, second = "000102030405feff", "0700000000000000"
	old, err := proto.Marshal(&storagev1.Record{Format: 1, Events: []*tidingsv1.Event{{Id: "1", Source: "/s"}}})
	if err != nil {
		t.Fatal(err)
	}
	with := func(header []byte) []byte { return eventlog.AppendEvent(header, event, "") }
	for name, test := range map[string]struct {
		data []byte
		want [2]string
	}{
		"one type":                   {with(eventlog.AppendHeader(nil, "", one)), [2]string{first, first}},
		"two types":                  {with(eventlog.AppendHeader(nil, "", one, two)), [2]string{first, second}},
		"too few":                    {with(eventlog.AppendHeader(nil, "", one, two))[:2], [2]string{}},
		"not known":                  {with(eventlog.AppendHeader(nil, "")), [2]string{}},
		"of a release before":        {old, [2]string{}},
		"with the old field":         {append([]byte{0x08, 0x01, 0x1a, 0x08, 1, 2, 3, 4, 5, 6, 7, 8}, old...), [2]string{}},
		"of a length that isn't one": {with([]byte{0x08, 0x01, 0x22, 0x03, 1, 2, 3}), [2]string{}},
		"not a record":               {[]byte{0xff}, [2]string{}},
		"after the events":           {append(with(eventlog.AppendHeader(nil, "")), 0x22, 0x08, 1, 2, 3, 4, 5, 6, 7, 8), [2]string{}},
		"some of a record":           {with(eventlog.AppendHeaderOf(nil, eventlog.AppendHeader(nil, "", one, two), 1)), [2]string{second, second}},
		"others of a record":         {with(eventlog.AppendHeaderOf(nil, eventlog.AppendHeader(nil, "", one, two, one), 1, 2)), [2]string{second, first}},
		"some of one type":           {with(eventlog.AppendHeaderOf(nil, eventlog.AppendHeader(nil, "", one), 4)), [2]string{first, first}},
		"some that aren't known":     {with(eventlog.AppendHeaderOf(nil, eventlog.AppendHeader(nil, ""), 4)), [2]string{}},
	} {
		for i, want := range test.want {
			header := eventlog.HeaderOf(test.data)
			got := header.Revisions.Of(i)
			if hex.EncodeToString(got) != want {
				t.Errorf("%s: event %d has %x, want %q", name, i, got, want)
			}
			var recorded tidingsv1.RecordedEvent
			if err := proto.Unmarshal(eventlog.AppendSuffix(nil, "topic", time.Unix(1, 2), got, header.Publisher), &recorded); err != nil {
				t.Fatal(err)
			}
			if recorded.GetSchemaRevision() != want || recorded.GetTopic() != "topic" {
				t.Errorf("%s: recorded as %v", name, &recorded)
			}
		}
	}
	for count := range 3 {
		header := eventlog.AppendHeader(nil, "", make([][8]byte, 2048*count)...)
		if len(header) > eventlog.HeaderSize(0, 2048*count) {
			t.Errorf("a header of %d bytes for %d revisions", len(header), 2048*count)
		}
		var stored storagev1.Record
		if err := proto.Unmarshal(with(header), &stored); err != nil || len(stored.GetTypeRevisions()) != 2048*count*8 || stored.GetFormat() != 1 {
			t.Errorf("stored as %v, %v", &stored, err)
		}
	}
}

// What release 0.2.0 stored of two events has no publisher, and is read as before.
func TestRecordOf020(t *testing.T) {
	const stored = "080122085e23f8f33c5bf8bc12690a09313030312d7061696412052f73686f703a4f0a2c747970652e676f6f676c65617069732e636f6d2f7368" +
		"6f702e6f72646572732e76312e4f7264657250616964121f0a043130303112057061792d381a080a03455552108407220608a0fa8ad8062a0431303031" +
		"12690a09313030322d7061696412052f73686f703a4f0a2c747970652e676f6f676c65617069732e636f6d2f73686f702e6f72646572732e76312e4f72" +
		"64657250616964121f0a043130303212057061792d391a080a03455552108407220608a0fa8ad8062a0431303032"
	data, err := hex.DecodeString(stored)
	if err != nil {
		t.Fatal(err)
	}
	events, err := eventlog.Events(1, data, nil)
	if err != nil || len(events) != 2 {
		t.Fatalf("%d events, %v", len(events), err)
	}
	header := eventlog.HeaderOf(data)
	for i, raw := range events {
		encoded := eventlog.AppendRecorded(nil, 1, 7, raw, int64(i)+1, int64(i)+1, eventlog.AppendSuffix(nil, "orders", time.Unix(1, 0), header.Revisions.Of(i), header.Publisher))
		var batch tidingsv1.EventBatch
		if err := proto.Unmarshal(encoded, &batch); err != nil {
			t.Fatal(err)
		}
		got := batch.GetEvents()[0]
		if got.GetPublisher() != "" || got.GetSchemaRevision() != "5e23f8f33c5bf8bc" || got.GetEvent().GetId() != fmt.Sprintf("100%d-paid", i+1) {
			t.Errorf("read as %v", got)
		}
	}
}

// A record carries its publisher once, whatever else its header has, and so do those
// that are made of some of its events.
func TestPublisher(t *testing.T) {
	event, err := proto.Marshal(&tidingsv1.Event{Id: "1", Source: "/s"})
	if err != nil {
		t.Fatal(err)
	}
	one, two := [8]byte{1}, [8]byte{2}
	for _, publisher := range []string{"", "k", "key:checkout", "corp:" + strings.Repeat("é", 1024)} {
		for _, revisions := range [][][8]byte{nil, {one}, {one, two}, {two, one, one}} {
			header := eventlog.AppendHeader(nil, publisher, revisions...)
			if most := eventlog.HeaderSize(len(publisher), len(revisions)); len(header) > most {
				t.Errorf("%d bytes, said were %d", len(header), most)
			}
			for name, header := range map[string][]byte{"all": header, "one of them": eventlog.AppendHeaderOf(nil, header, len(revisions)-1)} {
				data := eventlog.AppendEvent(eventlog.AppendEvent(header, event, ""), event, "k")
				var stored storagev1.Record
				if err := proto.Unmarshal(data, &stored); err != nil || stored.GetPublisher() != publisher {
					t.Errorf("%s: stored as %v, %v", name, &stored, err)
				}
				got := eventlog.HeaderOf(data)
				var recorded tidingsv1.RecordedEvent
				if err := proto.Unmarshal(eventlog.AppendSuffix(nil, "topic", time.Unix(1, 2), got.Revisions.Of(0), got.Publisher), &recorded); err != nil {
					t.Fatal(err)
				}
				if recorded.GetPublisher() != publisher || recorded.GetTopic() != "topic" {
					t.Errorf("%s: recorded as %v", name, &recorded)
				}
			}
		}
	}
}
