package lease

import (
	"slices"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// unchained is the chain of events that come in no order.
const unchained = 0

// chains are the runs of events of which one at a time is unsettled: those of a
// key, or all. A chain is there while one of its events is leased or waits for
// its time: its current one. Its other tracked events are blocked.
type chains struct {
	// blocked are the sequences behind the current one, ascending.
	blocked map[uint64][]int64
	// blocking counts the chains with a blocked event.
	blocking int
}

func newChains() chains {
	return chains{blocked: map[uint64][]int64{}}
}

// chainOf returns the chain of an event with the hash of a key.
func (m *Machine) chainOf(key uint64) uint64 {
	switch m.ordering {
	case tidingsv1.Ordering_ORDERING_KEY:
		return key
	case tidingsv1.Ordering_ORDERING_TOTAL:
		return 1
	default:
		return unchained
	}
}

// keyOf returns what of the hash of a key is kept.
func (m *Machine) keyOf(key uint64) uint64 {
	if m.ordering == tidingsv1.Ordering_ORDERING_KEY {
		return key
	}
	return 0
}

// taken reports whether a chain has a current event.
func (c *chains) taken(chain uint64) bool {
	if chain == unchained {
		return false
	}
	_, taken := c.blocked[chain]
	return taken
}

// take makes an event the current one of a chain that has none.
func (c *chains) take(chain uint64) {
	if chain != unchained {
		c.blocked[chain] = nil
	}
}

// block puts an event behind the current one.
func (c *chains) block(chain uint64, sequence int64) {
	behind := c.blocked[chain]
	if len(behind) == 0 {
		c.blocking++
	}
	at := len(behind) // New events come in order; what is redriven doesn't.
	if at > 0 && sequence < behind[at-1] {
		at, _ = slices.BinarySearch(behind, sequence)
	}
	c.blocked[chain] = slices.Insert(behind, at, sequence)
}

// unblock takes an event out that was behind the current one.
func (c *chains) unblock(chain uint64, sequence int64) {
	behind := c.blocked[chain]
	at, found := slices.BinarySearch(behind, sequence)
	if !found {
		return
	}
	if at == 0 {
		behind = behind[1:]
	} else {
		behind = slices.Delete(behind, at, at+1)
	}
	if len(behind) == 0 {
		c.blocking--
		behind = nil
	}
	c.blocked[chain] = behind
}

// leave ends the turn of the current event. It returns the one whose turn it
// is, if there is one: the lowest that was behind.
func (c *chains) leave(chain uint64) (sequence int64, ok bool) {
	if chain == unchained {
		return 0, false
	}
	behind := c.blocked[chain]
	if len(behind) == 0 {
		delete(c.blocked, chain)
		return 0, false
	}
	c.unblock(chain, behind[0])
	return behind[0], true
}
