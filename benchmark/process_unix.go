//go:build unix

package main

import "syscall"

// ownGroup starts a process in a group of its own, where signals from the
// terminal don't reach it.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
