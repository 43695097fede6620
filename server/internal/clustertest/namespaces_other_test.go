//go:build !linux

package clustertest

import "testing"

// newNetwork returns a network without links: only Linux has network namespaces.
func newNetwork(t *testing.T) network { return loopback{t} }
