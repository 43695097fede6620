package service

import (
	"maps"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/proto"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// An error over gRPC is metadata, of which many clients take no more than 8 KiB in
// all; beyond it they make another error of it, one that looks as if it could
// pass. So an error is kept within half of that, over every transport.
const (
	// maxErrorBytes is what an error takes as metadata, about.
	maxErrorBytes = 3600
	// The bounds of its parts, in bytes. What is longer is cut.
	maxMessageBytes     = 400
	maxMetadataBytes    = 256
	maxFieldBytes       = 200
	maxDescriptionBytes = 240
	maxRuleBytes        = 100
	// maxViolationBytes is the size of a violation of protovalidate above which
	// its field only is named.
	maxViolationBytes = 512
	// maxViolations bounds the fields that are considered.
	maxViolations = 100
)

// bounded returns the error as it may be sent: as many of its fields as there is
// room for, valid UTF-8, and nothing too long.
func (e *Error) bounded() *Error {
	trimmed := *e
	trimmed.Message = shorten(e.Message, maxMessageBytes)
	trimmed.Metadata = maps.Clone(e.Metadata)
	for key, value := range trimmed.Metadata {
		trimmed.Metadata[key] = shorten(value, maxMetadataBytes)
	}
	trimmed.Fields = make([]*tidingsv1.FieldViolation, len(e.Fields))
	for i, field := range e.Fields {
		trimmed.Fields[i] = &tidingsv1.FieldViolation{
			Field:       shorten(field.GetField(), maxFieldBytes),
			Description: shorten(field.GetDescription(), maxDescriptionBytes),
			RuleId:      shorten(field.GetRuleId(), maxRuleBytes),
		}
	}
	// The most that fit.
	fields := sort.Search(len(e.Fields), func(n int) bool { return trimmed.naming(n+1).size() > maxErrorBytes })
	return trimmed.naming(fields)
}

// naming returns the error with no more than its first fields, and how many there
// are where that isn't all.
func (e *Error) naming(fields int) *Error {
	named := *e
	total := max(e.total, len(e.Fields))
	named.Fields = e.Fields[:min(fields, len(e.Fields))]
	if e.Violations != nil {
		named.Violations = new(validate.Violations)
		// There are fewer of them where the error was bounded before.
		list := e.Violations.GetViolations()
		for _, violation := range list[:min(len(named.Fields), len(list))] {
			if proto.Size(violation) <= maxViolationBytes {
				named.Violations.Violations = append(named.Violations.Violations, violation)
			}
		}
	}
	if len(named.Fields) < total {
		named.Metadata = map[string]string{"violations": strconv.Itoa(total)}
		maps.Copy(named.Metadata, e.Metadata)
	}
	return &named
}

// size is how many bytes the error takes as metadata of gRPC, at most: its message
// with what isn't ASCII escaped, and once more, with all the rest, in base64.
func (e *Error) size() int {
	const overhead = 300 // The names of reason and types, and the quota of STORAGE_FULL.
	status := overhead + len(e.Message)
	for key, value := range e.Metadata {
		status += len(key) + len(value) + 8
	}
	for _, field := range e.Fields {
		status += len(field.GetField()) + len(field.GetDescription()) + len(field.GetRuleId()) + 12
	}
	status += proto.Size(e.Violations)
	escaped := len(e.Message)
	for _, c := range []byte(e.Message) {
		if c < ' ' || c > '~' || c == '%' {
			escaped += 2
		}
	}
	return escaped + (status+2)/3*4
}

// shorten makes a text valid UTF-8 of no more bytes than most.
func shorten(text string, most int) string {
	const cut = "…"
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= most {
		return text
	}
	end := most - len(cut)
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + cut
}

// errorsRoom is what the errors of the events of one response may take before they
// get short, so that clients take the response.
const errorsRoom = 1 << 20

// errorsOf makes errors parts of one response.
type errorsOf struct{ used int }

// proto returns an error as a part of the response.
func (e *errorsOf) proto(err *Error) *tidingsv1.ErrorDetail {
	if e.used > errorsRoom {
		err = err.naming(1)
		err.Message = shorten(err.Message, maxFieldBytes)
	}
	result := err.Proto()
	e.used += proto.Size(result)
	return result
}
