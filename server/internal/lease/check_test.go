package lease

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// dump returns all that a machine knows but the order of its queues, to be
// compared. Without holders it leaves out what no journal holds.
func dump(m *Machine, holders bool) []string {
	lines := []string{
		fmt.Sprintf("generation %d position %d used %d gap %v", m.generation, m.position, m.usedAt, m.latestGap),
		fmt.Sprintf("not before %v", m.notBefore.AsTime()),
		fmt.Sprintf("sought %q from %d", m.sought.GetId(), m.sought.GetPrevious()),
		fmt.Sprintf("blocking %d", m.chains.blocking),
	}
	for _, sequence := range slices.Sorted(maps.Keys(m.entries)) {
		e := *m.entries[sequence]
		e.index, e.ready = 0, false
		if !holders {
			e.holder, e.size = 0, 0
		}
		lines = append(lines, fmt.Sprintf("entry %+v", e))
	}
	for _, key := range slices.Sorted(maps.Keys(m.chains.blocked)) {
		lines = append(lines, fmt.Sprintf("chain %d %v", key, m.chains.blocked[key]))
	}
	for _, e := range m.filing {
		lines = append(lines, fmt.Sprintf("filing %d", e.sequence))
	}
	for _, run := range m.outcomes.all() {
		for _, o := range run {
			lines = append(lines, fmt.Sprintf("outcome %+v", o))
		}
	}
	return lines
}

// pending returns how much a machine has for its journal.
func pending(m *Machine) string {
	return fmt.Sprint(m.journal.moved, m.journal.gap, m.journal.changes)
}

// checkMachine returns what is wrong with a machine in itself, whatever was
// done to it.
func checkMachine(m *Machine) error {
	var counts [states]int
	var waits, ready, leases, filing int
	current := map[uint64]int{}
	behind := map[uint64][]int64{}
	for _, sequence := range slices.Sorted(maps.Keys(m.entries)) {
		e := m.entries[sequence]
		if e.sequence != sequence {
			return fmt.Errorf("%d is stored as %d", e.sequence, sequence)
		}
		counts[e.state]++
		in := queue(nil)
		switch e.state {
		case leased:
			in, leases = m.leases, leases+1
		case waiting:
			if e.ready {
				in, ready = m.ready, ready+1
			} else {
				in, waits = m.waits, waits+1
			}
		case blocked:
			behind[m.chainOf(e.key)] = append(behind[m.chainOf(e.key)], sequence)
		case dying, done:
			filing++
		default:
			return fmt.Errorf("%d is in state %v", sequence, e.state)
		}
		if e.state == leased || e.state == waiting {
			current[m.chainOf(e.key)]++
			if int(e.index) >= len(in) || in[e.index].entry != e || in[e.index].sequence != sequence {
				return fmt.Errorf("%d isn't in its queue", sequence)
			}
			if rank := in[e.index].rank; rank != e.due && !e.ready {
				return fmt.Errorf("%d, due at %d, has rank %d", sequence, e.due, rank)
			}
		}
	}
	if counts != m.counts {
		return fmt.Errorf("counts %v, want %v", m.counts, counts)
	}
	if waits != len(m.waits) || ready != len(m.ready) || leases != len(m.leases) || filing != len(m.filing) {
		return fmt.Errorf("%d %d %d %d in the queues, want %d %d %d %d",
			len(m.waits), len(m.ready), len(m.leases), len(m.filing), waits, ready, leases, filing)
	}
	for _, q := range []queue{m.leases, m.waits, m.ready} {
		for i := range q {
			if parent := (i - 1) / 2; i > 0 && q[i].before(&q[parent]) {
				return fmt.Errorf("queue is out of order at %d", i)
			}
		}
	}
	return checkChains(m, current, behind)
}

// checkChains checks that of each chain one event is current, and that the
// others are behind it.
func checkChains(m *Machine, current map[uint64]int, behind map[uint64][]int64) error {
	blocking := 0
	for chain, sequences := range behind {
		blocking++
		if !slices.Equal(m.chains.blocked[chain], sequences) {
			return fmt.Errorf("chain %d has %v, want %v", chain, m.chains.blocked[chain], sequences)
		}
	}
	if m.chains.blocking != blocking {
		return fmt.Errorf("%d chains with blocked events, want %d", m.chains.blocking, blocking)
	}
	for chain := range m.chains.blocked {
		if current[chain] != 1 {
			return fmt.Errorf("chain %d has %d current events", chain, current[chain])
		}
	}
	for chain, events := range current {
		if chain != unchained && (events != 1 || !m.chains.taken(chain)) {
			return fmt.Errorf("%d unsettled events of chain %d", events, chain)
		}
	}
	return nil
}

// checkAgainst compares a machine with the model.
func checkAgainst(m *Machine, want *model) error {
	if m.generation != want.generation || m.position != want.position || m.usedAt != want.usedAt {
		return fmt.Errorf("generation %d position %d used %d, want %d %d %d",
			m.generation, m.position, m.usedAt, want.generation, want.position, want.usedAt)
	}
	if len(m.entries) != len(want.events) {
		return fmt.Errorf("%v tracked, want %v",
			slices.Sorted(maps.Keys(m.entries)), slices.Sorted(maps.Keys(want.events)))
	}
	for sequence, w := range want.events {
		e := m.entries[sequence]
		if e == nil {
			return fmt.Errorf("event %d is lost, want %+v", sequence, w)
		}
		got := modelEvent{
			sequence: e.sequence, key: e.key, state: e.state, attempts: e.attempts, due: e.due,
			first: e.firstAttempt, reason: e.reason, redriven: e.redriven, cause: e.cause,
			holder: e.holder, size: e.size, ref: w.ref,
		}
		w.key = m.keyOf(w.key)
		if got != w {
			return fmt.Errorf("event %d is\n%+v, want\n%+v", sequence, got, w)
		}
		if fate := want.fates[w.ref]; e.lastAction != fate {
			return fmt.Errorf("the last delivery of event %d ended with %v, want %v", sequence, e.lastAction, fate)
		}
		if e.state == leased && e.deliveries != w.ref.Delivery {
			return fmt.Errorf("event %d is leased by delivery %d, want %d", sequence, e.deliveries, w.ref.Delivery)
		}
	}
	return checkStatistics(m.Statistics(), want)
}

func checkStatistics(got Statistics, want *model) error {
	keys := map[uint64]bool{}
	for _, e := range want.sorted(blocked) {
		keys[e.key] = true
	}
	w := Statistics{
		Leased:      len(want.sorted(leased)),
		Retrying:    len(want.sorted(waiting)),
		Blocked:     len(want.sorted(blocked)),
		BlockedKeys: len(keys),
		LatestGap:   want.gap,
	}
	if want.ordering == tidingsv1.Ordering_ORDERING_TOTAL {
		w.Retrying, w.Blocked, w.BlockedKeys = w.Retrying+w.Blocked, 0, 0
	}
	if onTheirWay := want.sorted(leased, waiting, blocked); len(onTheirWay) > 0 {
		w.Oldest = onTheirWay[0].sequence
	}
	if !proto.Equal(got.LatestGap, w.LatestGap) {
		return fmt.Errorf("gap %v, want %v", got.LatestGap, w.LatestGap)
	}
	got.LatestGap, w.LatestGap = nil, nil
	if got != w {
		return fmt.Errorf("statistics %+v, want %+v", got, w)
	}
	return nil
}

// stored is a journal as bytes.
type stored [][]byte

// store puts entries behind a journal.
func (s stored) store(entries []*storagev1.JournalEntry) (stored, error) {
	s = slices.Clip(s) // Journals that grow from the same one don't share.
	for _, entry := range entries {
		data, err := proto.Marshal(entry)
		if err != nil {
			return nil, err
		}
		s = append(s, data)
	}
	return s, nil
}

// fold takes a journal into a new machine.
func (s stored) fold(m *Machine) (*Machine, error) {
	for _, data := range s {
		entry := &storagev1.JournalEntry{}
		if err := proto.Unmarshal(data, entry); err != nil {
			return nil, err
		}
		if err := m.ApplyEntry(entry); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// refold returns what the journal of a machine gives that was new, and checks
// that it is the same.
func refold(tb testing.TB, m *Machine) *Machine {
	tb.Helper()
	journal, err := stored(nil).store(Entries(m.Changes(), 1000))
	if err != nil {
		tb.Fatal(err)
	}
	folded, err := journal.fold(New(m.ordering, m.policy, 1))
	if err != nil {
		tb.Fatal(err)
	}
	if got, want := dump(folded, false), dump(m, false); !slices.Equal(got, want) {
		tb.Fatalf("the journal gives\n%q, want\n%q", got, want)
	}
	if err := checkMachine(folded); err != nil {
		tb.Fatal(err)
	}
	return folded
}
