// Package guard keeps a panic from ending the process: whatever an input makes a
// library do, only the call that brought it fails. Every goroutine of the server
// and of the command is started here.
package guard

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
)

// Recover turns a panic into an error that has the stack. It is deferred.
func Recover(err *error) { //nolint:gocritic // A deferred function changes the result through it.
	if r := recover(); r != nil {
		*err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
	}
}

// Do calls f and returns its error, or one that has the stack where it panics.
func Do(f func() error) (err error) {
	defer Recover(&err)
	return f()
}

// Func returns a function that calls f as Do does.
func Func(f func() error) func() error {
	return func() error { return Do(f) }
}

// Go calls f in a goroutine of its own and then ended with its error, which has
// the stack where f panicked.
func Go(f func() error, ended func(error)) {
	go func() { ended(Do(f)) }()
}

// Group is goroutines that are waited for together.
type Group struct{ waiting sync.WaitGroup }

// Go is Go, in the group.
func (g *Group) Go(f func() error, ended func(error)) {
	g.waiting.Go(func() { ended(Do(f)) })
}

// Wait waits until every goroutine of the group has ended.
func (g *Group) Wait() { g.waiting.Wait() }

// Log returns what logs why a goroutine failed that nobody else is told of.
func Log(log *slog.Logger, doing string) func(error) {
	return func(err error) {
		if err != nil {
			log.Error(doing, "error", err)
		}
	}
}
