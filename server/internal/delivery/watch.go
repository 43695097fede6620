package delivery

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/proto"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/guard"

	replicav1 "example.com/tidings/server/internal/gen/tidings/replica/v1"
)

const (
	// pingWait is the time between two pings of an owner.
	pingWait = 500 * time.Millisecond
	// pingTimeout is after how long without a reply an owner is taken for dead.
	pingTimeout = 2 * time.Second
	// deadTime is for how long it is then not called again.
	deadTime = 3 * time.Second
)

// A watch pings an owner at another server while calls wait for it: one that
// dies or hangs answers nothing, and a call may wait for events for long.
type watch struct {
	// lost ends when the owner is taken for dead, or the watch is over.
	lost  context.Context //nolint:containedctx // It is the state of the owner.
	end   context.CancelFunc
	calls int // In flight. Guarded by Hub.mu.
}

// watched says which owner a watch is for.
type watched struct {
	uid   uint64
	owner string // Empty: whoever is found.
}

// whileWatched calls send with a context that ends too when the owner of a
// subscription doesn't answer pings any more, or another one does.
func (h *Hub) whileWatched(
	ctx context.Context, s *engine.Subscription, owner string, send func(context.Context) ([]byte, error),
) ([]byte, error) {
	of := watched{s.Config.GetUid(), owner}
	w := h.watch(s, of)
	if w == nil {
		return nil, ErrUnavailable
	}
	defer h.unwatch(of, w)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(w.lost, cancel)()
	return send(ctx)
}

// watch returns the watch of an owner, or nil where the hub is closed.
func (h *Hub) watch(s *engine.Subscription, of watched) *watch {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil
	}
	w := h.watches[of]
	if w == nil {
		w = new(watch)
		w.lost, w.end = context.WithCancel(context.Background())
		h.watches[of] = w
		h.ended.Go(func() error { return h.ping(s, of, w) }, guard.Log(h.log, "watching an owner"))
	}
	w.calls++
	return w
}

// unwatch ends a watch after the last call.
func (h *Hub) unwatch(of watched, w *watch) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w.calls--
	if w.calls == 0 {
		h.endWatch(of, w)
	}
}

// endWatch ends a watch. The caller holds Hub.mu.
func (h *Hub) endWatch(of watched, w *watch) {
	w.end()
	if h.watches[of] == w {
		delete(h.watches, of)
	}
}

// ping pings an owner until it doesn't answer, or the watch is over.
func (h *Hub) ping(s *engine.Subscription, of watched, w *watch) error {
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.endWatch(of, w)
	}()
	ping, err := proto.Marshal(&replicav1.OwnerRequest{Request: &replicav1.OwnerRequest_Ping{Ping: new(replicav1.Ping)}})
	if err != nil {
		return err
	}
	known := of.owner
	for {
		select {
		case <-time.After(pingWait):
		case <-w.lost.Done():
			return nil
		}
		ctx, cancel := context.WithTimeout(w.lost, pingTimeout)
		reply, err := h.engine.Call(ctx, s, ping)
		cancel()
		if err != nil {
			if w.lost.Err() == nil && !errors.Is(err, engine.ErrUnavailable) {
				h.markDead(of.uid)
			}
			return nil // So it is lost.
		}
		response := new(replicav1.OwnerResponse)
		if err := proto.Unmarshal(reply, response); err != nil {
			return err
		}
		// A server of an earlier release has no name, and doesn't know the request.
		name := response.GetOwner()
		if response.GetError() == replicav1.OwnerError_OWNER_ERROR_MOVED || known != "" && name != "" && name != known {
			return nil
		}
		if known == "" {
			known = name
		}
	}
}

// markDead remembers that the owner of a subscription doesn't answer.
func (h *Hub) markDead(uid uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dead[uid] = time.Now()
}

// deadOwner reports whether the owner of a subscription was taken for dead a short
// time ago, and no call has followed from that yet.
func (h *Hub) deadOwner(s *engine.Subscription) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	since, dead := h.dead[s.Config.GetUid()]
	delete(h.dead, s.Config.GetUid())
	return dead && time.Since(since) < deadTime
}
