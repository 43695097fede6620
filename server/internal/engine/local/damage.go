package local

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2"

	"example.com/tidings/server/internal/engine"
)

// maxDamages bounds the damages that are remembered to be told from new ones.
const maxDamages = 1000

// damages is what was found damaged since the start.
type damages struct {
	mu sync.Mutex
	// count is how often something was found.
	count int64
	// found holds what was found, each once, by the uid of the topic, or 0, and
	// the place.
	found map[damagePlace]*engine.DamageError
}

type damagePlace struct {
	uid   uint64
	place string
}

// damaged takes note of something damaged. t is nil where it belongs to no
// topic.
func (e *Engine) damaged(t *topicLog, place string, cause error) error {
	var uid uint64
	damage := &engine.DamageError{Place: place, Cause: cause}
	if t != nil {
		uid, damage.Topic = t.uid, t.name
	}
	e.damages.mu.Lock()
	defer e.damages.mu.Unlock()
	e.damages.count++
	key := damagePlace{uid, place}
	if e.damages.found[key] == nil && len(e.damages.found) < maxDamages {
		e.damages.found[key] = damage
		e.log.Error("the storage is damaged", "topic", damage.Topic, "place", place, "error", cause.Error())
	}
	return damage
}

// forget forgets a damage that isn't there any more.
func (d *damages) forget(uid uint64, place string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.found, damagePlace{uid, place})
}

// healed forgets what was damaged of a topic that is gone.
func (d *damages) healed(uid uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for key := range d.found {
		if key.uid == uid {
			delete(d.found, key)
		}
	}
}

// any returns something that was found damaged, or nil.
func (d *damages) any() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, damage := range d.found {
		return damage
	}
	return nil
}

func (d *damages) number() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.count
}

// errBroken says that something could be read, and isn't what is written there.
var errBroken = errors.New("it can't be so")

func broken(err error) error { return fmt.Errorf("%w: %w", errBroken, err) }

// failed turns an error of the store into one of package engine, having read
// something of a topic, or of none.
func (e *Engine) failed(t *topicLog, place string, err error) error {
	switch {
	case err == nil:
		return nil
	case isKnown(err):
		return err
	case t != nil && t.deleted.Load(): // What was looked for is gone with the topic.
		return engine.ErrTopicNotFound
	case pebble.IsCorruptionError(err), errors.Is(err, syscall.EIO), errors.Is(err, errBroken):
		return e.damaged(t, place, err)
	default:
		return fmt.Errorf("%w: %s: %w", engine.ErrUnavailable, place, err)
	}
}

// isKnown reports whether an error wraps one of package engine's, or is a
// context's.
func isKnown(err error) bool {
	return engine.IsKnown(err) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
