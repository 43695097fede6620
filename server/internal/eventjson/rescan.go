package eventjson

import (
	"bytes"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// protojson looks through all of an Any for its type before it reads it, and so
// through one in another as often as there are Any around it. A large one deep in
// others would take a minute.

const (
	// maxRescans is how often a text may be looked through, in all, beside the
	// reading itself: eight Any in one another, each as large as the text.
	maxRescans = 8
	// freeRescans is what may be looked through, in bytes, whatever the size.
	freeRescans = 1 << 20
)

// checkRescans returns an error where looking for types would take too long.
func checkRescans(data []byte, root protoreflect.MessageDescriptor, types Resolver) *Error {
	most := maxRescans*len(data) + freeRescans
	if maxNested*len(data) <= most {
		return nil
	}
	if at := rescanned(data, most); at > 0 {
		return &Error{TooDeep: true, Path: pathAt(data, at, root, types), Text: "too much is held by Any in one another"}
	}
	return nil
}

// rescanned returns where an object ends with which more bytes than so many are
// looked through for types, or 0.
func rescanned(data []byte, most int) int {
	type open struct {
		begin int
		isAny bool
	}
	var levels []open
	var before byte // The last byte outside of texts that isn't white space.
	for at := 0; at < len(data); at++ {
		switch c := data[at]; c {
		case ' ', '\t', '\n', '\r':
			continue
		case '"':
			end := endOfText(data, at)
			// With an escape it may be the same.
			name := data[at:end]
			if top := len(levels) - 1; top >= 0 && (before == '{' || before == ',') &&
				(bytes.Equal(name, []byte(`"@type"`)) || bytes.IndexByte(name, '\\') >= 0) {
				levels[top].isAny = true
			}
			at = end - 1
		case '{', '[':
			levels = append(levels, open{begin: at})
		case '}', ']':
			top := len(levels) - 1
			if top < 0 {
				return 0 // protojson says what is wrong.
			}
			if c == '}' && levels[top].isAny {
				if most -= at - levels[top].begin; most < 0 {
					return at
				}
			}
			levels = levels[:top]
		}
		before = data[at]
	}
	return 0
}

// endOfText returns what follows the text that begins at an offset.
func endOfText(data []byte, at int) int {
	for at++; at < len(data) && data[at] != '"'; at++ {
		if data[at] == '\\' {
			at++
		}
	}
	return min(at+1, len(data))
}
