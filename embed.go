// Package tidings holds the files of the contract that `tidings init` copies into
// a schema repository. The contract's generated code is below gen/go.
package tidings

import "embed"

// Schemas are the schemas of the options, at their import paths below proto/, and
// buf.lock, which pins what they import.
//
//go:embed buf.lock proto/tidings/options/v1/*.proto
var Schemas embed.FS
