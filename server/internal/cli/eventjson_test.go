package cli

import (
	"context"
	"testing"

	"google.golang.org/protobuf/types/known/anypb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

func FuzzParseEvent(f *testing.F) {
	for _, seed := range []string{
		`{"id":"1","source":"/s","attributes":{"a":"b"}}`,
		`{"id":"ü","sourse":1}`, `{"id":[1,{"a":"\u00e9"}]}`, `{"a":{"b":`, "\xff", `{"id":"1"}}`, `[[[]]]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		types := newPayloadTypes(&client{schemas: new(fakeServer)})
		event, refusal, err := parseEvent(context.Background(), types, text)
		if err != nil {
			t.Fatal(err)
		}
		if (event == nil) == (refusal == nil) {
			t.Fatalf("event %v, refusal %v", event, refusal)
		}
		if refusal != nil && newRefusal(refusal).status() != StatusRefused {
			t.Fatalf("status %d of %v", newRefusal(refusal).status(), refusal)
		}
	})
}

func TestParseEventNamesTheField(t *testing.T) {
	types := newPayloadTypes(&client{schemas: new(fakeServer)})
	for text, want := range map[string]struct {
		reason  tidingsv1.ErrorReason
		message string
		field   string
	}{
		`{"id":"1","sourse":"/s"}`:               {tidingsv1.ErrorReason_ERROR_REASON_REQUEST_MALFORMED, "column 11", "sourse"},
		`{"id":"éé","sourse":"/s"}`:              {tidingsv1.ErrorReason_ERROR_REASON_REQUEST_MALFORMED, "column 12", "sourse"},
		`{"id":1}`:                               {tidingsv1.ErrorReason_ERROR_REASON_REQUEST_MALFORMED, "column 7", "id"},
		`{"id":"1","id":"2"}`:                    {tidingsv1.ErrorReason_ERROR_REASON_REQUEST_MALFORMED, "column 11", "id"},
		`{"time":"yesterday"}`:                   {tidingsv1.ErrorReason_ERROR_REASON_REQUEST_MALFORMED, "column 9", "time"},
		`{"attributes":{"a":{}}}`:                {tidingsv1.ErrorReason_ERROR_REASON_REQUEST_MALFORMED, "column 20", `attributes["a"]`},
		`{"data":{"a":1}}`:                       {tidingsv1.ErrorReason_ERROR_REASON_REQUEST_MALFORMED, "column 9", "data"},
		`nonsense`:                               {tidingsv1.ErrorReason_ERROR_REASON_REQUEST_MALFORMED, "column 1: invalid value nonsense", ""},
		`{"data":{"@type":"a/no.such.Type"}}`:    {tidingsv1.ErrorReason_ERROR_REASON_EVENT_TYPE_UNKNOWN, "data.@type: no such type", "data.@type"},
		`{"data":{"@type":"a/test.Plain","x":1}`: {tidingsv1.ErrorReason_ERROR_REASON_REQUEST_MALFORMED, "column 33", "data.x"},
	} {
		_, refusal, err := parseEvent(context.Background(), types, []byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		field := ""
		if v := refusal.GetFieldViolations(); len(v) > 0 {
			field = v[0].GetField()
		}
		if refusal.GetReason() != want.reason || refusal.GetMessage() != want.message || field != want.field {
			t.Errorf("%s: got %s, %q, field %q", text, refusal.GetReason(), refusal.GetMessage(), field)
		}
	}
}

// Every command that prints events goes on after one that it can't show, and only
// after one.
func TestEventsAreShownWhateverTheyAre(t *testing.T) {
	server := new(fakeServer)
	types := newPayloadTypes(&client{schemas: server})
	for url, want := range map[string]string{
		"t/test.Unknown": `{"@type":"t/test.Unknown","value":"Cgk="}`,
		"t/test.Plain":   `{"@type":"t/test.Plain","value":"Cgk="}`, // It isn't an encoding of it.
	} {
		letter := &tidingsv1.DeadLetter{Recorded: &tidingsv1.RecordedEvent{Event: &tidingsv1.Event{Data: &anypb.Any{TypeUrl: url, Value: []byte{0x0a, 9}}}}}
		text, err := toJSON(t.Context(), types, letter)
		if err != nil || string(text) != `{"recorded":{"event":{"data":`+want+`}}}` {
			t.Errorf("%s: %s, %v", url, text, err)
		}
	}
	server.typeErrors = []error{unavailable(t)}
	types = newPayloadTypes(&client{schemas: server})
	if text, err := toJSON(t.Context(), types, &tidingsv1.Event{Data: &anypb.Any{TypeUrl: "t/test.Plain"}}); err == nil {
		t.Errorf("shown though its type couldn't be fetched: %s", text)
	}
}
