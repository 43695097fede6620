package filter

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	"example.com/tidings/server/internal/schema"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// The document's filters and expressions are right, for the types that they are
// about.
func TestDocument(t *testing.T) {
	image, err := os.ReadFile("../../../examples/events/events.binpb")
	if err != nil {
		t.Fatal(err)
	}
	set, err := schema.Parse(image)
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../../docs/filters.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```json\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	for _, block := range blocks {
		f := new(tidingsv1.EventFilter)
		if err := protojson.Unmarshal([]byte(block[1]), f); err != nil {
			t.Errorf("%s: %v", block[1], err)
			continue
		}
		if _, err := Compile(f, set, nil); err != nil {
			t.Errorf("%s: %v", block[1], err)
		}
	}
	_, table, _ := strings.Cut(string(page), "### Examples")
	table, _, _ = strings.Cut(table, "###")
	rows := regexp.MustCompile("(?m)^\\| `(.*?)` \\| ").FindAllStringSubmatch(table, -1)
	for _, row := range rows {
		f := &tidingsv1.EventFilter{EventTypes: []string{"shop.orders.v1.OrderPlaced"}, Cel: strings.ReplaceAll(row[1], `\|`, "|")}
		if _, err := Compile(f, set, nil); err != nil {
			t.Errorf("%s: %v", f.GetCel(), err)
		}
	}
	if len(blocks) < 2 || len(rows) < 10 {
		t.Errorf("%d blocks and %d rows were found", len(blocks), len(rows))
	}
	// What can't be looked up in CEL's own documents is here.
	for _, name := range additions {
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("%s isn't named", name)
		}
	}
}
