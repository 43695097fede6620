package client

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// TestPublishClose flushes what lingers, from several goroutines.
func TestPublishClose(t *testing.T) {
	overProtocols(t, PublisherOptions{Linger: time.Hour}, func(t *testing.T, p *Publisher, server *memoryServer, _ *fakeConn) {
		var results []*Result
		for i := range 50 {
			results = append(results, p.PublishAsync(t.Context(), textEvent(t, fmt.Sprint(i))))
		}
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				if err := p.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		for _, r := range results {
			if _, err := r.Get(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if _, err := p.Publish(t.Context(), textEvent(t, "late")); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		if got := len(server.contents()); got != 50 {
			t.Errorf("%d events are stored", got)
		}
	})
}

// TestPublishCloseGivesUp closes Publishers whose server doesn't answer, or isn't there.
func TestPublishCloseGivesUp(t *testing.T) {
	for name, dial := range protocols {
		for _, isThere := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%v", name, isThere), func(t *testing.T) {
				release, arrived := make(chan struct{}), make(chan struct{}, 1)
				defer close(release)
				c, conns := dial(t, &memoryServer{received: func(int, *tidingsv1.PublishRequest) error {
					arrived <- struct{}{}
					<-release
					return nil
				}})
				if !isThere {
					_ = conns.Close()
				}
				p := c.Publisher(PublisherOptions{MaxInFlightBytes: 500})
				sent := p.PublishAsync(t.Context(), textEvent(t, "sent"))
				if isThere {
					<-arrived
				}
				fresh := p.PublishAsync(t.Context(), textEvent(t, "not sent"))
				waiting := make(chan error)
				go func() {
					_, err := p.Publish(t.Context(), textEvent(t, strings.Repeat("no room", 100)))
					waiting <- err
				}()
				awaitState(t, p, func(q *publishQueue) bool { return len(q.waiting) == 1 })
				ctx, cancel := context.WithCancel(t.Context())
				closed := make(chan error)
				go func() { closed <- p.Close(ctx) }()
				if err := <-waiting; !errors.Is(err, ErrClosed) {
					t.Errorf("a call that waits for room: %v", err)
				}
				cancel()
				if err := <-closed; !errors.Is(err, ErrClosed) || !strings.Contains(err.Error(), "2 events") {
					t.Errorf("Close: %v", err)
				}
				if _, err := sent.Get(t.Context()); !errors.Is(err, ErrClosed) || errors.Is(err, ErrOutcomeUnknown) != isThere {
					t.Errorf("the event that was sent: %v", err)
				}
				if _, err := fresh.Get(t.Context()); !errors.Is(err, ErrClosed) || !isThere && errors.Is(err, ErrOutcomeUnknown) {
					t.Errorf("the event that waited: %v", err) // Close may have sent it.
				}
			})
		}
	}
}

// TestPublishLeavesNoGoroutines counts those with this package's code in them.
func TestPublishLeavesNoGoroutines(t *testing.T) {
	overProtocols(t, PublisherOptions{}, func(t *testing.T, p *Publisher, _ *memoryServer, conns *fakeConn) {
		for range 3 {
			if _, err := p.Publish(t.Context(), textEvent(t, "a")); err != nil {
				t.Error(err)
			}
			conns.breakAll()
		}
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
		for {
			stacks := make([]byte, 1<<20)
			stacks = stacks[:runtime.Stack(stacks, true)]
			if !strings.Contains(string(stacks), "client.(*Publisher)") {
				return
			}
			if t.Context().Err() != nil {
				t.Fatalf("goroutines are left:\n%s", stacks)
			}
			runtime.Gosched()
		}
	})
}

// TestPublishLingers sends an event after a while although an earlier batch is in flight.
func TestPublishLingers(t *testing.T) {
	overProtocols(t, PublisherOptions{Linger: time.Millisecond}, func(t *testing.T, p *Publisher, server *memoryServer, _ *fakeConn) {
		release := make(chan struct{})
		server.received = func(number int, _ *tidingsv1.PublishRequest) error {
			if number == 0 {
				<-release
			}
			return nil
		}
		first := p.PublishAsync(t.Context(), textEvent(t, "a"))
		awaitState(t, p, func(q *publishQueue) bool { return len(q.flight) == 1 })
		second := p.PublishAsync(t.Context(), textEvent(t, "b"))
		awaitState(t, p, func(q *publishQueue) bool { return len(q.flight) == 2 })
		close(release)
		for _, r := range []*Result{first, second} {
			if _, err := r.Get(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
}
