package suite_test

import (
	"os"
	"regexp"
	"testing"
)

// TestExamplesOfDocument loads the cases that docs/conformance.md shows.
func TestExamplesOfDocument(t *testing.T) {
	page, err := os.ReadFile("../../../docs/conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)\n```yaml\n(rpc: .*?\n)```\n").FindAllSubmatch(page, -1)
	if len(examples) == 0 {
		t.Fatal("the page shows no case")
	}
	for _, example := range examples {
		if _, err := load(string(example[1])); err != nil {
			t.Errorf("%v in\n%s", err, example[1])
		}
	}
}
