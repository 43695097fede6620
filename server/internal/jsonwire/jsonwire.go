// Package jsonwire turns messages of the contract from JSON into their encoding,
// and back, in one pass by their descriptors, without decoding them. It does so
// where it is sure of what protojson makes of a message, and then gives the same,
// byte for byte: of JSON, protojson's message in protobuf's deterministic encoding;
// of an encoding, protojson's text without white space. What it isn't sure of, and
// so everything that is wrong, it leaves to protojson.
package jsonwire

import (
	"sync"

	"google.golang.org/protobuf/reflect/protoreflect"
)

const (
	// maxDepth is how deep messages nest at most, the request, the payload and the
	// entries of maps included.
	maxDepth = 50
	// maxSize is the largest message, so that a place in it takes 31 bits.
	maxSize = 1 << 30
	// maxParts is how many fields and entries of maps are open at most, which take some
	// megabytes. So many, and so many bytes, are kept to be used again.
	maxParts  = 1 << 16
	keptParts = 1 << 12
	keptBytes = 1 << 18
)

// Types are what is known of messages: those of the contract, and those that
// payloads may be. It grows by what it is asked for, up to all that there are. It
// is safe for concurrent use.
type Types struct {
	find func(protoreflect.FullName) protoreflect.MessageDescriptor
	show Show

	mu       sync.RWMutex
	messages map[protoreflect.MessageDescriptor]*message
	payloads map[string]*message // By the name of the type.
}

// Show appends an encoded Any that holds a payload to dst in JSON, in some other way,
// and reports whether it could.
type Show func(dst, encoded []byte) ([]byte, bool)

// NewTypes returns the types that a function finds by their full names: it returns
// nil where there is none. Payloads whose text AppendJSON isn't sure of are shown by
// another function, so that the rest of their message still goes in one pass; nil:
// there is none.
func NewTypes(find func(protoreflect.FullName) protoreflect.MessageDescriptor, show Show) *Types {
	return &Types{
		find:     find,
		show:     show,
		messages: make(map[protoreflect.MessageDescriptor]*message),
		payloads: make(map[string]*message),
	}
}

// of returns what is known of a message.
func (t *Types) of(descriptor protoreflect.MessageDescriptor) *message {
	t.mu.RLock()
	m := t.messages[descriptor]
	t.mu.RUnlock()
	if m != nil {
		return m
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.compile(descriptor)
}

// payload returns the message with the name that is what follows the last slash of
// a type URL, or nil.
func (t *Types) payload(name []byte) *message {
	t.mu.RLock()
	m := t.payloads[string(name)]
	t.mu.RUnlock()
	if m != nil {
		return m
	}
	descriptor := t.find(protoreflect.FullName(name))
	if descriptor == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	m = t.compile(descriptor)
	t.payloads[string(name)] = m
	return m
}

// run is the work on a message. Its memory is used again.
type run struct {
	types *Types
	in    []byte
	pos   int // In JSON.
	out   []byte

	inPayload bool   // An Any there is left to protojson.
	parts     []part // Of the messages and the maps that are open.
	copied    []byte // What is put in order.
}

var runs = sync.Pool{New: func() any { return new(run) }}

// do lets a function append to dst what it makes of a message. Where it isn't
// sure, nothing is appended.
func (t *Types) do(dst, in []byte, transcode func(*run) bool) ([]byte, bool) {
	if len(in) > maxSize {
		return dst, false
	}
	r := runs.Get().(*run) //nolint:forcetypeassert // The pool holds nothing else.
	*r = run{types: t, in: in, out: dst, parts: r.parts[:0], copied: r.copied}
	if !transcode(r) {
		return dst, false // What is left open in its memory isn't used again.
	}
	dst = r.out
	r.types, r.in, r.out = nil, nil, nil
	if cap(r.parts) > keptParts {
		r.parts = nil
	}
	if cap(r.copied) > keptBytes {
		r.copied = nil
	}
	runs.Put(r)
	return dst, true
}

// AppendWire appends the encoding of a message in JSON to dst, deterministically,
// and reports whether it could.
func (t *Types) AppendWire(dst, text []byte, of protoreflect.MessageDescriptor) ([]byte, bool) {
	m := t.of(of)
	return t.do(dst, text, func(r *run) bool {
		if !r.fromJSON(m, maxDepth) {
			return false
		}
		r.space()
		return r.pos == len(text)
	})
}

// AppendJSON appends an encoded message to dst in JSON without white space, and
// reports whether it could.
func (t *Types) AppendJSON(dst, encoded []byte, of protoreflect.MessageDescriptor) ([]byte, bool) {
	m := t.of(of)
	return t.do(dst, encoded, func(r *run) bool { return r.toJSON(m, encoded, maxDepth) })
}
