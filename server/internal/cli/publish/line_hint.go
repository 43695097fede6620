package publish

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// lineHint says how to make an event a line of what isn't, where a line that is no
// event shows that, or nothing.
func lineHint(line []byte) string {
	const wanted = "each event has to be one line of JSON"
	line = bytes.TrimSpace(line)
	if bytes.HasPrefix(line, []byte("[")) {
		return wanted + ", and this is an array: jq -c '.[]' makes it so"
	}
	if !bytes.HasPrefix(line, []byte("{")) {
		return ""
	}
	var object struct {
		Event  json.RawMessage `json:"event"`
		Events json.RawMessage `json:"events"`
	}
	decoder := json.NewDecoder(bytes.NewReader(line))
	err := decoder.Decode(&object)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return wanted + ", and this goes on in the next line: jq -c . makes it so"
	case err != nil:
		return ""
	case decoder.InputOffset() < int64(len(line)):
		return wanted + ", and something follows this one in its line: jq -c . makes it so"
	case object.Events != nil:
		return wanted + ", and this is a request: jq -c '.events[]' makes it so"
	case object.Event != nil:
		return wanted + ", and this is one as it is stored: jq -c .event, or tidings read --events-only, makes it so"
	default:
		return ""
	}
}
