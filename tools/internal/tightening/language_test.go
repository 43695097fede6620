package tightening

import (
	"regexp"
	"testing"
)

// TestCounterexamples holds the comparison of patterns to what regexp says of texts:
// no text that it could have found may have been missed.
func TestCounterexamples(t *testing.T) {
	patterns := []string{
		"", "a", "^a", "a$", "^a$", "^$", "^ab", "b*", "^b*$", "^[ab]*$", "^[ab]+$", "^a{1,3}$", "^(ab)*$", "^(ab|ba)+$",
		"(?i)^A", "^[^a]*$", ".", "^.$", "(?s).", "(?s)^.{2}$", "a.b", "^(a|b$)", "(^a|b)", "a?b?$", "^(?:a|ab)(?:c|bcd)?$", "(?i)k", "[[:upper:]]",
	}
	texts := []string{""}
	for from := 0; len(texts) < 2000; from++ {
		for _, r := range "abAcd\nKK" { // The last K is the sign for kelvin.
			texts = append(texts, texts[from]+string(r))
		}
	}
	for _, was := range patterns {
		for _, is := range patterns {
			for _, others := range []bool{false, true} {
				checkCounterexample(t, was, is, others, texts)
			}
		}
	}
}

func checkCounterexample(t *testing.T, was, is string, others bool, texts []string) {
	t.Helper()
	first, err := languageOf(was)
	if err != nil {
		t.Fatal(err)
	}
	second, err := languageOf(is)
	if err != nil {
		t.Fatal(err)
	}
	second.others = others
	example, found, err := counterexample([]language{first}, second)
	if err != nil {
		t.Fatalf("%q and %q: %v", was, is, err)
	}
	before, after := regexp.MustCompile(was), regexp.MustCompile(is)
	lost := func(text string) bool { return before.MatchString(text) && after.MatchString(text) == others }
	if found {
		if !lost(example) {
			t.Errorf("%q and %q, others %v: %q is no example", was, is, others, example)
		}
		return
	}
	for _, text := range texts {
		if lost(text) {
			t.Errorf("%q and %q, others %v: no example found, and %q is one", was, is, others, text)
			return
		}
	}
}

// TestFormatPatterns holds the patterns for formats to what protovalidate takes.
func TestFormatPatterns(t *testing.T) {
	for format, texts := range map[string][]string{
		"uuid":     {"6ba7b810-9dad-11d1-80b4-00C04FD430C8"},
		"tuuid":    {"6ba7b8109dad11d180b400C04FD430C8"},
		"ulid":     {"01ARZ3NDEKTSV4RRFFQ69G5FAV", "01arz3ndektsv4rrffq69g5fav"},
		"email":    {"a@b", "a.b+c@example.com", "!#$%&'*+/=?^_`{|}~-@x"},
		"ipv4":     {"1.2.3.4", "255.255.255.255"},
		"hostname": {"a", "a-b.Example.org", "a."},
	} {
		rules := stringRules(t, format)
		p, err := newProbe(rulesDescriptor.Fields().ByName("string"), rules)
		if err != nil {
			t.Fatal(err)
		}
		pattern := regexp.MustCompile(formatPatterns[formatOf(rules).Name()])
		for _, text := range texts {
			if reason := p.refuses(stringValue(text)); reason != "" || !pattern.MatchString(text) {
				t.Errorf("%s: %q: protovalidate says %q, the pattern %v", format, text, reason, pattern.MatchString(text))
			}
		}
	}
	if len(formatPatterns) != 6 {
		t.Errorf("%d formats have a pattern, want a text of each here", len(formatPatterns))
	}
}
