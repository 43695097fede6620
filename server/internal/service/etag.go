package service

import "strconv"

// etagOf is the etag of a topic or a subscription at a revision of the engine.
func etagOf(revision uint64) string { return strconv.FormatUint(revision, 16) }
