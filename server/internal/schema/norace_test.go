//go:build !race

package schema

const poolsForget = false
