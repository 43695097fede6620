package tightening

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

func text(value protoreflect.Value) string {
	if b, ok := value.Interface().([]byte); ok {
		return string(b)
	}
	return value.String()
}

// wordRules are the rules about the text of a string, each as a pattern for which a
// text is taken. not_contains takes those that the pattern doesn't.
var wordRules = map[protoreflect.Name]func(part string) string{
	"pattern":      func(part string) string { return part },
	"prefix":       func(part string) string { return "^" + regexp.QuoteMeta(part) },
	"suffix":       func(part string) string { return regexp.QuoteMeta(part) + "$" },
	"contains":     regexp.QuoteMeta,
	"not_contains": regexp.QuoteMeta,
}

var wordNames = []protoreflect.Name{"pattern", "prefix", "suffix", "contains", "not_contains"}

// formatPatterns take all that some of the formats take, and more.
var formatPatterns = map[protoreflect.Name]string{
	"uuid":     "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
	"tuuid":    "^[0-9a-fA-F]{32}$",
	"ulid":     "^[0-9a-zA-Z]{26}$",
	"email":    "^[^@]+@[^@]+$",
	"ipv4":     "^[0-9.]{7,15}$",
	"hostname": "^[0-9a-zA-Z.-]{1,253}$",
}

// words returns the languages of what the old rules say of a text: all of them have
// each text that was taken.
func (c comparison) words() ([]language, error) {
	var list []language
	for _, name := range wordNames {
		field := c.was.Descriptor().Fields().ByName(name)
		if field == nil || !c.was.Has(field) {
			continue
		}
		l, err := languageOf(wordRules[name](text(c.was.Get(field))))
		if err != nil {
			return nil, err
		}
		l.others = name == "not_contains"
		list = append(list, l)
	}
	if format := formatOf(c.was); format != nil && formatPatterns[format.Name()] != "" {
		l, err := languageOf(formatPatterns[format.Name()])
		if err != nil {
			return nil, err
		}
		list = append(list, l)
	}
	return list, nil
}

// maxRepeat is what Go takes as a repetition in a pattern.
const maxRepeat = 1000

// language returns the texts with a size, if it can be told by a pattern.
func (s size) language() (language, bool) {
	if s.low > maxRepeat || s.high > maxRepeat && s.high != math.MaxUint64 {
		return language{}, false
	}
	high := ""
	if s.high != math.MaxUint64 {
		high = fmt.Sprint(s.high)
	}
	l, err := languageOf(fmt.Sprintf("(?s)^.{%d,%s}$", s.low, high))
	return l, err == nil
}

// missing returns a text that the old rules of a string took, and that a language
// lacks. False: there is none.
func (c comparison) missing(is language) (example string, found bool, err error) {
	was, err := c.words()
	if err != nil {
		return "", false, err
	}
	if sized, ok := c.sizeBefore(inCharacters).language(); ok {
		if example, found, err = counterexample(append(slices.Clone(was), sized), is); err == nil {
			return example, found, nil
		}
	}
	return counterexample(was, is)
}

// wordsFit reports whether what the old rules say of the text of a string keeps it to
// a size.
func (c comparison) wordsFit(n sizeRules, is size) bool {
	if n != inCharacters || c.kind.Name() != "string" {
		return false
	}
	was, err := c.words()
	l, ok := is.language()
	if err != nil || !ok || len(was) == 0 {
		return false
	}
	_, found, err := counterexample(was, l)
	return err == nil && !found
}

// compareWords compares what a text holds.
func compareWords(c comparison) {
	for _, name := range wordNames {
		field := c.is.Descriptor().Fields().ByName(name)
		if field == nil || !c.is.Has(field) || !c.differ(name) {
			continue
		}
		if c.kind.Name() == "bytes" {
			c.compareBytes(field)
			continue
		}
		l, err := languageOf(wordRules[name](text(c.is.Get(field))))
		l.others = name == "not_contains"
		var example string
		var found bool
		if err == nil {
			example, found, err = c.missing(l)
		}
		if err != nil {
			c.unknownf(c.at.field(field), "was added or changed: %v", err)
		} else if found {
			c.reportMissing(c.at.field(field), example)
		}
	}
}

// reportMissing reports a text that the new rules lack. Of a format, more is known to
// be in it than is: such a text is tried.
func (c comparison) reportMissing(at place, example string) {
	if before, err := newProbe(c.kind, known(c.was)); err != nil || before.refuses(protoreflect.ValueOfString(example)) != "" {
		c.unknownf(at, "was added or changed")
		return
	}
	c.addf(at, "no longer takes %q", example)
}

// compareBytes compares one rule about what bytes hold, which need not be a text.
func (c comparison) compareBytes(field protoreflect.FieldDescriptor) {
	old := func(name protoreflect.Name) string { return text(c.was.Get(c.was.Descriptor().Fields().ByName(name))) }
	is, fits := text(c.is.Get(field)), false
	switch field.Name() {
	case "prefix":
		fits = strings.HasPrefix(old("prefix"), is)
	case "suffix":
		fits = strings.HasSuffix(old("suffix"), is)
	case "contains":
		fits = strings.Contains(old("contains"), is) || strings.Contains(old("prefix"), is) || strings.Contains(old("suffix"), is)
	case "pattern": // With a pattern, bytes have to be a text.
		was, err := languageOf(old("pattern"))
		if l, invalid := languageOf(is); err == nil && invalid == nil && c.was.Has(field) {
			_, missing, failed := counterexample([]language{was}, l)
			fits = failed == nil && !missing
		}
	}
	if !fits {
		c.addf(c.at.field(field), "takes less: it was %q, it is %q", old(field.Name()), is)
	}
}
