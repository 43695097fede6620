package service

import (
	"fmt"
	"strconv"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

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

// checkCount returns an error for a field with more elements than a request may
// have. where says of which requests that is so.
func checkCount(field string, count, most int, where string) error {
	if count <= most {
		return nil
	}
	return fieldFault(tidingsv1.ErrorReason_ERROR_REASON_REQUEST_INVALID, field,
		fmt.Sprintf("must have at most %d items%s, has %d", most, where, count), "limit", strconv.Itoa(most))
}
