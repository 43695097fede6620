package publish

import (
	"context"
	"testing"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/server/internal/cli/clitest"
	"example.com/tidings/server/internal/cli/command"
)

func FuzzParseEvent(f *testing.F) {
	for _, seed := range []string{
		`{"id":"1","source":"/s","attributes":{"a":"b"}}`,
		`{"id":"ü","sourse":1}`, `{"id":[1,{"a":"\u00e9"}]}`, `{"a":{"b":`, "\xff", `{"id":"1"}}`, `[[[]]]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		types := command.NewPayloadTypes(&command.Client{Schemas: new(clitest.Server).Schemas()})
		event, refusal, err := parseEvent(context.Background(), types, text)
		if err != nil {
			t.Fatal(err)
		}
		if (event == nil) == (refusal == nil) {
			t.Fatalf("event %v, refusal %v", event, refusal)
		}
		if refusal != nil && command.NewRefusal(refusal).Status() != command.StatusRefused {
			t.Fatalf("status %d of %v", command.NewRefusal(refusal).Status(), refusal)
		}
	})
}

func TestParseEventNamesTheField(t *testing.T) {
	types := command.NewPayloadTypes(&command.Client{Schemas: new(clitest.Server).Schemas()})
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
