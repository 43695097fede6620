package client

import (
	"strings"
	"unicode/utf8"
)

const (
	// runEvents and runBytes bound a run of events that share their memory, and so what
	// an event that is kept keeps of others.
	runEvents = 32
	runBytes  = 16 << 10
	// textChunk and bytesChunk are how much is taken at a time, at most, for strings and
	// for payloads. What is larger than largestShared has memory of its own.
	textChunk     = 2 << 10
	bytesChunk    = 4 << 10
	largestShared = 1 << 10
)

// run are the events of a frame that share their memory: their strings and payloads lie in
// chunks, which nobody changes later.
type run struct {
	data  []byte // What came, which is used for something else afterwards.
	left  int    // How much of it isn't decoded.
	text  strings.Builder
	bytes []byte
	known *knownStrings
}

// knownStrings are the last values of fields that are mostly those of the event before.
type knownStrings struct {
	topic, revision, publisher, source, subject, typeURL string
}

// string copies a string, unless it isn't UTF-8.
func (r *run) string(into *string, f field) bool {
	data := r.data[f.from:f.to]
	switch {
	case len(data) > largestShared:
		*into = string(data)
	case len(data) > 0:
		if r.text.Cap()-r.text.Len() < len(data) {
			r.text = strings.Builder{}
			r.text.Grow(min(r.left, textChunk))
		}
		from := r.text.Len()
		r.text.Write(data)
		*into = r.text.String()[from:]
	}
	return utf8.ValidString(*into)
}

// repeated is string for a field that is mostly the same.
func (r *run) repeated(into, known *string, f field) bool {
	if string(r.data[f.from:f.to]) == *known {
		*into = *known
		return true
	}
	*known = string(r.data[f.from:f.to])
	*into = *known
	return utf8.ValidString(*into)
}

// copy copies a payload.
func (r *run) copy(f field) []byte {
	data := r.data[f.from:f.to]
	switch {
	case len(data) == 0:
		return nil
	case len(data) > largestShared:
		return append([]byte(nil), data...)
	case cap(r.bytes)-len(r.bytes) < len(data):
		r.bytes = make([]byte, 0, min(r.left, bytesChunk))
	}
	from := len(r.bytes)
	r.bytes = append(r.bytes, data...)
	return r.bytes[from:len(r.bytes):len(r.bytes)]
}
