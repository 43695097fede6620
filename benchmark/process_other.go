//go:build !unix

package main

import "syscall"

// ownGroup starts a process as usual.
func ownGroup() *syscall.SysProcAttr { return nil }
