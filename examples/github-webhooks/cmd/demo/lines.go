package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// line is what a worker writes about an event that it handled.
type line struct {
	Worker     string `json:"worker"`
	Sequence   int64  `json:"sequence"`
	Attempt    int32  `json:"attempt"`
	Repository string `json:"repository"`
}

// lines are being read while the workers write them.
type lines struct {
	nth  chan string   // gets the worker that wrote the nth line
	done chan struct{} // closed when there are no more

	// For after done is closed.
	read []line
	err  error
}

// readLines reads to the end, whatever it finds, because the workers would wait
// for a reader.
func readLines(from io.Reader, nth int) *lines {
	l := &lines{nth: make(chan string, 1), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		in := bufio.NewReader(from)
		for {
			text, err := in.ReadBytes('\n')
			if err == nil {
				l.add(text, nth)
				continue
			}
			if !errors.Is(err, io.EOF) {
				l.err = errors.Join(l.err, err)
			} else if len(text) > 0 {
				l.err = errors.Join(l.err, fmt.Errorf("the workers wrote half a line: %q", text))
			}
			return
		}
	}()
	return l
}

func (l *lines) add(text []byte, nth int) {
	var read line
	if err := json.Unmarshal(text, &read); err != nil {
		l.err = errors.Join(l.err, fmt.Errorf("the workers wrote %q: %w", text, err))
		return
	}
	l.read = append(l.read, read)
	if len(l.read) == nth {
		l.nth <- read.Worker
	}
}

// all waits for the end and gives all lines.
func (l *lines) all() ([]line, error) {
	<-l.done
	return l.read, l.err
}
