package markdown

import (
	"reflect"
	"testing"
)

func TestParse(t *testing.T) {
	const source = "# Title\n\n" +
		"Run `make test`, see [the docs](docs/a.md#part).\n\n" +
		"    indented\n\n" +
		"```sh\necho one\n\necho two\n```\n\n" +
		"1. In a list:\n\n" +
		"   ```console\n   $ echo three\n   3\n   ```\n\n" +
		"```\nplain\n```\n"
	want := Document{
		Blocks: []Block{
			{Language: "", Text: "indented\n", Line: 5},
			{Language: "sh", Text: "echo one\n\necho two\n", Line: 8},
			{Language: "console", Text: "$ echo three\n3\n", Line: 16},
			{Language: "", Text: "plain\n", Line: 21},
		},
		Spans: []string{"make test"},
		Links: []string{"docs/a.md#part"},
	}
	got, err := Parse([]byte(source))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}
