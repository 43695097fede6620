// Package precheck says of an encoded message, in one pass over its bytes, that
// it is certainly in order: well-formed, with no field but those of its type,
// representable in JSON, and as the rules of protovalidate that its schema has
// ask for. What it can't be sure of it leaves to those who decode the message. So
// it may doubt what is right, and never trusts what is wrong.
package precheck

import (
	"sync"
	"time"

	"cel.dev/cel-go/cel"
	"google.golang.org/protobuf/reflect/protoreflect"
)

const (
	// maxDepth is how deep messages nest at most, the payload itself and the
	// entries of maps included. What is deeper is in doubt.
	maxDepth = 50
	// maxSlots and maxItems bound the memory of a pass, some megabytes. What
	// needs more is in doubt.
	maxSlots = 1 << 16
	maxItems = 1 << 16
	// maxSize is the largest payload, so that a place in it takes 31 bits.
	maxSize = 1<<31 - 1
	// maxLoopedSize is the largest payload to which rules in CEL are applied: their
	// loops don't end with a context.
	maxLoopedSize = 64 << 10
)

// Program checks the payloads of a type. It is immutable and safe for concurrent
// use.
type Program struct {
	message *message
	key     *path
	max     int // Bytes.
}

// Options are what a program is compiled with.
type Options struct {
	// Key leads to the field that gives the partition key. Empty: there is none.
	Key []protoreflect.FieldDescriptor
	// MaxSize is how many bytes the rules of the type are applied to. 0: any number.
	MaxSize int
	// Rules compiles rules in CEL, as protovalidate does. nil: types with any are in
	// doubt.
	Rules *cel.Env
}

// Compile returns the program of a type, which is nil where it would doubt every
// payload. The rules are taken for free of mistakes: protovalidate has to have
// compiled those of all messages that the type may hold.
func Compile(of protoreflect.MessageDescriptor, options Options) *Program {
	c := &compiler{rules: options.Rules, made: make(map[madeOf]*message)}
	p := &Program{message: c.program(of), max: maxSize}
	if p.message.doubtful {
		return nil
	}
	if options.MaxSize > 0 {
		p.max = min(p.max, options.MaxSize)
	}
	if c.looped {
		p.max = min(p.max, maxLoopedSize)
	}
	if len(options.Key) > 0 {
		if p.key = newPath(p.message, options.Key); p.key == nil {
			return nil
		}
	}
	return p
}

// run is a pass over a payload. Its memory is used again.
type run struct {
	data  []byte
	slots []slot
	items []item
	// What the expressions of a rule look at.
	this slot
	vars [maxVars]slot
	// now is the time to expressions, once one has asked: the same in all of one, as
	// in CEL.
	now instant
}

func (r *run) clock() instant {
	if r.now == (instant{}) {
		r.now = instantOf(time.Now())
	}
	return r.now
}

var runs = sync.Pool{New: func() any { return new(run) }}

// Check appends the partition key of a payload to key, and reports whether the
// payload is certainly in order. Where it isn't, nothing is appended.
func (p *Program) Check(payload, key []byte) ([]byte, bool) {
	if len(payload) > p.max {
		return key, false
	}
	r := runs.Get().(*run) //nolint:forcetypeassert // The pool holds nothing else.
	r.data, r.slots, r.items, r.now = payload, r.slots[:0], r.items[:0], instant{}
	frame, ok := r.message(p.message, 0, len(payload), maxDepth)
	if ok && p.key != nil {
		key = p.key.append(r, frame, key)
	}
	r.data = nil
	runs.Put(r)
	return key, ok
}
