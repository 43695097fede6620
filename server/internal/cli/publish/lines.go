package publish

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"example.com/tidings/server/internal/guard"
)

// maxLineBytes bounds a line of input. No request is larger in protobuf, and
// JSON doesn't make it so many times larger.
const maxLineBytes = 256 << 20

// line is a line of input that isn't blank.
type line struct {
	number int64 // From 1.
	text   []byte
	end    int64 // How many bytes of the input have been read with it.
}

// lineSource reads lines from a file or a stream.
type lineSource struct {
	name  string
	size  int64 // In bytes; -1 where it isn't known.
	close func()
	// terminal says that somebody types the lines.
	terminal bool

	lines chan line
	err   error // Why lines was closed. nil: the input has ended.
}

// openLines opens the input that a command was given: a file, or standard input
// for `-`. The caller closes it.
func openLines(stdin io.Reader, name string) (*lineSource, error) {
	input, source := stdin, &lineSource{name: "standard input", size: -1, lines: make(chan line)}
	done := make(chan struct{})
	source.close = func() { close(done) }
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		input, source.name = file, name
		source.close = func() {
			close(done)
			_ = file.Close()
		}
	}
	if file, ok := input.(*os.File); ok {
		if stat, err := file.Stat(); err == nil && stat.Mode().IsRegular() {
			source.size = stat.Size()
		}
		source.terminal = term.IsTerminal(int(file.Fd()))
	}
	// Nobody waits for this goroutine: reading from a terminal or a pipe can't
	// be interrupted, and a command that was must not hang there. It ends when
	// what it waits for comes, or with the process.
	guard.Go(func() error { return source.read(input, done) }, func(err error) {
		source.err = err
		close(source.lines)
	})
	return source, nil
}

func (s *lineSource) read(input io.Reader, done <-chan struct{}) error {
	scanner := bufio.NewScanner(input)
	scanner.Buffer(make([]byte, 64<<10), maxLineBytes)
	var number, end int64
	scanner.Split(func(data []byte, atEOF bool) (int, []byte, error) {
		advance, token, err := bufio.ScanLines(data, atEOF)
		if end == 0 { // Editors on Windows begin files with it.
			token = bytes.TrimPrefix(token, []byte("\ufeff"))
		}
		end += int64(advance)
		return advance, token, err
	})
	for scanner.Scan() {
		number++
		if len(bytes.TrimSpace(scanner.Bytes())) == 0 {
			continue
		}
		select {
		case s.lines <- line{number, bytes.Clone(scanner.Bytes()), end}:
		case <-done:
			return nil
		}
	}
	err := scanner.Err()
	if errors.Is(err, bufio.ErrTooLong) {
		err = fmt.Errorf("line %d of %s is longer than %d bytes", number+1, s.name, maxLineBytes)
	}
	return err
}

// next returns the next line that isn't blank. After the last it returns io.EOF.
func (s *lineSource) next(ctx context.Context) (line, error) {
	// Without this, input that is always ready would hide an interruption.
	if err := ctx.Err(); err != nil {
		return line{}, err
	}
	select {
	case l, ok := <-s.lines:
		switch {
		case ok:
			return l, nil
		case s.err != nil:
			return line{}, s.err
		default:
			return line{}, io.EOF
		}
	case <-ctx.Done():
		return line{}, ctx.Err()
	}
}
