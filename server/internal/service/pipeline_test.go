package service

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// endless sends requests of a size as long as they are received.
type endless struct {
	size     int
	received int
}

func (e *endless) Receive([]byte) ([]byte, error) {
	e.received += e.size
	return make([]byte, e.size), nil
}

// A stream whose answers nobody reads is read no further than its bound, one request
// beyond it, and each answer makes room for as much as it was for.
func TestPipelineIsBounded(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name         string
		size, before int
	}{
		{"bytes", 1 << 20, 4 << 20},
		{"batches", 100, maxPipelined * 100},
		{"one larger than the bound", 5 << 20, 5 << 20},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer synctest.Wait()
				defer cancel()
				stream := &endless{size: test.size}
				p := &pipeline{
					service: &Service{draining: ctx, drain: ctx.Done()},
					lenient: true,
					parse:   func([]byte, *job) error { return errors.New("not a request") },
				}
				if err := p.run(ctx, stream); err != nil {
					t.Fatal(err)
				}
				answered, done := 0, errors.New("enough")
				if err := p.each(ctx, func(*tidingsv1.PublishResponse, error) error {
					synctest.Wait()
					if want := answered + test.before + test.size; stream.received != want {
						t.Errorf("%d bytes received after %d were answered, want %d", stream.received, answered, want)
					}
					if answered += test.size; answered == 3*test.size {
						return done
					}
					return nil
				}); !errors.Is(err, done) {
					t.Error(err)
				}
			})
		})
	}
}
