package publish

import (
	"strings"
	"testing"

	"example.com/tidings/server/internal/cli/clitest"
	"example.com/tidings/server/internal/cli/command"
)

func TestLineHint(t *testing.T) {
	for line, want := range map[string]string{
		`[{"id":"1"}]`: "jq -c '.[]'", `[`: "jq -c '.[]'", ` [ `: "jq -c '.[]'",
		`{`: "goes on in the next line: jq -c .", `{"id":"1",`: "goes on in the next line: jq -c .", `{"id":"1","data":{`: "goes on in the next line: jq -c .",
		`{"id":"1"} {"id":"2"}`: "something follows", `{"id":"1"},`: "something follows",
		`{"topic":"a","events":[{"id":"1"}]}`: "jq -c '.events[]'", `{"event":{"id":"1"},"sequence":"1"}`: "jq -c .event,",
		`{"id":1}`: "", `{"id":"1","sorce":"/s"}`: "", `{"id":"1" "source"}`: "", `"id": "1",`: "", `}`: "", ``: "", `nonsense`: "",
	} {
		got := lineHint([]byte(line))
		if (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q", line, got)
		}
	}
}

// The hint is given once, whatever follows, and only where a line is at fault.
func TestInputThatIsNoLines(t *testing.T) {
	for name, test := range map[string]struct {
		input, want string
		status      int
	}{
		"pretty-printed": {"{\n  \"id\": \"1\",\n  \"source\": \"/s\",\n  \"data\": {\n    \"@type\": \"a/test.Plain\"\n  }\n}\n", "line 1: INVALID_ARGUMENT REQUEST_MALFORMED: unexpected EOF\n  each event has to be one line of JSON, and this goes on in the next line: jq -c . makes it so\nline 2: ", command.StatusRefused},
		"an array":       {"[\n{\"id\":\"1\"}\n]\n", "\n  each event has to be one line of JSON, and this is an array: jq -c '.[]' makes it so\n", command.StatusRefused},
		"a wrong event":  {"{\"id\":1}\n", "", command.StatusRefused},
	} {
		status, _, stderr := new(clitest.Server).Run(t, commands, test.input, "validate", "-")
		if hints := strings.Count(stderr, "each event has to be"); status != test.status || !strings.Contains(stderr, test.want) || hints > 1 || (hints == 1) != (test.want != "") {
			t.Errorf("%s: %d, %s", name, status, stderr)
		}
	}
}

// A mark of the order of bytes is no part of the first line, and of others it is.
func TestByteOrderMark(t *testing.T) {
	lines, err := openLines(strings.NewReader("\ufeff{}\n\ufeff[]\n"), "-")
	if err != nil {
		t.Fatal(err)
	}
	defer lines.close()
	for _, want := range []string{"{}", "\ufeff[]"} {
		if got, err := lines.next(t.Context()); err != nil || string(got.text) != want {
			t.Errorf("got %q, %v", got.text, err)
		}
	}
}
