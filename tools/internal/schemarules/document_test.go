package schemarules

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A section is what docs/rules.md says of a rule.
type section struct {
	rule     string
	text     string
	examples []example
}

// An example is a schema, or a change of one, that the rule takes or refuses.
type example struct {
	line   int
	was    string // Empty: the rule looks at one state.
	is     string
	passes bool
}

// readSections takes the sections out of the document. An example follows a line
// that begins with what it is.
func readSections(t *testing.T) []section {
	t.Helper()
	document, err := os.ReadFile(filepath.Join(root, "docs", "rules.md"))
	if err != nil {
		t.Fatal(err)
	}
	var sections []section
	var label, was, block string
	inBlock := false
	for number, line := range strings.Split(string(document), "\n") {
		if name, ok := strings.CutPrefix(line, "## "); ok && !inBlock {
			sections = append(sections, section{rule: name})
			label, was = "", ""
			continue
		}
		if len(sections) == 0 {
			continue
		}
		current := &sections[len(sections)-1]
		switch {
		case line == "```proto":
			inBlock, block = true, ""
		case line == "```":
			inBlock = false
			if label == "Before" {
				was = block
				continue
			}
			current.examples = append(current.examples, example{line: number, was: was, is: block, passes: label == "Passes"})
		case inBlock:
			block += line + "\n"
		default:
			current.text += line + "\n"
			if found := regexp.MustCompile(`^(Before|Fails|Passes)\b.*:$`).FindStringSubmatch(line); found != nil {
				label = found[1]
			}
		}
	}
	return sections
}

// TestDocumentHasEveryRule holds docs/rules.md to the plugin: the same rules, in
// the same order, each with its purpose and with examples.
func TestDocumentHasEveryRule(t *testing.T) {
	var documented, declared []string
	purposes := map[string]string{}
	for _, rule := range Spec().Rules {
		declared = append(declared, rule.ID)
		purposes[rule.ID] = rule.Purpose
	}
	for _, section := range readSections(t) {
		documented = append(documented, section.rule)
		if purpose := purposes[section.rule]; !strings.HasPrefix(strings.TrimSpace(section.text), purpose) {
			t.Errorf("%s: the section doesn't begin with the rule's purpose, %q", section.rule, purpose)
		}
		for _, passes := range []bool{true, false} {
			if !slices.ContainsFunc(section.examples, func(e example) bool { return e.passes == passes }) {
				t.Errorf("%s: there is no example that passes: %v", section.rule, passes)
			}
		}
	}
	if !slices.Equal(documented, declared) {
		t.Errorf("docs/rules.md documents\n%q, and the plugin has\n%q", documented, declared)
	}
}

// TestExamplesOfDocument applies all rules to each example: one that fails breaks
// its own rule alone, one that passes breaks none.
func TestExamplesOfDocument(t *testing.T) {
	for _, section := range readSections(t) {
		for _, example := range section.examples {
			var was schemaFiles
			if example.was != "" {
				was = schemaOf(example.was)
			}
			findings := run(t, was, schemaOf(example.is))
			switch {
			case example.passes && len(findings) > 0:
				t.Errorf("docs/rules.md:%d: it should pass, and breaks %v", example.line, findings)
			case !example.passes && len(findings) == 0:
				t.Errorf("docs/rules.md:%d: it should break %s, and passes", example.line, section.rule)
			}
			for _, f := range findings {
				if !example.passes && f.rule != section.rule {
					t.Errorf("docs/rules.md:%d: it should break %s, and breaks %v", example.line, section.rule, f)
				}
			}
		}
	}
}

// catalogue is what a catalogue of errors of its own stands on.
const catalogue = `import "google/protobuf/descriptor.proto";

extend google.protobuf.EnumValueOptions {
  ErrorReasonOptions error = 73101;
}

message ErrorReasonOptions {
  StatusCode code = 1;
  Retry retry = 2;
}

enum StatusCode {
  STATUS_CODE_UNSPECIFIED = 0;
  STATUS_CODE_DATA_LOSS = 15;
}

enum Retry {
  RETRY_UNSPECIFIED = 0;
  RETRY_NEVER = 1;
}
`

// schemaOf makes a file out of what an example shows. Without a package it is
// shop.orders.v1.
func schemaOf(text string) schemaFiles {
	name := "shop.orders.v1"
	if found := regexp.MustCompile(`(?m)^package ([a-z0-9.]+);$`).FindStringSubmatch(text); found != nil {
		name, text = found[1], strings.Replace(text, found[0], "", 1)
	}
	file := "syntax = \"proto3\";\npackage " + name + ";\nimport \"buf/validate/validate.proto\";\n"
	switch {
	case strings.Contains(text, "enum ErrorReason"):
		file += catalogue
	case name == "tidings.v1":
		file += "import \"tidings/v1/error.proto\";\n"
	default:
		file += "import \"tidings/options/v1/options.proto\";\n"
	}
	return schemaFiles{strings.ReplaceAll(name, ".", "/") + "/example.proto": file + text}
}
