package delivery

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/tidings/server/internal/engine"

	replicav1 "example.com/tidings/server/internal/gen/tidings/replica/v1"
)

const (
	// replyTimeout bounds how long an owner takes, beyond the wait that it was
	// asked for. One that takes longer is taken for dead.
	replyTimeout = writeTimeout + time.Second
	// resendAfter is after how long a request that may be repeated is sent again.
	resendAfter = time.Second
	// movedWait is the time between calls of an owner that isn't one.
	movedWait = 20 * time.Millisecond
	// movedTries is how often a request is sent before it fails.
	movedTries = 100
)

// call calls the owner of a subscription, which this server becomes if there is
// none. A request of a session fails with ErrUnavailable when the owner
// changes; any other is sent again.
func (h *Hub) call(ctx context.Context, s *engine.Subscription, r request) (*response, error) {
	var last error
	for range movedTries {
		response, err := h.callOnce(ctx, s, r)
		if err == nil {
			err = response.err
		}
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err == nil:
			return response, nil
		case !errors.Is(err, ErrUnavailable), belongsToSession(r):
			return nil, err
		}
		last = err
		select {
		case <-time.After(movedWait):
		case <-h.quit:
			return nil, ErrUnavailable
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return nil, last
}

func (h *Hub) callOnce(ctx context.Context, s *engine.Subscription, r request) (*response, error) {
	if o := h.owned(s); o != nil {
		return o.mailbox.call(ctx, r)
	}
	// A session's request is answered by who has the session. That is no
	// reason to become the owner.
	if h.engine.Exclusive() {
		if belongsToSession(r) {
			return nil, ErrUnavailable
		}
		return h.own(ctx, s, r)
	}
	if !belongsToSession(r) && h.deadOwner(s) {
		return h.own(ctx, s, r)
	}
	return h.callReplica(ctx, s, r)
}

// callReplica calls the owner at another server, or this server's where there
// is none.
func (h *Hub) callReplica(ctx context.Context, s *engine.Subscription, r request) (*response, error) {
	message, limit := r.encode(), bound(r)
	message.Timeout = durationpb.New(limit)
	encoded, err := proto.Marshal(message)
	if err != nil {
		return nil, err
	}
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	reply, err := h.whileWatched(bounded, s, message.GetOwner(), func(ctx context.Context) ([]byte, error) {
		return h.send(ctx, s, encoded, repeatable(r))
	})
	switch {
	case err == nil:
		received := new(replicav1.OwnerResponse)
		if err := proto.Unmarshal(reply, received); err != nil {
			return nil, err
		}
		return decodeResponse(received), nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case belongsToSession(r):
		return nil, ErrUnavailable
	case errors.Is(err, engine.ErrUnavailable):
		return nil, errors.Join(ErrUnavailable, err)
	default: // There is no owner, or it doesn't answer.
		return h.own(ctx, s, r)
	}
}

// send sends a request, again and again where it may be repeated: the first may
// have come to an owner that died, while another one is there by now.
func (h *Hub) send(ctx context.Context, s *engine.Subscription, encoded []byte, repeatable bool) ([]byte, error) {
	for repeatable {
		bounded, cancel := context.WithTimeout(ctx, resendAfter)
		reply, err := h.engine.Call(bounded, s, encoded)
		timedOut := bounded.Err() != nil && ctx.Err() == nil
		cancel()
		if err == nil || !timedOut {
			return reply, err
		}
	}
	return h.engine.Call(ctx, s, encoded)
}
