package local

// space says whether there is room for events. Everything else is stored
// whether or not there is.
type space interface {
	// full reports whether events are refused. It is called for each batch, and
	// doesn't block.
	full() bool
	// wrote takes note of bytes that were written, so that what was measured
	// isn't trusted for too long. It doesn't block.
	wrote(bytes int)
}

// unbounded is room without end.
type unbounded struct{}

func (unbounded) full() bool { return false }

func (unbounded) wrote(int) {}
