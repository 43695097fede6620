package jetstream

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/guard"
)

const (
	// leaderDoubt is after how long without an answer it is asked whether a stream
	// has a leader, leaderTimeout for how long that is waited for, and leaderWait
	// the time until it is asked again.
	leaderDoubt   = time.Second
	leaderTimeout = time.Second
	leaderWait    = 250 * time.Millisecond
	// leaderMemory is for how long it is remembered that there was none: what was
	// sent then may be asked about only now.
	leaderMemory = 3 * time.Second
)

// errLeader: the stream has had no leader meanwhile. What was sent to it before
// is answered by nobody.
var errLeader = fmt.Errorf("%w: the stream has another leader", engine.ErrUnavailable)

// leaders watches the streams whose leaders answer nothing, so that who waits for
// one that is gone, or hangs, can send again as soon as there is another.
type leaders struct {
	mu       sync.Mutex
	streams  map[string]*leaderWatch
	silent   map[string]time.Time // When a stream without a leader was last asked.
	watching guard.Group
}

// leaderWatch is kept over a stream while somebody waits for it.
type leaderWatch struct {
	changed chan struct{} // Closed once there is a leader after there was none.
	end     context.CancelFunc
	waiting int // Guarded by leaders.mu.
}

// acknowledged is wait for a message to a stream, which ends too when that has got
// another leader.
func (e *Engine) acknowledged(ctx context.Context, stream string, future jetstream.PubAckFuture) (*jetstream.PubAck, error) {
	soon, cancel := context.WithTimeout(ctx, leaderDoubt)
	ack, err := wait(soon, future)
	late := soon.Err() != nil && ctx.Err() == nil
	cancel()
	if err == nil || !late {
		return ack, err
	}
	w := e.watchLeader(stream)
	defer e.leaveLeader(stream, w)
	select {
	case <-w.changed:
		return nil, errLeader
	case ack := <-future.Ok():
		return ack, nil
	case err := <-future.Err():
		return nil, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (e *Engine) watchLeader(stream string) *leaderWatch {
	l := &e.leaders
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.streams[stream]
	if w == nil {
		ctx, cancel := context.WithCancel(context.Background())
		w = &leaderWatch{changed: make(chan struct{}), end: cancel}
		if l.streams == nil {
			l.streams = make(map[string]*leaderWatch)
		}
		l.streams[stream] = w
		l.watching.Go(func() error {
			if e.awaitLeader(ctx, stream) {
				close(w.changed)
			}
			l.forget(stream, w)
			return nil
		}, guard.Log(e.log, "watching a leader"))
	}
	w.waiting++
	return w
}

func (e *Engine) leaveLeader(stream string, w *leaderWatch) {
	l := &e.leaders
	l.mu.Lock()
	w.waiting--
	last := w.waiting == 0
	l.mu.Unlock()
	if last {
		l.forget(stream, w)
		w.end()
	}
}

// forget lets who waits from here on begin anew.
func (l *leaders) forget(stream string, w *leaderWatch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.streams[stream] == w {
		delete(l.streams, stream)
	}
}

// awaitLeader waits until a stream has a leader after it had none. It returns
// false where the context ends before.
func (e *Engine) awaitLeader(ctx context.Context, stream string) bool {
	for {
		led := e.led(ctx, stream)
		if ctx.Err() == nil && e.leaders.note(stream, led) {
			return true
		}
		select {
		case <-time.After(leaderWait):
		case <-ctx.Done():
			return false
		}
	}
}

// note notes whether a stream has a leader, and reports whether it has one after
// it had none.
func (l *leaders) note(stream string, led bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !led {
		if l.silent == nil {
			l.silent = make(map[string]time.Time)
		}
		l.silent[stream] = time.Now()
		return false
	}
	since, silent := l.silent[stream]
	if silent && time.Since(since) > leaderMemory {
		delete(l.silent, stream)
		silent = false
	}
	return silent
}

// led reports whether the leader of a stream answers.
func (e *Engine) led(ctx context.Context, stream string) bool {
	ctx, cancel := context.WithTimeout(ctx, leaderTimeout)
	defer cancel()
	reply, err := e.asks.conn.RequestWithContext(ctx, apiPrefix+"STREAM.INFO."+stream, nil)
	var response answer
	return err == nil && json.Unmarshal(reply.Data, &response) == nil && response.failure() == nil
}
