package delivery

import (
	"sync"

	"example.com/tidings/server/internal/eventlog"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// maxBuffer is the size above which a buffer isn't used again.
const maxBuffer = 1 << 20

// buffers are what deliveries are encoded into. They are used again once these are sent.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// newBuffer returns a buffer with the room of a header.
func newBuffer() []byte {
	b := *buffers.Get().(*[]byte) //nolint:forcetypeassert // The pool holds nothing else.
	return append(b[:0], make([]byte, eventlog.FieldHeader)...)
}

// Batch is what Stream.Next returns.
type Batch struct {
	// Window is the window, where it was resized since the last batch. There are no
	// deliveries then.
	Window *tidingsv1.FlowControl

	buffer []byte // Has the deliveries behind a header. Empty: there are none.
}

// Deliveries is an encoded tidings.v1.DeliveryBatch. Empty: there are no events now.
func (b *Batch) Deliveries() []byte {
	if len(b.buffer) == 0 {
		return nil
	}
	return b.buffer[eventlog.FieldHeader:]
}

// Field returns the DeliveryBatch as the encoded field 1 of a message, in the same memory.
func (b *Batch) Field() []byte { return b.buffer[eventlog.SealField(b.buffer):] }

// Free gives the memory of the deliveries back. They aren't used after it.
func (b *Batch) Free() {
	if cap(b.buffer) <= maxBuffer {
		buffers.Put(&b.buffer)
	}
}
