package local

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"google.golang.org/protobuf/proto"

	"example.com/tidings/server/internal/engine"
)

const (
	// jumpBy is by how much sequences go on, once some of those that were given
	// out may be lost, where the clock is behind them.
	jumpBy = 1 << 32
	// jumpEpoch is 2025, in microseconds since 1970, and jumpRate the number of
	// events that a topic may have got in each since, more than it can. So of two
	// storages from one backup the later one begins where the first can't have
	// come to. Such sequences stay below 2^53, to which JavaScript counts, until
	// 2096.
	jumpEpoch = 1_735_689_600_000_000
	jumpRate  = 4
)

// beyond is where the sequences of a topic go on that may have come to any from
// an end on.
func beyond(end int64, now time.Time) int64 {
	if at := (now.UnixMicro() - jumpEpoch) * jumpRate; at > end {
		return at
	}
	return end + jumpBy
}

// jump makes every topic go on far above the sequences that it can have given
// out, since what the last of them were given to may be lost: so that none is
// given out twice, and who knows one of them is noticed. It is called before
// anybody else uses the storage. What it returns has a *engine.DamageError for
// each topic that doesn't go on, since where it ends can't be read.
func (e *Engine) jump(ctx context.Context, now time.Time) error {
	var failed []error
	topics := e.topics.states()
	holes := make(map[*topicLog][]engine.Hole, len(topics))
	for _, t := range topics {
		if err := e.loadTopic(t); err != nil {
			failed = append(failed, err)
			continue
		}
		holes[t] = withHole(t.seen.holes, engine.Hole{First: t.end, Next: beyond(t.end, now)})
	}
	err := e.committer.do(ctx, func(batch *pebble.Batch) error {
		for t, holes := range holes {
			last := holes[len(holes)-1]
			if err := batch.Set(numberKey(kindHole, t.uid, last.First), encodeNumber(last.Next), nil); err != nil {
				return err
			}
		}
		for t, holes := range holes {
			t.end = holes[len(holes)-1].Next
		}
		return nil
	}, func() {
		for t, holes := range holes {
			t.jumped(holes)
		}
	})
	return errors.Join(append(failed, err)...)
}

// renewTokens gives every subscription another key for its delivery tokens: what
// was delivered last may be forgotten, and its token would be that of a later
// delivery.
func (e *Engine) renewTokens(ctx context.Context) error {
	for _, s := range e.Subscriptions() {
		config := proto.CloneOf(s.Config)
		config.TokenKey = make([]byte, engine.TokenKeyBytes)
		rand.Read(config.GetTokenKey())
		if _, err := e.UpdateSubscription(ctx, s, config); err != nil {
			return err
		}
	}
	return nil
}

// jumped says that a topic has other holes, of which the last is at its end.
func (t *topicLog) jumped(holes []engine.Hole) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.seen.first == t.seen.end {
		t.seen.first = t.end
	}
	t.seen.end, t.seen.holes = t.end, holes
}

// withHole returns holes with another one, which is above them.
func withHole(holes []engine.Hole, hole engine.Hole) []engine.Hole {
	joined := make([]engine.Hole, 0, len(holes)+1)
	joined = append(joined, holes...)
	if n := len(joined); n > 0 && joined[n-1].Next == hole.First {
		joined[n-1].Next = hole.Next
		return joined
	}
	return append(joined, hole)
}
