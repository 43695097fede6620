package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os/exec"
	"strings"
	"time"
)

// StartListening starts a server by a line of shell, and waits until it prints
// where it listens as its first line on standard output:
//
//	listening http=127.0.0.1:PORT grpc=127.0.0.1:PORT
//
// One of the two may be left out. The end of ctx ends it.
func StartListening(ctx context.Context, line, dir string, within time.Duration) (*Server, error) {
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.Dir = dir
	s := &Server{cmd: cmd}
	stdout := new(output)
	cmd.Stdout, cmd.Stderr = io.MultiWriter(stdout, &s.output), &s.output
	err := s.start(ctx, within, func() (bool, error) {
		first, _, whole := strings.Cut(stdout.String(), "\n")
		if !whole {
			return false, nil
		}
		return true, s.listensAt(first)
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", line, err, s.Output())
	}
	return s, nil
}

// listensAt takes the addresses from the line that a server prints.
func (s *Server) listensAt(line string) error {
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
