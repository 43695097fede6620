package delivery

import (
	"strings"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/lease"
	"example.com/tidings/server/internal/telemetry"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// tally counts what a turn decides, until it is in the journal and so happened.
type tally struct {
	delivered, redelivered int
	settled                map[telemetry.Outcome]int
	dead                   map[tidingsv1.DeadLetterCause]int
}

func newTally() tally {
	return tally{settled: make(map[telemetry.Outcome]int), dead: make(map[tidingsv1.DeadLetterCause]int)}
}

// outcomes are those of the settlements that are applied.
var outcomes = map[storagev1.JournalAction]telemetry.Outcome{
	lease.Ack:     telemetry.OutcomeAcked,
	lease.Retry:   telemetry.OutcomeRetried,
	lease.Drop:    telemetry.OutcomeDropped,
	lease.Bury:    telemetry.OutcomeBuried,
	lease.Release: telemetry.OutcomeReleased,
}

func (t *tally) settle(action storagev1.JournalAction, status tidingsv1.SettlementStatus) {
	switch status {
	case tidingsv1.SettlementStatus_SETTLEMENT_STATUS_APPLIED:
		t.settled[outcomes[action]]++
	case tidingsv1.SettlementStatus_SETTLEMENT_STATUS_LEASE_LOST:
		t.settled[telemetry.OutcomeLost]++
	default: // It was settled before.
	}
}

func (t *tally) expire(count int) {
	if count > 0 {
		t.settled[telemetry.OutcomeExpired] += count
	}
}

// bury counts events that became dead letters.
func (t *tally) bury(letters []lease.DeadLetter) {
	for _, letter := range letters {
		t.dead[letter.Cause]++
	}
}

// count adds what happened to the metrics.
func (t *tally) count(m *telemetry.Metrics, s *engine.Subscription) {
	if m == nil || t.delivered == 0 && len(t.settled) == 0 && len(t.dead) == 0 {
		return
	}
	counters := m.Subscription(s.Name)
	counters.Delivered.Add(float64(t.delivered))
	counters.Redelivered.Add(float64(t.redelivered))
	for outcome, count := range t.settled {
		counters.Settled[outcome].Add(float64(count))
	}
	for cause, count := range t.dead {
		counters.DeadLettered(strings.TrimPrefix(cause.String(), "DEAD_LETTER_CAUSE_"), count)
	}
	t.delivered, t.redelivered = 0, 0
	clear(t.settled)
	clear(t.dead)
}
