package eventjson

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// protojson takes some forms of times and durations that neither RFC 3339 nor
// the JSON form of Protobuf has, and that other servers and languages refuse.

// checkTimes returns an error for a Timestamp or a Duration of a text, which
// protojson has taken, in a form that there isn't.
func checkTimes(data []byte, root protoreflect.MessageDescriptor, types Resolver) *Error {
	if !mayHoldWrongTime(data) {
		return nil
	}
	var value any
	if err := json.Unmarshal(data, &value); err != nil {
		return nil //nolint:nilerr // Its numbers or its depth: nothing about times.
	}
	path, what := wrongTime(root, value, "", types)
	if what == "" {
		return nil
	}
	return &Error{Path: path, Text: what}
}

// mayHoldWrongTime reports whether a string of a text looks like a time or a
// duration in a wrong form. Few strings begin as those do.
func mayHoldWrongTime(data []byte) bool {
	const longest = 64
	for {
		quote := bytes.IndexByte(data, '"')
		if quote < 0 || quote+1 == len(data) {
			return false
		}
		data = data[quote+1:]
		if c := data[0]; c != '+' && c != '-' && c != '.' && (c < '0' || c > '9') {
			continue
		}
		end := bytes.IndexByte(data[:min(longest, len(data))], '"')
		if end > 0 && (likeTime(data[:end]) && !isTime(data[:end]) || likeDuration(data[:end]) && !isDuration(data[:end])) {
			return true
		}
	}
}

func likeTime(text []byte) bool {
	const date = len("2006-01-02")
	return len(text) > date && text[4] == '-' && text[7] == '-' && text[date] == 'T'
}

func likeDuration(text []byte) bool {
	return len(bytes.Trim(text, "+-.0123456789")) == 1 && text[len(text)-1] == 's'
}

// isTime reports whether a text, which Go takes for a time of RFC 3339, is one.
func isTime[T []byte | string](text T) bool {
	const seconds, shortest = len("2006-01-02T15:04:05"), len("2006-01-02T15:04:05Z")
	if len(text) < shortest || text[13] != ':' || text[seconds] == ',' {
		return false
	}
	if text[len(text)-1] == 'Z' {
		return true
	}
	offset := text[len(text)-len("00:00"):]
	return (offset[0] < '2' || offset[0] == '2' && offset[1] < '4') && offset[3] < '6'
}

// isDuration reports whether a text, which protojson takes for a duration, is
// one.
func isDuration[T []byte | string](text T) bool {
	digits := text
	if len(digits) > 0 && digits[0] == '-' {
		digits = digits[1:]
	}
	return len(digits) > 1 && digits[0] >= '0' && digits[0] <= '9' && digits[len(digits)-1] == 's' && digits[len(digits)-2] != '.'
}

// wrongTime returns the path of the first time or duration in a wrong form below
// a value, and what is wrong with it.
func wrongTime(message protoreflect.MessageDescriptor, value any, path string, types Resolver) (at, what string) {
	switch text, isText := value.(string); {
	case message == nil:
		return "", ""
	case isText && message.FullName() == "google.protobuf.Timestamp" && !isTime(text):
		return path, fmt.Sprintf("%q is not a time of RFC 3339", text)
	case isText && message.FullName() == "google.protobuf.Duration" && !isDuration(text):
		return path, fmt.Sprintf("%q is not a duration in seconds, such as 1.5s", text)
	}
	members, _ := value.(map[string]any)
	typeURL, _ := members["@type"].(string)
	for name, member := range members {
		below := strings.TrimPrefix(path+"."+name, ".")
		held, inMap := memberOf(message, name, typeURL, types)
		if inMap == nil {
			at, what = wrongTimeIn(held, member, below, types)
		} else if entries, ok := member.(map[string]any); ok {
			for key, entry := range entries {
				if at, what = wrongTime(inMap.MapValue().Message(), entry, below+subscript(inMap, key), types); what != "" {
					break
				}
			}
		}
		if what != "" {
			return at, what
		}
	}
	return "", ""
}

// wrongTimeIn is wrongTime for a value that may be an array.
func wrongTimeIn(message protoreflect.MessageDescriptor, value any, path string, types Resolver) (at, what string) {
	list, ok := value.([]any)
	if !ok {
		return wrongTime(message, value, path, types)
	}
	for i, element := range list {
		if at, what = wrongTime(message, element, fmt.Sprintf("%s[%d]", path, i), types); what != "" {
			return at, what
		}
	}
	return "", ""
}
