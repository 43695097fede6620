package consume

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"example.com/tidings/client"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/server/internal/cli/command"
)

// The delays before a type is asked for again: each twice the one before, up to the
// last.
const (
	firstTypeDelay = 250 * time.Millisecond
	lastTypeDelay  = 10 * time.Second
)

// deliveryLines writes deliveries as lines of JSON. It is safe for concurrent
// use.
type deliveryLines struct {
	eventsOnly bool

	mu    sync.Mutex
	types *command.PayloadTypes
}

// line returns a delivery as a line. Where the server can't tell a payload's
// type just now, it waits until it can or ctx ends.
func (l *deliveryLines) line(ctx context.Context, delivery *tidingsv1.Delivery) ([]byte, error) {
	var message proto.Message = delivery.GetRecorded().GetEvent()
	if !l.eventsOnly {
		// Without the token and the deadline: settling isn't the reader's.
		message = &tidingsv1.Delivery{
			Recorded:       delivery.GetRecorded(),
			Attempt:        delivery.GetAttempt(),
			LastNackReason: delivery.GetLastNackReason(),
			Redriven:       delivery.GetRedriven(),
		}
	}
	for wait := firstTypeDelay; ; wait = min(2*wait, lastTypeDelay) {
		text, err := l.text(ctx, message)
		if err == nil {
			return append(text, '\n'), nil
		}
		if !client.Retryable(err) || ctx.Err() != nil {
			return nil, fmt.Errorf("the event with sequence %d: %w", delivery.GetRecorded().GetSequence(), err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

func (l *deliveryLines) text(ctx context.Context, message proto.Message) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return command.ToJSON(ctx, l.types, message)
}

// deliveryPrinter is the handler that prints events. One at a time: lines are
// printed in the order of the deliveries, and whether a line was written is
// known before its event is acknowledged.
type deliveryPrinter struct {
	lines *deliveryLines
	out   io.Writer
}

func (p *deliveryPrinter) handle(ctx context.Context, delivery *tidingsv1.Delivery) (settled, failed error) {
	line, err := p.lines.line(ctx, delivery)
	if err != nil {
		return notBegun(ctx, err)
	}
	if _, err := p.out.Write(line); err != nil {
		return client.Release(0, nil), fmt.Errorf("writing standard output: %w", err)
	}
	return nil, nil
}

func (*deliveryPrinter) abort() {}

// notBegun is what becomes of an event that couldn't be begun: it is released.
// err ends the run, unless that is ending already.
func notBegun(ctx context.Context, err error) (settled, failed error) {
	if ctx.Err() != nil {
		err = nil
	}
	return client.Release(0, nil), err
}
