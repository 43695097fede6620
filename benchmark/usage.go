package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// usage is what a process takes.
type usage struct {
	memory      int64 // Resident, in bytes.
	descriptors int
}

// usage asks the system, which has to be Linux.
func (p *process) usage() (usage, error) {
	proc := fmt.Sprintf("/proc/%d/", p.Pid())
	status, err := os.ReadFile(proc + "status")
	if err != nil {
		return usage{}, err
	}
	_, rest, _ := bytes.Cut(status, []byte("\nVmRSS:"))
	var kilobytes int64
	if _, err := fmt.Fscan(bytes.NewReader(rest), &kilobytes); err != nil {
		return usage{}, fmt.Errorf("%sstatus: VmRSS: %w", proc, err)
	}
	files, err := os.ReadDir(proc + "fd")
	return usage{memory: kilobytes << 10, descriptors: len(files)}, err
}

// settled waits until the process gives no memory back for a while, or for ten
// times as long.
func (p *process) settled(ctx context.Context, window time.Duration) (usage, error) {
	most := 10 * window
	lowest, err := p.usage()
	begun := time.Now()
	for since := begun; err == nil && time.Since(since) < window && time.Since(begun) < most; {
		select {
		case <-time.After(window / 10):
		case <-ctx.Done():
			return usage{}, ctx.Err()
		}
		var now usage
		if now, err = p.usage(); now.memory < lowest.memory*99/100 {
			since = time.Now()
		}
		lowest = now
	}
	return lowest, err
}

func megabytes(count int64) float64 { return float64(count) / 1e6 }

// processorTime is what a process has used of the processors, in steps of 10 ms.
// The system has to be Linux.
func processorTime(pid int) (time.Duration, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name of the program, in parentheses, may hold spaces.
	fields := strings.Fields(string(content[bytes.LastIndexByte(content, ')')+1:]))
	const ticks = 10 * time.Millisecond
	user, err := strconv.Atoi(fields[11])
	if err != nil {
		return 0, err
	}
	system, err := strconv.Atoi(fields[12])
	return time.Duration(user+system) * ticks, err
}
