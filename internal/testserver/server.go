package testserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// ReadyWithin is how long a server that is built has until it serves. It is far more
// than one needs.
const ReadyWithin = time.Minute

// ErrEnded is the error of a process that ended before it was ready.
var ErrEnded = errors.New("it ended before it was ready")

// readyVariable names the file that a server writes once it serves.
const readyVariable = "TIDINGS_READY_FILE"

// addresses is what that file holds.
type addresses struct {
	HTTP string `json:"http,omitempty"`
	GRPC string `json:"grpc"`
}

// A Server is a server that serves, or has served.
type Server struct {
	*Process

	// HTTP and GRPC are the addresses that it listens on; empty where a server of
	// another kind doesn't have one.
	HTTP, GRPC string
}

// Serve starts a command that runs a server, itself or through others such as make,
// and waits until it serves. It gets free ports, and what Start gives it. If it
// doesn't serve, nothing of it is left; the Server of the error ErrEnded holds what
// was printed. The wait ends with ctx; one without a deadline may take ReadyWithin.
func Serve(ctx context.Context, cmd *exec.Cmd) (*Server, error) {
	dir, err := os.MkdirTemp("", "tidings-ready-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ready := filepath.Join(dir, "ready.json")
	if cmd.Env == nil {
		cmd.Env = Environ()
	}
	cmd.Env = append(cmd.Env, "TIDINGS_HTTP_ADDR=127.0.0.1:0", "TIDINGS_GRPC_ADDR=127.0.0.1:0", readyVariable+"="+ready)
	s := new(Server)
	if s.Process, err = Start(cmd); err != nil {
		return nil, err
	}
	within := ReadyWithin
	if deadline, ok := ctx.Deadline(); ok {
		within = time.Until(deadline)
	}
	// The server writes the file in one step.
	err = s.Await(ctx, within, func() (bool, error) {
		contents, err := os.ReadFile(ready)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		var at addresses
		err = json.Unmarshal(contents, &at)
		s.HTTP, s.GRPC = at.HTTP, at.GRPC
		return true, err
	})
	if err != nil {
		return s, errors.Join(fmt.Errorf("%w%s", err, s.lastLines()), s.Kill())
	}
	return s, nil
}

// Ready is the other side of Serve, for servers of another kind: it says that this
// process serves at an address. Where nobody waits for that, it does nothing.
func Ready(address string) error {
	file := os.Getenv(readyVariable)
	if file == "" {
		return nil
	}
	contents, err := json.Marshal(addresses{GRPC: address})
	if err != nil {
		return err
	}
	part := file + ".part"
	if err := os.WriteFile(part, contents, 0o600); err != nil {
		return err
	}
	return os.Rename(part, file)
}
