package clustertest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// program is a command that is started again and again on one host.
type program struct {
	t       *testing.T
	name    string
	host    host
	logs    string // The directory of its log.
	command []string

	cmd   *exec.Cmd
	ended chan struct{} // Closed when the process is gone.
	// told says that the process was told to end.
	told *atomic.Bool
}

// start starts the program, which isn't running. Its log goes on in one file.
func (p *program) start() {
	p.t.Helper()
	if p.cmd == nil {
		p.t.Cleanup(func() { p.end(syscall.SIGKILL) })
	}
	log, err := os.OpenFile(filepath.Join(p.logs, p.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		p.t.Fatal(err)
	}
	p.cmd = exec.CommandContext(context.Background(), p.command[0], p.command[1:]...)
	p.cmd.Env = slices.DeleteFunc(os.Environ(), func(variable string) bool { return strings.HasPrefix(variable, "TIDINGS_") })
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.host.start(p.cmd); err != nil {
		p.t.Fatal(err)
	}
	ended, told, cmd := make(chan struct{}), new(atomic.Bool), p.cmd
	p.ended, p.told = ended, told
	go func() {
		_ = cmd.Wait()
		_ = log.Close()
		if !told.Load() {
			p.t.Errorf("%s ended by itself: %s; its log ends with\n%s", p.name, cmd.ProcessState, p.logEnd())
		}
		close(ended)
	}()
}

// logEnd returns the last lines of the program's log.
func (p *program) logEnd() string {
	const lines = 20
	log, err := os.ReadFile(filepath.Join(p.logs, p.name+".log"))
	if err != nil {
		return err.Error()
	}
	all := strings.SplitAfter(string(log), "\n")
	return strings.Join(all[max(0, len(all)-lines-1):], "")
}

func (p *program) signal(s syscall.Signal) {
	if s == syscall.SIGKILL || s == syscall.SIGTERM {
		p.told.Store(true)
	}
	_ = p.cmd.Process.Signal(s) // It may have ended.
}

// end sends a signal that ends the program, and returns how long that took.
func (p *program) end(s syscall.Signal) time.Duration {
	began := time.Now()
	p.signal(s)
	<-p.ended
	return time.Since(began)
}
