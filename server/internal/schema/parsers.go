package schema

import (
	"sync"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// maxCompiled bounds the messages that the parsers of a set are compiled of. Each
// type has a parser of its own, which is compiled of its message and all that
// this may hold and takes some 2 kB for each.
const maxCompiled = 50_000

// parsers counts what the parsers of a set are compiled of. It is safe for
// concurrent use.
type parsers struct {
	mu       sync.Mutex
	compiled int
}

// bound returns what is regular for a type, which is nothing where there is no
// room for its parser: then protobuf's own has to do.
func (p *parsers) bound(message protoreflect.MessageDescriptor, layoutOf func() *layout) func() *layout {
	return sync.OnceValue(func() *layout {
		if !p.take(message) {
			return &layout{low: make([]fieldLayout, maxLow), entry: true} // An entry without fields.
		}
		return layoutOf()
	})
}

// take reports whether there is room for the parser of a message, and takes it.
func (p *parsers) take(message protoreflect.MessageDescriptor) bool {
	held := make(map[protoreflect.FullName]bool)
	collect(message, held)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.compiled+len(held) > maxCompiled {
		return false
	}
	p.compiled += len(held)
	return true
}

// collect adds the names of a message and of all that it may hold.
func collect(message protoreflect.MessageDescriptor, names map[protoreflect.FullName]bool) {
	if names[message.FullName()] {
		return
	}
	names[message.FullName()] = true
	for i := range message.Fields().Len() {
		if held := message.Fields().Get(i).Message(); held != nil {
			collect(held, names)
		}
	}
}
