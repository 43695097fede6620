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

// A record carries the revision of the schemas, and those of releases before
// that are read without one.
func TestRevision(t *testing.T) {
	event, err := proto.Marshal(&tidingsv1.Event{Id: "1", Source: "/s"})
	if err != nil {
		t.Fatal(err)
	}
	revision := []byte{0, 1, 2, 3, 4, 5, 0xfe, 0xff}
	header := eventlog.AppendHeader(nil, revision)
	if len(header) > eventlog.HeaderSize {
		t.Errorf("a header of %d bytes", len(header))
	}
	old, err := proto.Marshal(&storagev1.Record{Format: 1, Events: []*tidingsv1.Event{{Id: "1", Source: "/s"}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		data []byte
		want string
	}{
		"of this release":    {eventlog.AppendEvent(header, event, ""), "000102030405feff"},
		"of one before":      {old, ""},
		"not a record":       {[]byte{0xff}, ""},
		"cut off before it":  {header[:2], ""},
		"an event with a 3":  {append(old, 0x1a, 0x01, 'x'), ""},
		"of a later release": {append([]byte{0x20, 0x01}, eventlog.AppendEvent(header, event, "")...), "000102030405feff"},
	} {
		got := eventlog.Revision(test.data)
		if hex.EncodeToString(got) != test.want {
			t.Errorf("%s: %x, want %q", name, got, test.want)
		}
		var recorded tidingsv1.RecordedEvent
		if err := proto.Unmarshal(eventlog.Suffix("topic", time.Unix(1, 2), got), &recorded); err != nil {
			t.Fatal(err)
		}
		if recorded.GetSchemaRevision() != test.want || recorded.GetTopic() != "topic" {
			t.Errorf("%s: recorded as %v", name, &recorded)
		}
	}
	var stored storagev1.Record
	if err := proto.Unmarshal(eventlog.AppendEvent(header, event, ""), &stored); err != nil || string(stored.GetTypeRevisions()) != string(revision) {
		t.Errorf("stored as %v, %v", &stored, err)
	}
}
