package telemetry

import "sync"

const (
	// MaxNames is how many topics, how many subscriptions, and how many pairs of
	// topic and event type have a label of their own.
	MaxNames = 500
	// Other is the label of all others. No topic, subscription or event type can
	// have it for its name.
	Other = "_other"
)

// names gives the first names that it is asked for a handle of their own, up to a
// bound, and all others one that they share.
type names[K comparable, H any] struct {
	most int
	// open returns the handle of a name, or with other the one that is shared.
	open func(name K, other bool) H
	// close forgets a handle of its own.
	close func(name K)

	mu     sync.RWMutex
	known  map[K]H
	shared *H // nil until it is needed.
}

// of returns the handle of a name.
func (n *names[K, H]) of(name K) H {
	n.mu.RLock()
	handle, ok := n.known[name]
	if !ok && n.shared != nil && len(n.known) >= n.most {
		handle, ok = *n.shared, true
	}
	n.mu.RUnlock()
	if ok {
		return handle
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if handle, ok := n.known[name]; ok {
		return handle
	}
	if len(n.known) < n.most {
		if n.known == nil {
			n.known = make(map[K]H)
		}
		handle := n.open(name, false)
		n.known[name] = handle
		return handle
	}
	if n.shared == nil {
		shared := n.open(name, true)
		n.shared = &shared
	}
	return *n.shared
}

// own reports whether a name has, or now gets, a handle of its own.
func (n *names[K, H]) own(name K) bool {
	n.of(name)
	n.mu.RLock()
	defer n.mu.RUnlock()
	_, ok := n.known[name]
	return ok
}

// keep forgets all names but some, so that others have room.
func (n *names[K, H]) keep(some []K) {
	kept := make(map[K]bool, len(some))
	for _, name := range some {
		kept[name] = true
	}
	n.forget(func(name K) bool { return !kept[name] })
}

// forget forgets the names that gone is true for.
func (n *names[K, H]) forget(gone func(K) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for name := range n.known {
		if gone(name) {
			delete(n.known, name)
			n.close(name)
		}
	}
}
