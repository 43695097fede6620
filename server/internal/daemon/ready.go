package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// readyFile is there while the server takes calls, and says where. A server has
// its own.
type readyFile struct{ path string } // Empty: there is none.

// clear removes the file: what waits for it would read the addresses of a
// server that has ended.
func (f readyFile) clear() error {
	if f.path == "" {
		return nil
	}
	if err := os.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("ready-file: %w", err)
	}
	return nil
}

// write writes the addresses in one step, so that nobody reads half.
func (f readyFile) write(l listeners) error {
	if f.path == "" {
		return nil
	}
	content, err := json.Marshal(map[string]string{"http": l.http.Addr().String(), "grpc": l.grpc.Addr().String()})
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(f.path), ".ready-*")
	if err != nil {
		return fmt.Errorf("ready-file: %w", err)
	}
	_, err = file.Write(append(content, '\n'))
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), f.path)
	}
	if err != nil {
		return fmt.Errorf("ready-file: %w", errors.Join(err, os.Remove(file.Name())))
	}
	return nil
}
