package command

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

const (
	// progressAfter is how long a command runs before it shows its progress
	// without being asked to.
	progressAfter = time.Second
	redrawAfter   = 100 * time.Millisecond
)

// Console is standard error, shared by the messages of a running command and
// its progress bar. It is safe for concurrent use.
type Console struct {
	mu     sync.Mutex
	w      io.Writer
	bar    *progressbar.ProgressBar // nil until it is shown.
	show   bool
	showAt time.Time // Not drawn again before.
	size   int64     // Of the input, in bytes; -1: not known.
	bytes  int64     // Read.
	events int64     // Acknowledged.
}

// AddProgressFlag adds `--progress` to a command that reads events.
func AddProgressFlag(cmd *cobra.Command) {
	cmd.Flags().Bool("progress", false, "show progress on standard error (default: on a terminal, after a second)")
}

// NewConsole returns the console of a command without a progress bar.
func NewConsole(cmd *cobra.Command) *Console { return &Console{w: cmd.ErrOrStderr()} }

// NewProgress returns the console of a command that reads size bytes of input.
func NewProgress(cmd *cobra.Command, size int64) *Console {
	c := &Console{w: cmd.ErrOrStderr(), size: size}
	if flag := cmd.Flags().Lookup("progress"); flag.Changed {
		c.show = flag.Value.String() == "true"
		return c
	}
	file, ok := c.w.(*os.File)
	c.show = ok && term.IsTerminal(int(file.Fd()))
	c.showAt = time.Now().Add(progressAfter)
	return c
}

// Printf writes a line without tearing the progress bar.
func (c *Console) Printf(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bar != nil {
		_ = c.bar.Clear()
	}
	fmt.Fprintln(c.w, Printable(fmt.Sprintf(format, args...)))
}

// Write writes text of others, in whole lines, as Printf does.
func (c *Console) Write(text []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.w.Write(text)
}

// Read says how much of the input has been read.
func (c *Console) Read(bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bytes = bytes
	if now := time.Now(); c.show && now.After(c.showAt) {
		c.showAt = now.Add(redrawAfter)
		c.draw()
	}
}

// Acknowledged says how many more events the server has answered for.
func (c *Console) Acknowledged(events int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events += events
}

// draw shows the progress bar as it is now. What can't be drawn isn't worth
// failing for.
func (c *Console) draw() {
	if c.bar == nil {
		c.bar = progressbar.NewOptions64(c.size,
			progressbar.OptionSetWriter(c.w),
			progressbar.OptionShowBytes(true),
			progressbar.OptionUseIECUnits(true),
			progressbar.OptionSetPredictTime(true),
			progressbar.OptionSetWidth(30),
			// Otherwise a goroutine of the bar's draws between the messages.
			progressbar.OptionSetSpinnerChangeInterval(0),
		)
	}
	c.bar.Describe(Count(c.events, "event"))
	_ = c.bar.Set64(c.bytes)
}

// Close leaves the progress bar at its last state and ends its line.
func (c *Console) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bar == nil {
		return
	}
	c.draw()
	_ = c.bar.Exit()
	fmt.Fprintln(c.w)
	c.bar, c.show = nil, false
}
