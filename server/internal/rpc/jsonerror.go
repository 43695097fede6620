package rpc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"example.com/tidings/server/internal/service"
)

// place finds the line and column that protojson puts into its messages.
var place = regexp.MustCompile(`\(line (\d+):(\d+)\): `)

// jsonError makes an error of one of protojson's, with the path of the field
// where that can be told from the place it names.
func jsonError(data []byte, err error) error {
	text := strings.TrimPrefix(plain(err), "proto: ")
	match := place.FindStringSubmatchIndex(text)
	if match == nil {
		return service.Malformed("", text)
	}
	line, _ := strconv.Atoi(text[match[2]:match[3]])
	column, _ := strconv.Atoi(text[match[4]:match[5]])
	what := text[match[1]:]
	path := pathAt(data, offsetOf(data, line, column))
	if path == "" {
		return service.Malformed("", fmt.Sprintf("line %d, column %d: %s", line, column, what))
	}
	return service.Malformed(path, what)
}

// offsetOf returns the offset of a line and a column, both counted from 1; the
// column in bytes.
func offsetOf(data []byte, line, column int) int64 {
	offset := 0
	for ; line > 1; line-- {
		next := bytes.IndexByte(data[offset:], '\n')
		if next < 0 {
			break
		}
		offset += next + 1
	}
	return int64(offset + column - 1)
}

// level is an object or an array that is being read.
type level struct {
	array bool
	index int
	key   string
	isKey bool // The next string is a key.
}

// pathAt returns the path of the field whose key or value begins at an offset,
// or an empty one where the text isn't JSON up to there.
func pathAt(data []byte, offset int64) string {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var levels []level
	for {
		token, err := decoder.Token()
		if err != nil {
			return ""
		}
		top := len(levels) - 1
		if top >= 0 && levels[top].isKey {
			if key, ok := token.(string); ok {
				levels[top].key, levels[top].isKey = key, false
				if decoder.InputOffset() > offset {
					return join(levels)
				}
				continue
			}
		}
		if decoder.InputOffset() > offset {
			return join(levels)
		}
		switch token {
		case json.Delim('{'):
			levels = append(levels, level{isKey: true})
			continue
		case json.Delim('['):
			levels = append(levels, level{array: true})
			continue
		case json.Delim('}'), json.Delim(']'):
			levels = levels[:top]
		}
		// A value ended.
		if top = len(levels) - 1; top >= 0 {
			levels[top].index++
			levels[top].isKey = !levels[top].array
		}
	}
}

func join(levels []level) string {
	var path strings.Builder
	for _, l := range levels {
		switch {
		case l.array:
			fmt.Fprintf(&path, "[%d]", l.index)
		case path.Len() > 0:
			path.WriteString("." + l.key)
		default:
			path.WriteString(l.key)
		}
	}
	return path.String()
}
