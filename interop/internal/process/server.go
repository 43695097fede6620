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

	conformancev1 "example.com/tidings/gen/go/tidings/conformance/v1"
)

// readyWithin is how long a server has until it serves.
const readyWithin = 30 * time.Second

// A Server is this checkout's server, with data of its own.
type Server struct {
	// HTTP and GRPC are its addresses, 127.0.0.1:PORT.
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
	binary := filepath.Join(dir, "tidings")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/tidings")
	build.Dir = filepath.Join(root, "server")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the server: %w: %s", err, out)
	}
	schemas, ready := filepath.Join(dir, "schemas.binpb"), filepath.Join(dir, "ready.json")
	if err := writeSchemas(schemas); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, binary, "serve", "--http-addr", "127.0.0.1:0", "--grpc-addr", "127.0.0.1:0",
		"--data-dir", filepath.Join(dir, "data"), "--schemas", schemas, "--ready-file", ready, "--log-level", "warn")
	s := &Server{cmd: cmd, ended: make(chan struct{})}
	cmd.Env = Environ()
	cmd.Stdout, cmd.Stderr = &s.output, &s.output
	inGroup(cmd)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		s.err = cmd.Wait()
		close(s.ended)
	}()
	if err := s.awaitReady(ctx, ready); err != nil {
		_ = signalGroup(cmd, syscall.SIGKILL)
		<-s.ended
		return nil, fmt.Errorf("the server: %w: %s", err, s.Output())
	}
	return s, nil
}

// awaitReady waits for the file that the server writes in one step.
func (s *Server) awaitReady(ctx context.Context, ready string) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		contents, err := os.ReadFile(ready)
		if err == nil {
			return json.Unmarshal(contents, s)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		select {
		case <-tick.C:
		case <-s.ended:
			return fmt.Errorf("it ended before it served: %w", s.err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Stop asks the server to end, waits until it is gone, and returns how it ended.
func (s *Server) Stop() error {
	select {
	case <-s.ended:
	default:
		if err := signalGroup(s.cmd, syscall.SIGINT); err != nil {
			return err
		}
		<-s.ended
	}
	return s.err
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
