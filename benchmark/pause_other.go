//go:build !linux

package main

import "time"

func exactPauses() error { return nil }

func pause(d time.Duration) { time.Sleep(d) }
