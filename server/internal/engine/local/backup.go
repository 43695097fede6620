package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"example.com/tidings/server/internal/guard"
)

// Who wants a backup of a server that runs puts a file into its data directory,
// and the server answers with another. Only who may write there can: the server
// is asked by nobody else, whatever its ports are open to. A socket would do the
// same, but its path must be short.
const (
	backupRequest = "backup.request"
	backupTaken   = "backup.taken"
	backupAnswer  = "backup.answer"
)

const (
	// backupPoll is how often it is looked for a request, or for an answer.
	backupPoll = 500 * time.Millisecond
	// backupPatience is how long a server has to take a request.
	backupPatience = 10 * time.Second
)

// request asks for a backup.
type request struct {
	// Directory is an absolute path.
	Directory string `json:"directory"`
}

// answer says what became of it.
type answer struct {
	Error string `json:"error,omitempty"`
}

// Backup makes a backup of the data directory of a server, whether it runs or
// not, in a directory that isn't there. A server that runs makes it itself.
func Backup(ctx context.Context, dir, backup string) error {
	backup, err := filepath.Abs(backup)
	if err != nil {
		return err
	}
	lock, err := lockStorage(dir)
	if errors.Is(err, errLocked) {
		return askForBackup(ctx, dir, backup)
	}
	if err != nil {
		return err
	}
	defer lock.close()
	last, _, err := readMark(vfs.Default, filepath.Join(dir, markName))
	if err != nil {
		return fmt.Errorf("data directory %s: its file %s can't be read: %w", dir, markName, err)
	}
	if err := os.Mkdir(backup, 0o700); err != nil {
		return err
	}
	if err := copyFiles(ctx, filepath.Join(dir, storeDir), filepath.Join(backup, storeDir)); err != nil {
		return err
	}
	return newMark(backup, last)
}

// askForBackup asks the server that uses a data directory.
func askForBackup(ctx context.Context, dir, backup string) error {
	path := filepath.Join(dir, backupRequest)
	if err := writeFile(path, request{Directory: backup}); err != nil {
		return err
	}
	tick := time.NewTicker(backupPoll)
	defer tick.Stop()
	patience := time.NewTimer(backupPatience)
	defer patience.Stop()
	for {
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), removeIfThere(path))
		case <-patience.C:
			// Removed, the server can't take it any more.
			if err := os.Remove(path); err == nil {
				return errors.New("the server that uses the data directory doesn't answer")
			}
		case <-tick.C:
		}
		var a answer
		if err := readFile(filepath.Join(dir, backupAnswer), &a); errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return err
		}
		if err := os.Remove(filepath.Join(dir, backupAnswer)); err != nil {
			return err
		}
		if a.Error != "" {
			return fmt.Errorf("the server couldn't make the backup: %s", a.Error) //nolint:err113 // It is shown as it is.
		}
		return nil
	}
}

// backups makes the backups that a server is asked for.
type backups struct {
	engine *Engine
	cancel context.CancelFunc
	ended  guard.Group
}

// startBackups begins to look for requests. What an earlier process was asked
// for isn't done any more.
func startBackups(e *Engine) (*backups, error) {
	b := &backups{engine: e}
	for _, name := range []string{backupRequest, backupTaken, backupAnswer} {
		if err := removeIfThere(b.path(name)); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel = cancel
	b.ended.Go(func() error { return b.run(ctx) }, guard.Log(e.log, "looking for requests for a backup"))
	return b, nil
}

func (b *backups) close() {
	b.cancel()
	b.ended.Wait()
}

func (b *backups) path(name string) string { return filepath.Join(b.engine.config.DataDir, name) }

func (b *backups) run(ctx context.Context) error {
	tick := time.NewTicker(backupPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		// Taken, it can't be taken back.
		if err := os.Rename(b.path(backupRequest), b.path(backupTaken)); err != nil {
			continue // There is none.
		}
		if err := b.take(); err != nil {
			b.engine.log.Error("answering a request for a backup", "error", err)
		}
	}
}

func (b *backups) take() error {
	var r request
	var a answer
	err := readFile(b.path(backupTaken), &r)
	if err == nil {
		err = guard.Do(func() error { return b.engine.backup(r.Directory) })
	}
	if err != nil {
		a.Error = err.Error()
	}
	b.engine.log.Info("made a backup", "directory", r.Directory, "error", a.Error)
	return errors.Join(os.Remove(b.path(backupTaken)), writeFile(b.path(backupAnswer), a))
}

// backup makes a backup: a data directory of which every topic goes on with
// higher sequences, since it isn't known what will have been stored after it.
func (e *Engine) backup(dir string) (err error) {
	if !filepath.IsAbs(dir) {
		return fmt.Errorf("the path %q isn't absolute", dir)
	}
	// What the mark says now is in the checkpoint.
	last, _, err := readMark(vfs.Default, filepath.Join(e.config.DataDir, markName))
	if err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if err = e.db.Checkpoint(filepath.Join(dir, storeDir), pebble.WithFlushedWAL()); err == nil {
		err = newMark(dir, markSlot{commit: last.commit, clean: true}) // All of it is on the disk.
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	return nil
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// writeFile writes a file in one step, so that nobody reads half.
func writeFile(path string, content any) error {
	data, err := json.Marshal(content)
	if err != nil {
		return err
	}
	temporary := path + ".new"
	if err := os.WriteFile(temporary, append(data, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

func readFile(path string, content any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, content)
}
