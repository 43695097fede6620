package service

// What one call may ask for. GetServerInfo names those that a client has to know.
const (
	// maxWindowEvents and maxWindowBytes bound the window of a stream. What is
	// asked for above them is lowered to them.
	maxWindowEvents = 10_000
	maxWindowBytes  = 256 << 20
	// maxSettlements bounds the settlements of a request, and its held tokens.
	maxSettlements = 10_000
	// maxPullEvents and maxPageSize bound what one response holds. What is asked
	// for above them is lowered to them.
	maxPullEvents = 1000
	maxPageSize   = 1000
)
