package compat_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/tidings/server/internal/compat"
	"example.com/tidings/server/internal/schema"
)

// When the caller leaves, Buf ends, and with it what it has started.
func TestLeaving(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	buf, started := filepath.Join(dir, "buf"), filepath.Join(dir, "started")
	if err := syscall.Mkfifo(started, 0o600); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\n" + `if [ "$1" = --version ]; then echo 0; exit; fi
sleep 600 &
echo $$ $! > ` + started + "\nwait\n"
	if err := os.WriteFile(buf, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	c, err := compat.New(t.Context(), buf)
	if err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := c.Compare(ctx, new(schema.Image), new(schema.Image), nil, nil)
		ended <- err
	}()
	content, err := os.ReadFile(started)
	if err != nil {
		t.Fatal(err)
	}
	leave()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	timeout, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for pid := range strings.FieldsSeq(string(content)) {
		process, err := strconv.Atoi(pid)
		if err != nil {
			t.Fatal(err)
		}
		for running(process) {
			if timeout.Err() != nil {
				t.Fatalf("process %d is still there", process)
			}
		}
	}
}

// running reports whether a process is there and hasn't ended: whose parent died
// before may stay as a zombie for a while.
func running(process int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", process))
	return err == nil && !strings.Contains(string(status), ") Z ")
}
