package rpc

import (
	"strings"
	"testing"
)

func TestNearest(t *testing.T) {
	among := []string{"Publish", "PublishStream", "Import", "/healthz"}
	for misspelt, want := range map[string]string{
		"Publsh": "Publish", "publish": "Publish", "Pubilsh": "Publish", "PublishStreams": "PublishStream", "Inport": "Import",
		"/health": "/healthz", "Published": "Publish", "": "", "P": "", "In": "", "Delete": "", "Read": "",
		"Publish" + strings.Repeat("x", maxMisspelt): "",
	} {
		if got := nearest(misspelt, among); got != want {
			t.Errorf("%q: %q", misspelt, got)
		}
	}
}

func TestTypos(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "abc", 3}, {"kitten", "sitting", 3}, {"abc", "abc", 0}, {"ab", "ba", 2}} {
		if got, back := typosBetween(test.a, test.b), typosBetween(test.b, test.a); got != test.want || back != got {
			t.Errorf("%q and %q: %d, %d", test.a, test.b, got, back)
		}
	}
}
