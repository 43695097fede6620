package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// disturbance is how far others than the benchmark used the machine while a table was
// measured.
type disturbance struct {
	share   float64 // Of all processors, 0 to 1.
	repeats int     // How often it was measured again because of that.
}

// processorUse is what has been used of the processors since the machine started. Zero:
// the system doesn't say so; it isn't Linux.
type processorUse struct {
	busy, own, total time.Duration
}

const tick = 10 * time.Millisecond // The unit of times in /proc.

// processors asks the system. Time that a hypervisor took counts as busy. Interrupts
// don't: those of the loopback interface belong to who sends.
func processors() (use processorUse) {
	content, err := os.ReadFile("/proc/stat")
	if err != nil {
		return processorUse{}
	}
	line, _, _ := strings.Cut(string(content), "\n")
	for i, field := range strings.Fields(line) {
		value, err := strconv.Atoi(field)
		if i == 0 || i > 8 || err != nil {
			continue // "cpu", and the time of guests, which is in that of users.
		}
		use.total += time.Duration(value) * tick
		switch i {
		case 1, 2, 3, 8: // user, nice, system, steal
			use.busy += time.Duration(value) * tick
		}
	}
	use.own = ownTime()
	return use
}

// othersSince returns the share of the processors that others used since an earlier use.
func (u processorUse) othersSince(before processorUse) float64 {
	total := u.total - before.total
	if total <= 0 {
		return 0
	}
	others := (u.busy - before.busy) - (u.own - before.own)
	return max(0, float64(others)/float64(total))
}

// ownTime is what this process, all that it started and the kernel have used.
func ownTime() (sum time.Duration) {
	type entry struct {
		parent int
		time   time.Duration
	}
	entries := make(map[int]entry)
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			continue // It has ended.
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			continue
		}
		var e entry
		var state string
		var skip int64
		var user, system, userOfEnded, systemOfEnded int64
		// The name of the program, in parentheses, may hold spaces. Fields 3 to 17.
		rest := bytes.NewReader(content[bytes.LastIndexByte(content, ')')+1:])
		if _, err := fmt.Fscan(rest, &state, &e.parent, &skip, &skip, &skip, &skip, &skip, &skip, &skip, &skip, &skip,
			&user, &system, &userOfEnded, &systemOfEnded); err != nil {
			continue
		}
		e.time = time.Duration(user+system+userOfEnded+systemOfEnded) * tick
		entries[pid] = e
	}
	const kernel = 2 // The parent of the kernel's threads.
	self := os.Getpid()
	for pid, e := range entries {
		for above, depth := pid, 0; above != 0 && depth < 100; above, depth = entries[above].parent, depth+1 {
			if above == self || above == kernel {
				sum += e.time
				break
			}
		}
	}
	return sum
}
