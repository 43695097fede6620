//go:build !unix

package testserver

import (
	"os"
	"os/exec"
)

// ownGroup does nothing: there are no process groups.
func ownGroup(*exec.Cmd) {}

// signalGroup signals the process alone.
func signalGroup(leader *os.Process, signal os.Signal) error { return leader.Signal(signal) }
