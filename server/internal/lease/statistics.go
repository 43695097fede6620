package lease

import tidingsv1 "example.com/tidings/gen/go/tidings/v1"

// Statistics is how far the consumers are with the tracked events.
type Statistics struct {
	// Leased counts the events that consumers have.
	Leased int
	// Retrying counts those that wait until they are delivered again.
	Retrying int
	// Blocked counts those that wait for an earlier one of their key.
	Blocked int
	// BlockedKeys counts the keys of these.
	BlockedKeys int
	// Oldest is the lowest sequence of all of these. 0: there is none.
	Oldest int64
	// LatestGap is the last events that retention removed before they were
	// settled. It must not be changed. nil: none were.
	LatestGap *tidingsv1.Gap
}

// Statistics counts the tracked events.
func (m *Machine) Statistics() Statistics {
	statistics := Statistics{
		Leased:      m.counts[leased],
		Retrying:    m.counts[waiting],
		Blocked:     m.counts[blocked],
		BlockedKeys: m.chains.blocking,
		LatestGap:   m.latestGap,
	}
	if m.ordering != tidingsv1.Ordering_ORDERING_KEY {
		// What was redriven waits for another event, but not for one of its key.
		statistics.Retrying += statistics.Blocked
		statistics.Blocked, statistics.BlockedKeys = 0, 0
	}
	for sequence, e := range m.entries {
		if e.state == dying || e.state == done {
			continue
		}
		if statistics.Oldest == 0 || sequence < statistics.Oldest {
			statistics.Oldest = sequence
		}
	}
	return statistics
}
