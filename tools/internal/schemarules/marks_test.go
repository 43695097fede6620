package schemarules

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A ruleCase is a schema, or a change of one. Where a rule is broken, the line
// ends in a mark that names it: "//! TIDINGS_EVENT_KEY". No other finding may be
// there.
type ruleCase struct {
	name string
	// was is empty for what is about one state.
	was, is string
	// file is where it stands; by default shop/orders/v1/order.proto, whose name
	// makes no events of its messages. The package follows from the directory.
	file string
	// gone are rules broken by what isn't there any more, which have no line.
	gone []string
}

func (c ruleCase) test(t *testing.T) {
	t.Helper()
	if c.file == "" {
		c.file = "shop/orders/v1/order.proto"
	}
	var was schemaFiles
	if c.was != "" {
		was = schemaFiles{c.file: c.complete(c.was)}
	}
	is := c.complete(c.is)
	var found []string
	for _, f := range run(t, was, schemaFiles{c.file: is}) {
		if f.file == "" {
			found = append(found, f.rule)
			continue
		}
		found = append(found, fmt.Sprintf("%d: %s", f.line, f.rule))
	}
	want := append(marks(is), c.gone...)
	slices.SortFunc(want, cmp.Compare[string])
	slices.SortFunc(found, cmp.Compare[string])
	if !slices.Equal(found, want) {
		t.Errorf("found %q, want %q in\n%s", found, want, numbered(is))
	}
}

// complete makes a file of a text, on a line before it.
func (c ruleCase) complete(text string) string {
	name := strings.ReplaceAll(c.file[:strings.LastIndex(c.file, "/")], "/", ".")
	header := `syntax = "proto3";`
	if strings.Contains(text, "extend buf.validate.") { // Which proto3 doesn't allow.
		header = `edition = "2023";`
	}
	if !strings.Contains(text, "package ") {
		header += " package " + name + ";"
	}
	imports := []string{"buf/validate/validate.proto", "google/protobuf/descriptor.proto", "google/protobuf/timestamp.proto", "google/protobuf/wrappers.proto"}
	switch {
	case strings.Contains(text, "ErrorReasonOptions"):
	case strings.HasPrefix(name, "tidings.v"):
		imports = append(imports, "tidings/v1/consumer_service.proto", "tidings/v1/error.proto", "tidings/v1/topic.proto")
	case strings.Contains(text, "package elsewhere."):
	default:
		imports = append(imports, "tidings/options/v1/options.proto")
	}
	for _, path := range imports {
		header += fmt.Sprintf(" import %q;", path)
	}
	return header + "\n" + text
}

func marks(text string) []string {
	var found []string
	for i, line := range strings.Split(text, "\n") {
		if mark := regexp.MustCompile(`//! (.*)$`).FindStringSubmatch(line); mark != nil {
			for rule := range strings.FieldsSeq(mark[1]) {
				found = append(found, fmt.Sprintf("%d: %s", i+1, rule))
			}
		}
	}
	return found
}

func numbered(text string) string {
	var out strings.Builder
	for i, line := range strings.Split(text, "\n") {
		fmt.Fprintf(&out, "%3d %s\n", i+1, line)
	}
	return out.String()
}

func testCases(t *testing.T, cases []ruleCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.test(t) })
	}
}
