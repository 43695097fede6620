package doctest

import (
	"regexp"
	"strings"
	"testing"
)

// ellipsis stands in a shown output for what is left out or differs each time:
// within a line for any text, and alone on a line for any number of lines.
const ellipsis = "…"

// downloading matches what the go command says, once a machine, of the modules
// that it fetches.
var downloading = regexp.MustCompile(`(?m)^go: downloading .*\n`)

// matches compares an output with what a document shows of it. White space at
// the end of lines doesn't count, and neither does a missing last end of line.
func matches(shown, output string) bool {
	var pattern strings.Builder
	pattern.WriteString("^")
	for _, line := range lines(shown) {
		if line == ellipsis {
			pattern.WriteString(`(?:.*\n)*?`)
			continue
		}
		for i, part := range strings.Split(line, ellipsis) {
			if i > 0 {
				pattern.WriteString(".*")
			}
			pattern.WriteString(regexp.QuoteMeta(part))
		}
		pattern.WriteString(`\n`)
	}
	pattern.WriteString("$")
	text := strings.Join(lines(downloading.ReplaceAllString(output, "")), "\n")
	if text != "" {
		text += "\n"
	}
	return regexp.MustCompile(pattern.String()).MatchString(text)
}

// lines cuts a text into lines without white space at their ends.
func lines(text string) []string {
	text = strings.TrimRight(text, "\n")
	if text == "" {
		return nil
	}
	list := strings.Split(text, "\n")
	for i := range list {
		list[i] = strings.TrimRight(list[i], " \t\r")
	}
	return list
}

func TestMatches(t *testing.T) {
	for name, test := range map[string]struct {
		shown, output string
		want          bool
	}{
		"the same":                  {"a\nb\n", "a\nb\n", true},
		"no last end of line":       {"a\n", "a", true},
		"white space at ends":       {"a\n", "a  \n", true},
		"nothing":                   {"", "", true},
		"something for nothing":     {"", "a\n", false},
		"nothing for something":     {"a\n", "", false},
		"another line":              {"a\nb\n", "a\nc\n", false},
		"a line more":               {"a\n", "a\nb\n", false},
		"a line less":               {"a\nb\n", "a\n", false},
		"left out in a line":        {`{"a":"…","b":1}`, `{"a":"xyz","b":1}`, true},
		"left out, the rest wrong":  {`{"a":"…","b":1}`, `{"a":"xyz","b":2}`, false},
		"left out over lines":       {"a…b\n", "a\nb\n", false},
		"lines left out":            {"a\n…\nd\n", "a\nb\nc\nd\n", true},
		"no line left out":          {"a\n…\nd\n", "a\nd\n", true},
		"lines left out at the end": {"a\n…\n", "a\nb\nc\n", true},
		"lines left out, then more": {"a\n…\nd\n", "a\nb\nd\ne\n", false},
		"downloads":                 {"a\n", "go: downloading example.com/m v1.0.0\na\n", true},
		"a pattern is text":         {"a.c\n", "abc\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := matches(test.shown, test.output); got != test.want {
				t.Errorf("matches(%q, %q) = %t", test.shown, test.output, got)
			}
		})
	}
}
