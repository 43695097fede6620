package command

import (
	"encoding/json"
	"testing"
)

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"plain\n\ttext":             "plain\n\ttext",
		"Grüße, Жизнь 😀":            "Grüße, Жизнь 😀",
		"a\x1b[31mb\r\a\x00\x7f":    `a\u001b[31mb\u000d\u0007\u0000\u007f`,
		"\u0080\u009b31m\u009f":     `\u0080\u009b31m\u009f`,     // C1: a CSI of one character.
		"user\u202etxt.exe":         `user\u202etxt.exe`,         // Right-to-left override.
		"\u2066a\u2069\u200e\u061c": `\u2066a\u2069\u200e\u061c`, // Isolates and marks.
		"a\u200bb\u2060c\ufeffd":    `a\u200bb\u2060c\ufeffd`,    // No width.
		"a\u2028b\u2029":            `a\u2028b\u2029`,            // Lines, to some.
		"\U000e0041":                `\udb40\udc41`,              // A tag.
		"bad \xff UTF-8\xc2":        "bad \ufffd UTF-8\ufffd",
	} {
		if got := Printable(text); got != want {
			t.Errorf("%q is printed as %q, want %q", text, got, want)
		}
	}
}

func TestPrintableJSON(t *testing.T) {
	for _, text := range []string{"plain", "\u009b\u202e\u200b\U000e0041\u007fé😀\u2028"} {
		document, err := json.Marshal(map[string]string{text: text})
		if err != nil {
			t.Fatal(err)
		}
		shown := printableJSON(document)
		if got := Printable(string(shown)); got != string(shown) {
			t.Errorf("%q isn't harmless", shown)
		}
		var meant map[string]string
		if err := json.Unmarshal(shown, &meant); err != nil || meant[text] != text {
			t.Errorf("%q means %q, %v", shown, meant, err)
		}
	}
}
