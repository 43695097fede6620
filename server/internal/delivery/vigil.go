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
	// pingTimeout is after how long without an answer an owner is taken for dead.
	pingTimeout = 2 * time.Second
	// deadTime is for how long it is then not asked again.
	deadTime = 3 * time.Second
)

// vigil is kept while an owner at another server is being asked: one that dies
// or hangs answers nothing, and a question may wait for events for long.
type vigil struct {
	// lost ends when the owner is taken for dead, or the vigil is over.
	lost   context.Context //nolint:containedctx // It is the state of the owner.
	end    context.CancelFunc
	asking int // Questions that are under way. Guarded by Hub.mu.
}

// watched says over whom a vigil is kept.
type watched struct {
	uid   uint64
	owner string // Empty: whoever is found.
}

// askWatched calls ask with a context that ends too when the owner of a
// subscription doesn't answer pings any more, or another one does.
func (h *Hub) askWatched(ctx context.Context, s *engine.Subscription, owner string, ask func(context.Context) ([]byte, error)) ([]byte, error) {
	w := watched{s.Config.GetUid(), owner}
	v := h.vigil(s, w)
	if v == nil {
		return nil, ErrUnavailable
	}
	defer h.relieve(w, v)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(v.lost, cancel)()
	return ask(ctx)
}

// vigil returns the vigil over an owner, or nil where the hub is closed.
func (h *Hub) vigil(s *engine.Subscription, w watched) *vigil {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil
	}
	v := h.vigils[w]
	if v == nil {
		v = new(vigil)
		v.lost, v.end = context.WithCancel(context.Background())
		h.vigils[w] = v
		h.ended.Go(func() error { return h.keepVigil(s, w, v) }, guard.Log(h.log, "watching an owner"))
	}
	v.asking++
	return v
}

// relieve ends a vigil when nobody asks any more.
func (h *Hub) relieve(w watched, v *vigil) {
	h.mu.Lock()
	defer h.mu.Unlock()
	v.asking--
	if v.asking == 0 {
		h.endVigil(w, v)
	}
}

func (h *Hub) endVigil(w watched, v *vigil) {
	v.end()
	if h.vigils[w] == v {
		delete(h.vigils, w)
	}
}

// keepVigil pings the owner until it doesn't answer, or the vigil is over.
func (h *Hub) keepVigil(s *engine.Subscription, w watched, v *vigil) error {
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.endVigil(w, v)
	}()
	ping, err := proto.Marshal(&replicav1.OwnerRequest{Request: &replicav1.OwnerRequest_Ping{Ping: new(replicav1.Ping)}})
	if err != nil {
		return err
	}
	known := w.owner
	for {
		select {
		case <-time.After(pingWait):
		case <-v.lost.Done():
			return nil
		}
		ctx, cancel := context.WithTimeout(v.lost, pingTimeout)
		answer, err := h.engine.Ask(ctx, s, ping)
		cancel()
		if err != nil {
			if v.lost.Err() == nil && !errors.Is(err, engine.ErrUnavailable) {
				h.takeForDead(w.uid)
			}
			return nil // So it is lost.
		}
		response := new(replicav1.OwnerResponse)
		if err := proto.Unmarshal(answer, response); err != nil {
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

// takeForDead remembers that the owner of a subscription doesn't answer.
func (h *Hub) takeForDead(uid uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dead[uid] = time.Now()
}

// deadOwner reports whether the owner of a subscription was taken for dead a short
// time ago, and no question has followed from that yet.
func (h *Hub) deadOwner(s *engine.Subscription) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	since, dead := h.dead[s.Config.GetUid()]
	delete(h.dead, s.Config.GetUid())
	return dead && time.Since(since) < deadTime
}
