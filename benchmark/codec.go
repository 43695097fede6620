package main

import "google.golang.org/grpc/mem"

// rawCodec sends bytes as they are and hands bytes over as they came. It shows
// what the server can do, apart from what encoding costs a client.
type rawCodec struct{}

// rawSend is a message in parts, which are sent one after the other.
type rawSend [][]byte

// rawReceive is a received message. Its bytes may be used until the next one is
// received into it.
type rawReceive struct {
	buffer mem.Buffer
}

func (r *rawReceive) bytes() []byte {
	if r.buffer == nil {
		return nil
	}
	return r.buffer.ReadOnlyData()
}

func (r *rawReceive) free() {
	if r.buffer != nil {
		r.buffer.Free()
		r.buffer = nil
	}
}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	parts := v.(rawSend) //nolint:forcetypeassert // Nothing else is sent.
	slice := make(mem.BufferSlice, len(parts))
	for i, part := range parts {
		slice[i] = mem.SliceBuffer(part)
	}
	return slice, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	into := v.(*rawReceive) //nolint:forcetypeassert // Nothing else is received into.
	into.free()
	into.buffer = data.MaterializeToBuffer(mem.DefaultBufferPool())
	return nil
}
