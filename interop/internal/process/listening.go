package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"sync"
	"time"

	"example.com/tidings/internal/testserver"
)

// StartListening starts a server by a line of shell, and waits until it prints
// where it listens as its first line on standard output:
//
//	listening http=127.0.0.1:PORT grpc=127.0.0.1:PORT
//
// One of the two may be left out. The end of ctx ends it.
func StartListening(ctx context.Context, line, dir string, within time.Duration) (*testserver.Server, error) {
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.Dir = dir
	stdout := new(firstLine)
	cmd.Stdout = stdout
	program, err := testserver.Start(cmd)
	if err != nil {
		return nil, err
	}
	s := &testserver.Server{Process: program}
	err = s.Await(ctx, within, func() (bool, error) {
		first, whole := stdout.get()
		if !whole {
			return false, nil
		}
		return true, listensAt(s, first)
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", line, errors.Join(err, s.Kill()), s.Output())
	}
	return s, nil
}

// firstLine is the first line of what is written, which is safe for concurrent use.
type firstLine struct {
	mu    sync.Mutex
	line  []byte
	whole bool
}

func (f *firstLine) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.whole {
		var rest []byte
		rest, _, f.whole = bytes.Cut(p, []byte("\n"))
		f.line = append(f.line, rest...)
	}
	return len(p), nil
}

func (f *firstLine) get() (line string, whole bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return string(f.line), f.whole
}

// listensAt takes the addresses from the line that a server prints.
func listensAt(s *testserver.Server, line string) error {
	problem := fmt.Errorf("it printed %.200q first, want listening http=127.0.0.1:PORT grpc=127.0.0.1:PORT, or one of the two", line)
	words := strings.Fields(line)
	if len(words) < 2 || words[0] != "listening" {
		return problem
	}
	for _, word := range words[1:] {
		name, address, _ := strings.Cut(word, "=")
		field, ok := map[string]*string{"http": &s.HTTP, "grpc": &s.GRPC}[name]
		if !ok || *field != "" {
			return problem
		}
		parsed, err := netip.ParseAddrPort(address)
		if err != nil {
			return errors.Join(problem, err)
		}
		if !parsed.Addr().IsLoopback() || parsed.Port() == 0 {
			return fmt.Errorf("%w: %s is not one on this machine alone", problem, address)
		}
		*field = address
	}
	return nil
}
