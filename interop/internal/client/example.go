package client

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The marks of the lines that docs/languages.md shows.
const (
	exampleBegin = "docs:begin"
	exampleEnd   = "docs:end"
	// maxExampleLines keeps an example one.
	maxExampleLines = 40
	// maxConsumerLines are for a whole consumer, which sees to more.
	maxConsumerLines = 100
)

// ExampleLines returns the lines that docs/languages.md shows, without what all
// are indented by, and the language for their highlighting.
func (c Client) ExampleLines() (lines []string, language string, err error) {
	return c.shown(c.Example, maxExampleLines)
}

// ConsumerLines returns those of the client's consumer, or nothing where it has none
// that goes on whatever becomes of its calls.
func (c Client) ConsumerLines() (lines []string, language string, err error) {
	if c.Consumer == "" {
		return nil, "", nil
	}
	return c.shown(c.Consumer, maxConsumerLines)
}

// AccessLines returns those of the client's program with a credential, or nothing where
// it has none.
func (c Client) AccessLines() (lines []string, language string, err error) {
	if c.Access.Example == "" {
		return nil, "", nil
	}
	return c.shown(c.Access.Example, maxExampleLines)
}

func (c Client) shown(file string, most int) (lines []string, language string, err error) {
	path := filepath.Join(c.Dir, file)
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, "", err
	}
	text := string(data)
	if strings.Count(text, exampleBegin) != 1 || strings.Count(text, exampleEnd) != 1 {
		return nil, "", fmt.Errorf("%s: want one line with %s and one with %s", path, exampleBegin, exampleEnd)
	}
	_, text, _ = strings.Cut(text, exampleBegin)
	text, _, found := strings.Cut(text, exampleEnd)
	lines = strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	if !found || len(lines) < 3 {
		return nil, "", fmt.Errorf("%s: there is nothing between %s and %s", path, exampleBegin, exampleEnd)
	}
	// The rests of the lines with the marks.
	lines = lines[1 : len(lines)-1]
	if len(lines) > most {
		return nil, "", fmt.Errorf("%s: an example of %d lines, at most %d are wanted", path, len(lines), most)
	}
	return unindent(lines), highlighting(filepath.Ext(file)), nil
}

// unindent removes the white space that all lines begin with.
func unindent(lines []string) []string {
	indent, first := "", true
	for _, line := range lines {
		if strings.TrimSpace(line) == "" {
			continue
		}
		own := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
		if first {
			indent, first = own, false
		}
		for !strings.HasPrefix(own, indent) {
			indent = indent[:len(indent)-1]
		}
	}
	shown := make([]string, 0, len(lines))
	for _, line := range lines {
		shown = append(shown, strings.TrimRight(strings.TrimPrefix(line, indent), " \t\r"))
	}
	return shown
}

// highlighting names the language of a block of Markdown by the extension of its
// file. Blocks of go and sh are complete in our documents, and are run by tests of
// their own; these lines are run as part of the client.
func highlighting(extension string) string {
	switch name := strings.TrimPrefix(extension, "."); name {
	case "go":
		return "golang"
	case "sh":
		return "bash"
	default:
		return name
	}
}
