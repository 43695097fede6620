package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// TestPublishPastASilentServer has a server take a batch and not answer it: it is sent
// again on another stream, and stored once.
func TestPublishPastASilentServer(t *testing.T) {
	overProtocols(t, PublisherOptions{AnswerTimeout: 100 * time.Millisecond}, func(t *testing.T, p *Publisher, server *memoryServer, _ *fakeConn) {
		release := make(chan struct{})
		server.received = func(number int, _ *tidingsv1.PublishRequest) error {
			if number == 0 {
				<-release
			}
			return nil
		}
		receipts, err := p.Publish(t.Context(), textEvent(t, "first"), textEvent(t, "second"))
		close(release)
		if err != nil || len(receipts) != 2 {
			t.Errorf("%v, %v", receipts, err)
		}
		if _, err := p.Publish(t.Context(), textEvent(t, "third")); err != nil {
			t.Error(err)
		}
		if got := server.contents(); !slices.Equal(got, []string{"first", "second", "third"}) {
			t.Errorf("stored: %q", got)
		}
		server.mu.Lock()
		defer server.mu.Unlock()
		if server.calls < 2 {
			t.Errorf("%d calls", server.calls)
		}
	})
}

// silentCalls answer nothing in their first calls, and each batch after a while in later
// ones.
type silentCalls struct {
	echoCalls

	silent  int
	accepts bool // What is sent in a silent call; otherwise sending waits for its end.
	delay   time.Duration

	mu   sync.Mutex
	made int
}

func (c *silentCalls) publishStream(ctx context.Context) (publishStream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.made++
	stream, err := c.echoCalls.publishStream(ctx)
	if c.made <= c.silent {
		return &silentStream{ctx, stream, c.accepts}, err
	}
	return &slowStream{stream, c.delay}, err
}

type silentStream struct {
	ctx context.Context //nolint:containedctx // A stream is a call.
	publishStream

	accepts bool
}

func (s *silentStream) Send(*tidingsv1.PublishStreamRequest) error {
	if s.accepts {
		return nil
	}
	<-s.ctx.Done()
	return s.ctx.Err()
}

func (s *silentStream) Recv() (*tidingsv1.PublishStreamResponse, error) {
	<-s.ctx.Done()
	return nil, grpcError(s.ctx.Err())
}

type slowStream struct {
	publishStream

	delay time.Duration
}

func (s *slowStream) Recv() (*tidingsv1.PublishStreamResponse, error) {
	response, err := s.publishStream.Recv()
	<-time.After(s.delay)
	return response, err
}

// TestPatienceOfAPublisher says exactly how long it waits: AnswerTimeout for each answer,
// and forever while nothing is in flight.
func TestPatienceOfAPublisher(t *testing.T) {
	for _, accepts := range []bool{true, false} {
		t.Run(fmt.Sprintf("accepts %t", accepts), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := &silentCalls{silent: 2, accepts: accepts, delay: defaultAnswerTimeout - time.Second}
				p := (&Client{calls: server}).Publisher(PublisherOptions{Topic: "texts", MaxBatchEvents: 1})
				begun := time.Now()
				var results []*Result
				for range 3 {
					results = append(results, p.PublishAsync(t.Context(), textEvent(t, "text")))
				}
				for _, r := range results {
					if _, err := r.Get(t.Context()); err != nil {
						t.Error(err)
					}
				}
				least := 2*defaultAnswerTimeout + 3*server.delay
				if took := time.Since(begun); took < least || took > least+3*firstBackOff {
					t.Errorf("answered after %s", took)
				}
				<-time.After(time.Hour)
				if _, err := p.Publish(t.Context(), textEvent(t, "text")); err != nil {
					t.Error(err)
				}
				if server.made != 3 {
					t.Errorf("%d calls", server.made)
				}
				if err := p.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestPublishGivesUpOnASilentServer ends with its context, and Close with its.
func TestPublishGivesUpOnASilentServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := (&Client{calls: &silentCalls{silent: 1000}}).Publisher(PublisherOptions{Topic: "texts", AnswerTimeout: time.Second})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := p.Publish(ctx, textEvent(t, "text")); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrOutcomeUnknown) {
			t.Error(err)
		}
		if err := p.Close(ctx); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
}
