package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"unicode/utf8"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// parseEvent reads an event from a line of JSON. What is wrong with the line is
// the refusal, with the reasons and paths with which a server refuses an event;
// err means that its types couldn't be fetched.
func parseEvent(ctx context.Context, types *payloadTypes, text []byte) (event *tidingsv1.Event, refusal *tidingsv1.Error, err error) {
	event = new(tidingsv1.Event)
	r := &resolver{ctx: ctx, types: types}
	parseErr := protojson.UnmarshalOptions{Resolver: r}.Unmarshal(text, event)
	switch {
	case parseErr == nil:
		return event, nil, nil
	case r.err == nil:
		refusal = malformed(text, parseErr)
	case types.unknown[r.name] != nil:
		refusal = unknownType(r.name, r.err)
	default:
		err = fmt.Errorf("fetching the event type %s: %w", r.name, r.err)
	}
	return nil, refusal, err
}

func unknownType(name string, err error) *tidingsv1.Error {
	message := err.Error()
	if fromServer, ok := errors.AsType[*connect.Error](err); ok {
		message = fromServer.Message()
	}
	return &tidingsv1.Error{
		Reason:   tidingsv1.ErrorReason_ERROR_REASON_EVENT_TYPE_UNKNOWN,
		Code:     tidingsv1.StatusCode_STATUS_CODE_INVALID_ARGUMENT,
		Message:  message,
		Metadata: map[string]string{"type": name},
	}
}

// jsonError matches what protojson says of a line. Its first space is sometimes
// another character, so that nobody relies on the text; where it doesn't match,
// the text is shown as it is.
var jsonError = regexp.MustCompile(`^proto:[\s\x{a0}]+(?:(?:syntax error )?\(line 1:(\d+)\): )?(.*)$`)

func malformed(text []byte, err error) *tidingsv1.Error {
	refusal := &tidingsv1.Error{
		Reason:  tidingsv1.ErrorReason_ERROR_REASON_REQUEST_MALFORMED,
		Code:    tidingsv1.StatusCode_STATUS_CODE_INVALID_ARGUMENT,
		Message: err.Error(),
	}
	m := jsonError.FindStringSubmatch(err.Error())
	if m == nil {
		return refusal
	}
	// Only the end of the line has no column.
	at, offset := "at its end", len(text)
	if column, err := strconv.Atoi(m[1]); err == nil {
		at, offset = fmt.Sprintf("column %d", column), offsetOf(text, column)
	}
	path := pathAt(text, offset)
	if path == "" {
		refusal.Message = at + ": " + m[2]
		return refusal
	}
	refusal.Message = at
	refusal.FieldViolations = []*tidingsv1.FieldViolation{{Field: path, Description: m[2]}}
	return refusal
}

// offsetOf returns the byte at which a column, counted in characters from 1,
// begins.
func offsetOf(text []byte, column int) int {
	offset := 0
	for range column - 1 {
		_, size := utf8.DecodeRune(text[offset:])
		offset += size
	}
	return offset
}

// pathAt returns the path of what covers the byte at offset, such as
// `data.items[2].sku` for that member's name or value. Where the document is
// malformed before that, it is the path of the last value before.
func pathAt(document []byte, offset int) string {
	// A level is an object or an array that is open.
	type level struct {
		path     string // Of the object or array itself.
		array    bool
		index    int    // Of the array's present element; -1 before the first.
		name     string // Of the object's present member; empty before the first.
		nameNext bool   // Whether the object's next token is a name.
	}
	var levels []level
	here := func() string {
		if len(levels) == 0 {
			return ""
		}
		switch l := levels[len(levels)-1]; {
		case l.array && l.index >= 0:
			return fmt.Sprintf("%s[%d]", l.path, l.index)
		case l.array || l.name == "":
			return l.path
		case l.path == "":
			return l.name
		default:
			return l.path + "." + l.name
		}
	}
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	for {
		token, err := decoder.Token()
		if err != nil {
			return here()
		}
		delim, _ := token.(json.Delim)
		if delim == '}' || delim == ']' {
			levels = levels[:len(levels)-1]
		} else if len(levels) > 0 {
			switch l := &levels[len(levels)-1]; {
			case l.array:
				l.index++
			case l.nameNext:
				l.name, _ = token.(string)
				l.nameNext = false
			default:
				l.nameNext = true
			}
		}
		if int(decoder.InputOffset()) > offset {
			return here()
		}
		if delim == '{' || delim == '[' {
			levels = append(levels, level{path: here(), array: delim == '[', index: -1, nameNext: delim == '{'})
		}
	}
}

// toJSON writes a message on one line. Payloads are readable.
func toJSON(ctx context.Context, types *payloadTypes, message proto.Message) ([]byte, error) {
	options := protojson.MarshalOptions{}
	var r *resolver
	if types != nil {
		r = &resolver{ctx: ctx, types: types}
		options.Resolver = r
	}
	text, err := options.Marshal(message)
	if err != nil {
		if r != nil && r.err != nil {
			return nil, fmt.Errorf("fetching the event type %s: %w", r.name, r.err)
		}
		return nil, err
	}
	// protojson puts spaces in at random, so that nobody relies on them.
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		return nil, err
	}
	return printableJSON(compact.Bytes()), nil
}
