package service

import "testing"

// A frame has the room that it is asked for, and a small one isn't kept for a
// large event.
func TestFramesHaveRoom(t *testing.T) {
	for range 3 {
		for _, bytes := range []int{1, frameRoom, frameKept, 2 * frameKept, 3 * frameKept, 2 * frameKept, 1} {
			f := newFrame(bytes)
			if bytes > frameKept && cap(f.buffer) < frameHeader+bytes {
				t.Errorf("room for %d bytes where %d come", cap(f.buffer), bytes)
			}
			if bytes <= frameRoom && cap(f.buffer) > frameKept {
				t.Errorf("%d bytes take %d", bytes, cap(f.buffer))
			}
			if len(f.buffer) != frameHeader || f.start != 0 {
				t.Errorf("the frame isn't empty: %d bytes from %d on", len(f.buffer), f.start)
			}
			f.buffer = append(f.buffer, make([]byte, bytes)...)
			f.seal()
			f.Free()
		}
	}
}

// A frame that held deliveries is one of a read when it is used again: JSON is written
// of the message that its kind says.
func TestFramesAreOfReads(t *testing.T) {
	for _, bytes := range []int{frameRoom, 2 * frameKept} {
		(&Frame{buffer: make([]byte, 0, frameHeader+bytes), kind: consumeFrame}).Free()
		for range 100 { // The pool may hold others, and may lose this one.
			if f := newFrame(bytes); f.kind != readFrame {
				t.Fatalf("a frame of a read is of kind %d", f.kind)
			}
		}
	}
}
