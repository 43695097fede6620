package eventjson

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"example.com/tidings/server/internal/eventwire"
	"example.com/tidings/server/internal/guard"
)

// Error says what is wrong with a text, and where.
type Error struct {
	// Path is that of the field, as the text has it: `events[0].data.items[2].sku`,
	// a key of a map in brackets. Empty where no field is to blame.
	Path string
	// Line and Column are counted from 1, the column in characters. 0: not known.
	Line, Column int
	// TooDeep says that something nests so deep that it isn't decoded. Path is that
	// of a place in it.
	TooDeep bool
	// UnknownType is what the type URL of an Any names, where there is no type of
	// that name. Path is that of the URL.
	UnknownType string
	// Text says what is wrong.
	Text string
}

func (e *Error) Error() string { return e.Text }

// maxNested bounds how deep a text nests. protojson counts messages and, where it
// looks for the type of an Any, objects and arrays: an element of a list is two of
// these. There is room for the request around a payload, so that what is too deep
// for a payload only is found to be so once it is decoded.
const maxNested = 2*maxDepth + 10

const tooDeep = "exceeded max recursion depth"

// Parse reads a message. A field that doesn't exist is a mistake. Every error is
// an *Error.
func Parse(data []byte, message proto.Message, types Resolver) error {
	if types == nil {
		types = protoregistry.GlobalTypes
	}
	root := message.ProtoReflect().Descriptor()
	if e := checkRescans(data, root, types); e != nil {
		return e
	}
	data, hidden := hideWildcards(data, root)
	noted := &noter{Resolver: types}
	err := guard.Do(func() error {
		return protojson.UnmarshalOptions{Resolver: noted, RecursionLimit: maxNested}.Unmarshal(data, message)
	})
	if err != nil {
		e := explain(data, err, root, types)
		if strings.HasPrefix(e.Text, unresolved) {
			e.UnknownType = noted.unknown
		}
		return e
	}
	if e := checkTimes(data, root, types); e != nil {
		return e
	}
	showWildcards(message, hidden)
	return nil
}

// unresolved is how protojson begins to say that a type URL leads to no type.
const unresolved = "unable to resolve "

// noter is a Resolver that notes what it couldn't find.
type noter struct {
	Resolver

	unknown string
}

func (n *noter) FindMessageByURL(url string) (protoreflect.MessageType, error) {
	found, err := n.Resolver.FindMessageByURL(url)
	if err != nil {
		n.unknown = eventwire.TypeName(url)
	}
	return found, err
}

// place matches what protojson says of a text. Its first space is sometimes
// another character, so that nobody relies on the text.
var place = regexp.MustCompile(`^proto:[\s\x{a0}]+(?:(?:syntax error )?\(line (\d+):(\d+)\): )?((?s:.*))$`)

// explain makes an *Error of one of protojson's.
func explain(data []byte, err error, root protoreflect.MessageDescriptor, types Resolver) *Error {
	match := place.FindStringSubmatch(err.Error())
	if match == nil {
		return &Error{Text: err.Error()}
	}
	e := &Error{Text: match[3]}
	if e.Text == tooDeep {
		e.TooDeep, e.Path = true, pathAt(data, deepest(data, maxDepth), root, types)
		return e
	}
	if at, ok := halfSurrogate(data); ok && (match[1] == "" || strings.HasPrefix(e.Text, "invalid escape code")) {
		// protojson takes what follows it for the other half, however far that is.
		e.Line, e.Column = positionOf(data, at)
		e.Text = fmt.Sprintf("%s is half of a surrogate pair", data[at:at+escapeSize])
		e.Path = pathAt(data, at, root, types)
		return e
	}
	if match[1] == "" {
		return e
	}
	e.Line, _ = strconv.Atoi(match[1])
	e.Column, _ = strconv.Atoi(match[2])
	e.Path = pathAt(data, offsetOf(data, e.Line, e.Column), root, types)
	return e
}

// deepest returns the byte at which a text first nests so many objects and arrays,
// or 0 where it doesn't.
func deepest(data []byte, levels int) int {
	decoder := json.NewDecoder(bytes.NewReader(data))
	for depth := 0; depth < levels; {
		token, err := decoder.Token()
		if err != nil {
			return 0
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
	return int(decoder.InputOffset()) - 1
}

// offsetOf returns the byte at which a column begins, counted in characters, as
// protojson does.
func offsetOf(data []byte, line, column int) int {
	offset := 0
	for ; line > 1; line-- {
		offset += bytes.IndexByte(data[offset:], '\n') + 1
	}
	for range column - 1 {
		_, size := utf8.DecodeRune(data[offset:])
		offset += size
	}
	return offset
}

// positionOf is the inverse of offsetOf.
func positionOf(data []byte, offset int) (line, column int) {
	before := data[:offset]
	return bytes.Count(before, []byte("\n")) + 1, utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
}

// escapeSize is the size of an escape such as \ud83d.
const escapeSize = 6

// halfSurrogate returns where the first escape of half a surrogate pair is that
// the other half doesn't follow.
func halfSurrogate(data []byte) (offset int, found bool) {
	for at := 0; ; {
		next := bytes.IndexByte(data[at:], '\\')
		if next < 0 {
			return 0, false
		}
		at += next
		first, ok := escaped(data[at:])
		if !ok {
			at += 2
			if at > len(data) {
				return 0, false
			}
			continue
		}
		if !utf16.IsSurrogate(first) {
			at += escapeSize
			continue
		}
		second, ok := escaped(data[at+escapeSize:])
		if !ok || utf16.DecodeRune(first, second) == utf8.RuneError {
			return at, true
		}
		at += 2 * escapeSize
	}
}

// escaped returns the code of an escape such as \ud83d that text begins with.
func escaped(text []byte) (rune, bool) {
	if len(text) < escapeSize || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	code, err := strconv.ParseUint(string(text[2:escapeSize]), 16, 16)
	return rune(code), err == nil
}
