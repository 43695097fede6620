package precheck

import (
	"regexp"
	"testing"
)

// An automaton finds what Go's regular expressions find, in all short texts of a few
// letters.
func TestAutomatonFindsWhatRegexpFinds(t *testing.T) {
	texts := []string{""}
	for at := 0; len(texts[at]) < 5; at++ {
		for _, letter := range "abB1-\n" {
			texts = append(texts, texts[at]+string(letter))
		}
	}
	for _, pattern := range []string{
		"^[a-z]+$", "^[A-Z]{3}$", "^[a-zA-Z0-9][a-z-]{0,3}$", "a", "^a", "b$", "a|b", "^(a|ab)1?$", "^$", "(?i)ab", "^.{2,3}$", "(?s)^.{2,3}$", "^[^a]*$",
		`\d`, "^a*?b", "(ab)+", "^(?:a.)*$", "b{2,}", `^a\z`, "a$|^b", "^(a+)+$", "^a|b$", "$", "^", "a*", "(^a|b)1", "(a|b$)", `\Aa`, "ab1", "^ab$|^1$", "(^|-)a(-|$)", "^a[a-z]$", "^[a-z][a-z1-]*$", "^a?$", "^[ab]?$", "^ab[^a]{2}$", "^[a-z]{2}[b1]$", "^-{2}$", "^(?i)a$", "^.$",
	} {
		compiled := regexp.MustCompile(pattern)
		a := newAutomaton(pattern)
		if a == nil {
			if !compiled.MatchString("") {
				t.Errorf("%q: there is no automaton", pattern)
			}
			continue
		}
		for _, text := range texts {
			want := compiled.MatchString(text)
			if got := a.matches([]byte(text)); got != want {
				t.Errorf("%q in %q: %v, want %v", pattern, text, got, want)
			}
			if s := newShape(pattern); s != nil && s.matches([]byte(text)) != want {
				t.Errorf("%q in %q: the shape says %v", pattern, text, !want)
			}
		}
	}
	for _, pattern := range []string{`\ba`, "(?m)^a$", "^[a-z]{0,900}$"} {
		if newAutomaton(pattern) != nil {
			t.Errorf("%q has an automaton", pattern)
		}
	}
}

// An expression has one time, however often it asks.
func TestNowStandsStill(t *testing.T) {
	now := new(celRules).ident("now")
	r := new(run)
	first, _ := now.time(r)
	for range 1000 {
		if again, _ := now.time(r); again != first {
			t.Fatalf("now is %v, and then %v", first, again)
		}
	}
}
