package main

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// exactPauses makes the pauses of this thread end within some microseconds of their time.
// The caller has locked it.
func exactPauses() error { return unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) }

// pause waits, more exactly than time.Sleep, whose timers end in steps of a millisecond
// where a program is idle otherwise.
func pause(d time.Duration) {
	spec := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&spec, nil) // A signal may end it early: the caller looks at the time.
}
