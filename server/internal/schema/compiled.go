package schema

import (
	"sync"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// maxCompiled bounds the messages that the programs of a set are compiled of. Each
// type has a program of its own, which is compiled of its message and all that this
// may hold and takes some 5 kB for each.
const maxCompiled = 20_000

// compiled counts what the programs of a set are compiled of. It is safe for
// concurrent use.
type compiled struct {
	mu       sync.Mutex
	messages int
}

// take reports whether there is room for the program of a message, and takes it.
func (c *compiled) take(message protoreflect.MessageDescriptor) bool {
	held := make(map[protoreflect.FullName]bool)
	collect(message, held)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.messages+len(held) > maxCompiled {
		return false
	}
	c.messages += len(held)
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
