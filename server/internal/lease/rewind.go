package lease

import (
	"slices"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// Rewind goes back to a position because the events from there on are lost, and
// others will have their sequences. What is tracked before it is to be
// delivered again, and no Ref from before settles anything. It is in no change of
// the journal: Snapshot has to follow.
func (m *Machine) Rewind(position int64, gap *tidingsv1.Gap, now int64) {
	kept := slices.DeleteFunc(m.inOrder(), func(e *entry) bool { return e.sequence >= position })
	outcomes := m.outcomes.all()
	m.clear()
	m.generation++
	m.position, m.started, m.latestGap = position, position, gap
	for _, e := range kept {
		chain := m.chainOf(e.key)
		switch {
		case e.state == dying, e.state == done:
		case m.chains.taken(chain):
			e.state = blocked
			m.chains.block(chain, e.sequence)
		default:
			if e.state != waiting {
				e.state, e.due = waiting, now
			}
			e.holder, e.size = 0, 0
			m.chains.take(chain)
		}
		m.add(e)
	}
	for _, run := range outcomes {
		for _, o := range run {
			if o.sequence < position {
				m.outcomes.append(o)
			}
		}
	}
}
