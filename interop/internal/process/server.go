package process

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	conformancev1 "example.com/tidings/conformance/gen/go/tidings/conformance/v1"
)

// ReadyWithin is how long a server has until it serves.
const ReadyWithin = 30 * time.Second

// StopWithin is how long a server has until it is gone, when it was told to stop.
const StopWithin = 10 * time.Second

// A Server is one that runs: this checkout's, with data of its own, or another.
type Server struct {
	// HTTP and GRPC are its addresses, 127.0.0.1:PORT; empty where another server
	// doesn't have one.
	HTTP string `json:"http"`
	GRPC string `json:"grpc"`

	cmd    *exec.Cmd
	output output
	ended  chan struct{} // Closed when the process is gone, and err set.
	err    error
}

// StartServer builds the server of the checkout at root and starts it with the
// schemas that the clients use. All its files are in dir. The end of ctx ends it.
func StartServer(ctx context.Context, root, dir string) (*Server, error) {
	binary, err := build(ctx, filepath.Join(root, "server"), "tidings", dir)
	if err != nil {
		return nil, err
	}
	schemas, ready := filepath.Join(dir, "schemas.binpb"), filepath.Join(dir, "ready.json")
	if err := writeSchemas(schemas); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, binary, "serve", "--http-addr", "127.0.0.1:0", "--grpc-addr", "127.0.0.1:0",
		"--data-dir", filepath.Join(dir, "data"), "--schemas", schemas, "--ready-file", ready, "--log-level", "warn")
	s := &Server{cmd: cmd}
	cmd.Stdout, cmd.Stderr = &s.output, &s.output
	// The server writes the file in one step.
	err = s.start(ctx, ReadyWithin, func() (bool, error) {
		contents, err := os.ReadFile(ready)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		return true, json.Unmarshal(contents, s)
	})
	if err != nil {
		return nil, fmt.Errorf("the server: %w: %s", err, s.Output())
	}
	return s, nil
}

// BuildSuite builds the conformance suite of the checkout at root as a file in
// dir, and returns its path.
func BuildSuite(ctx context.Context, root, dir string) (path string, err error) {
	return build(ctx, filepath.Join(root, "conformance"), "tidings-conformance", dir)
}

// build builds a command of a module as a file of its name in dir.
func build(ctx context.Context, module, command, dir string) (path string, err error) {
	path = filepath.Join(dir, command)
	build := exec.CommandContext(ctx, "go", "build", "-o", path, "./cmd/"+command)
	build.Dir = module
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w: %s", command, err, out)
	}
	return path, nil
}

// start starts the command, and waits until ready says that it serves. If it
// doesn't, nothing of it is left.
func (s *Server) start(ctx context.Context, within time.Duration, ready func() (bool, error)) error {
	s.cmd.Env = Environ()
	s.ended = make(chan struct{})
	inGroup(s.cmd)
	if err := s.cmd.Start(); err != nil {
		return err
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.ended)
	}()
	err := s.awaitReady(ctx, within, ready)
	if err != nil {
		_ = signalGroup(s.cmd, syscall.SIGKILL)
		<-s.ended
	}
	return err
}

func (s *Server) awaitReady(ctx context.Context, within time.Duration, ready func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("it doesn't serve within %v", within))
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := ready(); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-s.ended:
			return fmt.Errorf("before it served, %w", s.Ended())
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// ErrNotStopped says that a server didn't end when it was asked to.
var ErrNotStopped = errors.New("it didn't stop when it was told to")

// Stop asks the server to end, waits until it is gone with all that it started,
// and returns how it ended. If that takes too long, it ends the server, and
// returns ErrNotStopped.
func (s *Server) Stop(within time.Duration) error {
	defer func() { _ = signalGroup(s.cmd, syscall.SIGKILL) }()
	if s.Ended() != nil {
		return s.err
	}
	// It may have ended just now.
	if err := signalGroup(s.cmd, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	select {
	case <-s.ended:
		return s.err
	case <-time.After(within):
		_ = signalGroup(s.cmd, syscall.SIGKILL)
		<-s.ended
		return fmt.Errorf("%w, within %v", ErrNotStopped, within)
	}
}

// Ended says how the server ended, and is nil while it runs.
func (s *Server) Ended() error {
	select {
	case <-s.ended:
	default:
		return nil
	}
	if s.err == nil {
		return errors.New("it ended with status 0")
	}
	return fmt.Errorf("it ended: %w", s.err)
}

// Output is what the server has printed so far.
func (s *Server) Output() string { return s.output.String() }

// writeSchemas writes the schemas of the values, with all that they import.
func writeSchemas(path string) error {
	set := new(descriptorpb.FileDescriptorSet)
	added := make(map[string]bool)
	var add func(file protoreflect.FileDescriptor)
	add = func(file protoreflect.FileDescriptor) {
		if added[file.Path()] {
			return
		}
		added[file.Path()] = true
		for i := range file.Imports().Len() {
			add(file.Imports().Get(i))
		}
		set.File = append(set.File, protodesc.ToFileDescriptorProto(file))
	}
	add(conformancev1.File_tidings_conformance_v1_every_kind_proto)
	data, err := proto.Marshal(set)
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

// output is a bytes.Buffer that is safe for concurrent use.
type output struct {
	mu       sync.Mutex
	contents bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.contents.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.contents.String()
}
