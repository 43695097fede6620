package clustertest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// pace is the time between the batches of a writer.
const pace = 80 * time.Millisecond

// writer publishes to a topic, each batch until it has its receipts.
type writer struct {
	load   *load
	number int
	topic  *topicLog
	seat   seat
	count  int
	pulse  pulse
}

// batch returns the next batch.
func (w *writer) batch() *batch {
	return w.topic.batch(1+rand.IntN(4), func(int) *tidingsv1.Event { //nolint:gosec // Not a secret.
		w.count++
		return event(fmt.Sprint(w.number, "-", w.count))
	})
}

func (w *writer) replica() *replica { return w.seat.of(w.load.replicas) }

func (w *writer) stored(b *batch, response *tidingsv1.PublishResponse) {
	w.pulse.beat()
	if err := w.topic.stored(b, response.GetReceipts()); err != nil {
		w.load.t.Error(err)
	}
}

// writeCalls publishes with a call for each batch, and repeats some.
func (w *writer) writeCalls(ctx context.Context) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-w.load.stopping:
			return
		case <-ctx.Done():
			return
		}
		b := w.batch()
		for !w.publish(ctx, w.replica(), b) {
			w.seat.move()
			if !pause(ctx, again) {
				return
			}
		}
		if rand.IntN(20) == 0 { //nolint:gosec // Not a secret.
			// What another replica stored is known to this one.
			w.publish(ctx, w.load.replicas[(w.seat.at+1)%members], b)
		}
	}
}

// publish sends a batch once and reports whether it is stored.
func (w *writer) publish(ctx context.Context, r *replica, b *batch) bool {
	call, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	response, err := r.publisher().Publish(call, &tidingsv1.PublishRequest{Topic: w.topic.name, Events: b.events})
	if err != nil {
		w.load.failed("Publish", err)
		return false
	}
	w.stored(b, response)
	return true
}

// writeStreams publishes on streams, several batches at once.
func (w *writer) writeStreams(ctx context.Context) {
	var unanswered []*batch
	for ctx.Err() == nil {
		err := w.writeStream(ctx, &unanswered)
		if err == nil {
			return
		}
		if errors.Is(err, errSeat) {
			continue
		}
		if !errors.Is(err, errBatch) {
			w.load.failed("PublishStream", err)
		}
		w.seat.move()
		pause(ctx, again)
	}
}

var (
	// errBatch: a batch has to be sent again.
	errBatch = errors.New("a batch wasn't stored")
	// errSeat: the writer goes back to its own replica.
	errSeat = errors.New("at another replica")
)

// writeStream publishes on one stream, first what wasn't answered before. It
// returns nil once everything is answered and nothing more to be sent.
func (w *writer) writeStream(ctx context.Context, unanswered *[]*batch) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(patience, cancel)
	defer silence.Stop()
	stream, err := w.replica().publisher().PublishStream(ctx)
	if err != nil {
		return err
	}
	send := func(b *batch) error {
		return stream.Send(&tidingsv1.PublishStreamRequest{Publish: &tidingsv1.PublishRequest{Topic: w.topic.name, Events: b.events}})
	}
	for _, b := range *unanswered {
		if err := send(b); err != nil {
			break // The answers say why.
		}
	}
	done := make(chan struct{})
	defer close(done)
	answers := receiveAll(done, stream.Recv)
	tick := time.NewTicker(pace)
	defer tick.Stop()
	stopping := w.load.stopping
	for {
		select {
		case a := <-answers:
			if a.err != nil {
				return a.err
			}
			if err := w.answered(a.message, unanswered); err != nil {
				return err
			}
			silence.Reset(patience)
		case <-tick.C:
			if len(*unanswered) == 0 {
				if w.seat.homesick() {
					return errSeat
				}
				silence.Reset(patience)
			}
			if stopping != nil && len(*unanswered) < 4 && !w.seat.homesick() {
				b := w.batch()
				*unanswered = append(*unanswered, b)
				_ = send(b) // The answers say why.
			}
		case <-stopping:
			stopping = nil
		}
		if stopping == nil && len(*unanswered) == 0 {
			return nil
		}
	}
}

// answered takes the answer to the first batch that isn't answered.
func (w *writer) answered(response *tidingsv1.PublishStreamResponse, unanswered *[]*batch) error {
	if fault := response.GetError(); fault != nil {
		w.load.count("batch of PublishStream", codes.Code(fault.GetCode()), strings.TrimPrefix(fault.GetReason().String(), "ERROR_REASON_"), fault.GetMessage())
		return errBatch
	}
	w.stored((*unanswered)[0], response.GetPublished())
	*unanswered = (*unanswered)[1:]
	return nil
}

// received is what a stream gave.
type received[M any] struct {
	message M
	err     error
}

// receiveAll receives until the stream fails, or until nobody asks any more.
func receiveAll[M any](done <-chan struct{}, receive func() (M, error)) <-chan received[M] {
	messages := make(chan received[M])
	go func() {
		for {
			message, err := receive()
			select {
			case messages <- received[M]{message, err}:
			case <-done:
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return messages
}
