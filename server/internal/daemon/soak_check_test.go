package daemon_test

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

const (
	soakDeadline = 2 * time.Second
	// soakLate is how close to its end a lease may be for its delivery to count
	// as in time: another consumer may have been given the event before the
	// first one could write down that it had got it.
	soakLate = -time.Second
)

// soakHistory is what the log says of a subscription.
type soakHistory struct {
	soak       *soak
	name       string
	ordering   tidingsv1.Ordering
	deliveries map[string]*soakDelivery // By token.
	events     map[int64]*soakEvent
	latest     map[string]int64 // The last event of a key.
	faults     int

	lines, torn, redelivered, late, lost, again, unknown int
}

type soakDelivery struct {
	sequence int64
	attempt  int64
	applied  bool // A settlement was.
}

type soakEvent struct {
	attempt  int64 // The highest.
	released map[int64]int
	given    map[int64]int // Deliveries by attempt.
	ackTried bool
	acked    int64 // The attempt whose ack was applied.
}

// check reads the log and compares it with what was published and with the dead
// letters.
func (s *soak) check(name string) {
	s.t.Helper()
	h := &soakHistory{
		soak: s, name: name, deliveries: make(map[string]*soakDelivery),
		events: make(map[int64]*soakEvent), latest: make(map[string]int64),
	}
	for ordering, known := range soakSubscriptions {
		if known == name {
			h.ordering = ordering
		}
	}
	file, err := os.Open(s.log)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 { // Each write begins with the end of a line.
			continue
		}
		if len(fields) < 2 || fields[len(fields)-1] != "." {
			h.torn++ // By the death of its writer.
			continue
		}
		if fields[1] != name {
			continue
		}
		h.lines++
		switch fields[2] {
		case "D":
			h.delivered(fields[3:])
		case "T":
			h.tried(fields[3], fields[4])
		case "R":
			h.settled(fields[3], fields[4], fields[5])
		}
	}
	if err := lines.Err(); err != nil {
		s.t.Fatal(err)
	}
	h.conclude()
}

// faultf reports what must not be.
func (h *soakHistory) faultf(format string, args ...any) {
	h.soak.t.Helper()
	h.faults++
	if h.faults <= 20 {
		h.soak.t.Errorf(h.name+": "+format, args...)
	}
}

func (h *soakHistory) event(sequence int64) *soakEvent {
	e := h.events[sequence]
	if e == nil {
		e = &soakEvent{released: make(map[int64]int), given: make(map[int64]int)}
		h.events[sequence] = e
	}
	return e
}

func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		panic(fmt.Errorf("the log of the soak: %w", err))
	}
	return n
}

func (h *soakHistory) delivered(fields []string) {
	token, sequence, attempt, id, key := fields[0], number(fields[1]), number(fields[2]), fields[3], fields[4]
	late := time.Duration(number(fields[5]))*time.Millisecond > soakLate
	if h.deliveries[token] != nil {
		h.faultf("event %d, attempt %d: the same delivery twice", sequence, attempt)
	}
	h.deliveries[token] = &soakDelivery{sequence: sequence, attempt: attempt}
	if want := h.soak.published[sequence]; want.GetId() != id {
		h.faultf("event %d is %q, want %q", sequence, id, want.GetId())
	}
	e := h.event(sequence)
	if attempt < 1 || attempt > soakAttempts {
		h.faultf("event %d: attempt %d of %d", sequence, attempt, soakAttempts)
	}
	if e.given[attempt] > e.released[attempt] {
		h.faultf("event %d: attempt %d twice, and not released", sequence, attempt)
	}
	e.given[attempt]++
	if len(e.given) > 1 || e.given[attempt] > 1 {
		h.redelivered++
	}
	if e.acked != 0 && (!late || attempt > e.acked) {
		h.faultf("event %d: attempt %d after the ack of attempt %d", sequence, attempt, e.acked)
	}
	if late {
		h.late++
	} else {
		if attempt < e.attempt {
			h.faultf("event %d: attempt %d after attempt %d", sequence, attempt, e.attempt)
		}
		// Of a key, an event comes when the ones before it are settled. So after
		// it none of these comes again.
		if h.ordering == tidingsv1.Ordering_ORDERING_KEY && sequence < h.latest[key] {
			h.faultf("key %s: event %d after event %d", key, sequence, h.latest[key])
		}
	}
	e.attempt = max(e.attempt, attempt)
	h.latest[key] = max(h.latest[key], sequence)
}

// tried notes that a settlement was about to be sent: it may have been applied
// whether or not there is an answer.
func (h *soakHistory) tried(token, action string) {
	d := h.deliveries[token]
	if d == nil {
		h.faultf("a settlement of nothing")
		return
	}
	switch e := h.event(d.sequence); action {
	case "ack":
		e.ackTried = true
	case "release":
		e.released[d.attempt]++
	}
}

func (h *soakHistory) settled(token, action, text string) {
	d := h.deliveries[token]
	status := tidingsv1.SettlementStatus(number(text))
	switch status {
	case applied, alreadyApplied:
		if action == "ack" {
			h.event(d.sequence).acked = d.attempt
		}
		if action == "extend" {
			return
		}
		if status == alreadyApplied {
			h.again++
			return
		}
		if d.applied {
			h.faultf("event %d, attempt %d: two settlements were applied", d.sequence, d.attempt)
		}
		d.applied = true
	case leaseLost:
		h.lost++
	case transient:
		h.unknown++
	default:
		h.faultf("event %d: %s is answered with %s", d.sequence, action, status)
	}
}

// conclude checks how every event ended, and prints the counts.
func (h *soakHistory) conclude() {
	letters := deadLetters(h.soak.t, h.soak.now(), h.name)
	causes := make(map[tidingsv1.DeadLetterCause]int)
	acked, unanswered, unseen := 0, 0, 0
	for sequence, published := range h.soak.published {
		e, letter := h.event(sequence), letters[sequence]
		if e.attempt == 0 {
			unseen++
		}
		switch {
		case e.acked != 0 && letter != nil:
			h.faultf("event %d was acknowledged and is a dead letter", sequence)
		case e.acked != 0:
			acked++
			if e.attempt > e.acked {
				h.faultf("event %d: attempt %d, though attempt %d was acknowledged", sequence, e.attempt, e.acked)
			}
		case letter != nil:
			causes[letter.GetCause()]++
			attempts := int64(letter.GetAttempts())
			if attempts < e.attempt || letter.GetCause() != tidingsv1.DeadLetterCause_DEAD_LETTER_CAUSE_NACK && attempts != soakAttempts {
				h.faultf("event %d: a dead letter by %s with %d attempts, %d were seen", sequence, letter.GetCause(), attempts, e.attempt)
			}
			if letter.GetRecorded().GetEvent().GetId() != published.GetId() {
				h.faultf("event %d: its dead letter is another event", sequence)
			}
		case e.ackTried:
			unanswered++ // Its consumer died, or the server, before the answer was written down.
		default:
			h.faultf("event %d is lost", sequence)
		}
	}
	if len(letters) != causes[1]+causes[2]+causes[3] {
		h.faultf("%d dead letters, of which %d are published events", len(letters), causes[1]+causes[2]+causes[3])
	}
	h.soak.t.Logf("%s: %d events published: %d acknowledged, %d acknowledged without an answer, %d dead letters (%d by nack, %d of attempts, %d of deadlines); "+
		"%d deliveries, %d of them again, %d late, %d events never seen; %d settlements too late, %d repeated, %d unknown at first; %d torn lines",
		h.name, len(h.soak.published), acked, unanswered, len(letters), causes[1], causes[2], causes[3],
		len(h.deliveries), h.redelivered, h.late, unseen, h.lost, h.again, h.unknown, h.torn)
	if acked == 0 || h.redelivered == 0 || len(letters) == 0 {
		h.faultf("nothing happened")
	}
}
