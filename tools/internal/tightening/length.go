package tightening

import (
	"fmt"
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// A size is how long something may be.
type size struct {
	low, high uint64
}

// sizeRules are the names of the rules that bound a size. There may be none for
// the exact size.
type sizeRules struct {
	exact, low, high protoreflect.Name
}

var (
	inCharacters = sizeRules{exact: "len", low: "min_len", high: "max_len"}
	inBytes      = sizeRules{exact: "len_bytes", low: "min_bytes", high: "max_bytes"}
	inItems      = sizeRules{low: "min_items", high: "max_items"}
	inPairs      = sizeRules{low: "min_pairs", high: "max_pairs"}
)

func (n sizeRules) names() []protoreflect.Name {
	if n.exact == "" {
		return []protoreflect.Name{n.low, n.high}
	}
	return []protoreflect.Name{n.exact, n.low, n.high}
}

func (n sizeRules) of(rules protoreflect.Message) size {
	s := size{high: math.MaxUint64}
	for _, name := range n.names() {
		field := rules.Descriptor().Fields().ByName(name)
		if !rules.Has(field) {
			continue
		}
		value := rules.Get(field).Uint()
		if name != n.high {
			s.low = max(s.low, value)
		}
		if name != n.low {
			s.high = min(s.high, value)
		}
	}
	return s
}

// check returns the check of these rules.
func (n sizeRules) check() check {
	return check{claims: n.names(), compare: func(c comparison) { c.compareSize(n, c.sizeBefore(n)) }}
}

// sizeBefore returns what the old rules took, where something has to be there and
// where a text has to hold another one.
func (c comparison) sizeBefore(n sizeRules) size {
	s := n.of(c.was)
	if c.nonzero {
		s.low = max(s.low, 1)
	}
	for _, name := range []protoreflect.Name{"prefix", "suffix", "contains"} {
		if field := c.was.Descriptor().Fields().ByName(name); field != nil {
			part := text(c.was.Get(field))
			if n == inCharacters && field.Kind() == protoreflect.StringKind {
				s.low = max(s.low, uint64(utf8.RuneCountInString(part)))
			} else {
				s.low = max(s.low, uint64(len(part)))
			}
		}
	}
	return s
}

// compareSize reports a size that was taken and is taken no more.
func (c comparison) compareSize(n sizeRules, was size) {
	is := n.of(c.is)
	if was.low > was.high || is.low <= was.low && is.high >= was.high || c.wordsFit(n, is) {
		return
	}
	c.addf(c.blame(n.names()...), "takes fewer sizes: they were %s, they are %s", n.of(c.was), is)
}

func (s size) String() string {
	if s.high == math.MaxUint64 {
		return fmt.Sprintf("%d or more", s.low)
	}
	return fmt.Sprintf("%d to %d", s.low, s.high)
}

// maxBytesACharacter is how many bytes a character can take in UTF-8. It takes at
// least one.
const maxBytesACharacter = 4

// compareLengths compares the lengths of a string, each bounded by the other too.
func compareLengths(c comparison) {
	characters, bytes := c.sizeBefore(inCharacters), c.sizeBefore(inBytes)
	bytes.low = max(bytes.low, characters.low)
	if characters.high < math.MaxUint64/maxBytesACharacter {
		bytes.high = min(bytes.high, characters.high*maxBytesACharacter)
	}
	characters.low = max(characters.low, (bytes.low+maxBytesACharacter-1)/maxBytesACharacter)
	characters.high = min(characters.high, bytes.high)
	c.compareSize(inCharacters, characters)
	c.compareSize(inBytes, bytes)
}
