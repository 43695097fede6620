//go:build race

package schema

// The race detector makes pools forget at random.
const poolsForget = true
