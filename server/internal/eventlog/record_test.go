package eventlog_test

import (
	"encoding/hex"
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
		"one type":                   {with(eventlog.AppendHeader(nil, one)), [2]string{first, first}},
		"two types":                  {with(eventlog.AppendHeader(nil, one, two)), [2]string{first, second}},
		"too few":                    {with(eventlog.AppendHeader(nil, one, two))[:2], [2]string{}},
		"not known":                  {with(eventlog.AppendHeader(nil)), [2]string{}},
		"of a release before":        {old, [2]string{}},
		"with the old field":         {append([]byte{0x08, 0x01, 0x1a, 0x08, 1, 2, 3, 4, 5, 6, 7, 8}, old...), [2]string{}},
		"of a length that isn't one": {with([]byte{0x08, 0x01, 0x22, 0x03, 1, 2, 3}), [2]string{}},
		"not a record":               {[]byte{0xff}, [2]string{}},
		"after the events":           {append(with(eventlog.AppendHeader(nil)), 0x22, 0x08, 1, 2, 3, 4, 5, 6, 7, 8), [2]string{}},
		"some of a record":           {with(eventlog.AppendHeaderOf(nil, eventlog.AppendHeader(nil, one, two), 1)), [2]string{second, second}},
		"others of a record":         {with(eventlog.AppendHeaderOf(nil, eventlog.AppendHeader(nil, one, two, one), 1, 2)), [2]string{second, first}},
		"some of one type":           {with(eventlog.AppendHeaderOf(nil, eventlog.AppendHeader(nil, one), 4)), [2]string{first, first}},
		"some that aren't known":     {with(eventlog.AppendHeaderOf(nil, eventlog.AppendHeader(nil), 4)), [2]string{}},
	} {
		for i, want := range test.want {
			got := eventlog.RevisionsOf(test.data).Of(i)
			if hex.EncodeToString(got) != want {
				t.Errorf("%s: event %d has %x, want %q", name, i, got, want)
			}
			var recorded tidingsv1.RecordedEvent
			if err := proto.Unmarshal(eventlog.AppendSuffix(nil, "topic", time.Unix(1, 2), got), &recorded); err != nil {
				t.Fatal(err)
			}
			if recorded.GetSchemaRevision() != want || recorded.GetTopic() != "topic" {
				t.Errorf("%s: recorded as %v", name, &recorded)
			}
		}
	}
	for count := range 3 {
		header := eventlog.AppendHeader(nil, make([][8]byte, 2048*count)...)
		if len(header) > eventlog.HeaderSize(2048*count) {
			t.Errorf("a header of %d bytes for %d revisions", len(header), 2048*count)
		}
		var stored storagev1.Record
		if err := proto.Unmarshal(with(header), &stored); err != nil || len(stored.GetTypeRevisions()) != 2048*count*8 || stored.GetFormat() != 1 {
			t.Errorf("stored as %v, %v", &stored, err)
		}
	}
}
