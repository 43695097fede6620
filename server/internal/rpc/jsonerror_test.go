package rpc

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"

	"example.com/tidings/server/internal/service"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

func TestPathAt(t *testing.T) {
	const text = `{"a": [10, {"b.c": "x", "d": [[true]]}], "é": null, "last": -1}`
	for at, want := range map[string]string{
		`"a"`: "a", "10": "a[0]", `"b.c"`: "a[1].b.c", `"x"`: "a[1].b.c", `"d"`: "a[1].d", "true": "a[1].d[0][0]",
		`"é"`: "é", "null": "é", `"last"`: "last", "-1": "last",
	} {
		if got := pathAt([]byte(text), int64(strings.Index(text, at))); got != want {
			t.Errorf("at %s: %q, want %q", at, got, want)
		}
	}
	for _, text := range []string{"", "x", "[", `{"a"`, `{"a":`, "[1,"} {
		if got := pathAt([]byte(text), 100); got != "" {
			t.Errorf("in %q: %q", text, got)
		}
	}
}

func TestOffsetOf(t *testing.T) {
	const text = "{\n  \"é\": 1,\n  \"b\": 2\n}"
	for place, want := range map[[2]int]string{{1, 1}: "{", {2, 3}: `"é"`, {3, 3}: `"b"`, {3, 8}: "2", {4, 1}: "}"} {
		offset := offsetOf([]byte(text), place[0], place[1])
		if !strings.HasPrefix(text[offset:], want) {
			t.Errorf("line %d, column %d is at %q, want %q", place[0], place[1], text[offset:], want)
		}
	}
}

// FuzzJSONError holds that whatever protojson refuses becomes an error that
// can be sent, with a path only where the text is JSON up to there.
func FuzzJSONError(f *testing.F) {
	for _, seed := range []string{
		"", "{}", "[]", "null", `{"events":[{"id":1}]}`, `{"evnets":[]}`, `{"events":[{"data":{"@type":"a/b.C"}}]}`,
		"{\n\"events\": [\n{\"attributes\":{\"a\":\"1\",\"a\":\"2\"}}]}", `{"topic":"` + "\xff" + `"}`, `{"é":1}`, `{"a":{"b":[1,2,{"c":"`,
		strings.Repeat("[", 200), strings.Repeat(`{"a":`, 200), "{\"topic\":\n\n\"x\"\n,}", `{"preCondition":{"expectedLastSequence":"99999999999999999999"}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		err := protojson.Unmarshal(data, new(tidingsv1.PublishRequest))
		if err == nil {
			return
		}
		var failure *service.Error
		if !errors.As(jsonError(data, err), &failure) {
			t.Fatalf("not of the catalogue: %v", jsonError(data, err))
		}
		if failure.Name() != "REQUEST_MALFORMED" || failure.Message == "" {
			t.Errorf("%s: %q", failure.Name(), failure.Message)
		}
		// Protobuf, in which the error is sent, takes UTF-8 only.
		if utf8.Valid(data) && !utf8.ValidString(failure.Message) {
			t.Errorf("the message is not UTF-8: %q", failure.Message)
		}
		for _, field := range failure.Fields {
			if field.GetField() == "" || !utf8.ValidString(field.GetField()) {
				t.Errorf("field %q", field.GetField())
			}
		}
		if grpcError(failure) == nil || connectError(failure) == nil {
			t.Error("it can't be sent")
		}
	})
}

// FuzzPathAt holds that a path is found for every offset inside of a value, and
// that nothing makes it panic.
func FuzzPathAt(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":"c"}]}`), int64(9))
	f.Add([]byte(`[[],{},[{}]]`), int64(3))
	f.Add([]byte(`]`), int64(0))
	f.Add([]byte(`{"a":1}}`), int64(7))
	f.Fuzz(func(t *testing.T, data []byte, offset int64) {
		path := pathAt(data, offset)
		if json.Valid(data) && offset >= 0 && data[0] == '{' && offset > 0 && offset < int64(bytes.IndexByte(data, ':')) && path == "" {
			var first map[string]json.RawMessage
			if json.Unmarshal(data, &first) == nil && first[""] == nil {
				t.Errorf("no path at %d of %q", offset, data)
			}
		}
	})
}
