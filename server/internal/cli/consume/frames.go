package consume

import (
	"fmt"
	"strings"
	"time"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/server/internal/cli/command"
	"example.com/tidings/server/internal/guard"
)

// receive takes what came on the session.
func (c *consumption) receive(f frame) {
	if f.err != nil {
		c.leases.unsent(c.session.end())
		c.session = nil
		if !c.stopped {
			c.disconnected(f.err)
		}
		return
	}
	switch frame := f.response.GetFrame().(type) {
	case *tidingsv1.ConsumeResponse_Opened:
		c.begun(frame.Opened)
	case *tidingsv1.ConsumeResponse_Deliveries:
		c.reconnectWait = command.FirstReconnect
		c.deliver(frame.Deliveries.GetDeliveries())
	case *tidingsv1.ConsumeResponse_Settled:
		c.reconnectWait = command.FirstReconnect
		c.settled(frame.Settled)
	case *tidingsv1.ConsumeResponse_Draining:
		c.session.draining = true
	}
}

// begun takes what the server granted. Of the deliveries that are still in hand
// from an earlier session, it says what they are worth.
func (c *consumption) begun(opened *tidingsv1.ConsumeOpened) {
	s := c.session
	if len(opened.GetHeld()) != len(s.held) {
		c.nonsensef("%s for %s", command.Count(int64(len(opened.GetHeld())), "result"), command.Count(int64(len(s.held)), "held token"))
		return
	}
	s.opened, c.connected = true, true
	c.extension = defaultAckDeadline
	if d := opened.GetAckDeadline().AsDuration(); d > 0 {
		c.extension = d
	}
	for i, result := range opened.GetHeld() {
		one := s.held[i]
		switch status := result.GetStatus(); status {
		case tidingsv1.SettlementStatus_SETTLEMENT_STATUS_APPLIED, tidingsv1.SettlementStatus_SETTLEMENT_STATUS_UNKNOWN:
			// How much of its time is left isn't known.
			one.since = time.Time{}
		case tidingsv1.SettlementStatus_SETTLEMENT_STATUS_ALREADY_APPLIED:
			c.applied(one, status)
		default:
			c.lose(one, result)
		}
	}
	c.extend()
}

// deliver takes events in, or gives them back where they are too many.
func (c *consumption) deliver(deliveries []*tidingsv1.Delivery) {
	now := time.Now()
	for _, delivery := range deliveries {
		one := c.leases.add(delivery, now)
		switch {
		case one == nil:
		case c.stopped || c.limit > 0 && c.taken >= c.limit:
			c.leases.decide(one, nack(tidingsv1.NackKind_NACK_KIND_RELEASE, ""))
		default:
			c.taken++
			c.leases.waiting = append(c.leases.waiting, one)
		}
	}
	if c.limit > 0 && c.taken >= c.limit {
		c.stop(nil)
	}
}

// settled takes the results of the oldest batch without any.
func (c *consumption) settled(results *tidingsv1.SettlementResults) {
	s := c.session
	if len(s.sent) == 0 || results.GetBatch() != s.answered {
		c.nonsensef("the results of batch %d, after %d of %d", results.GetBatch(), s.answered, s.answered+int64(len(s.sent)))
		return
	}
	demands := s.sent[0]
	s.sent = s.sent[1:]
	s.answered++
	c.results(demands, results.GetResults())
}

// endDraining ends the client's side of a session that the server wants to end,
// when what can be settled has been sent. The rest is for the next session.
func (c *consumption) endDraining() {
	if s := c.session; s != nil && s.draining && !c.leases.pending() {
		s.close()
	}
}

// settleDirectly settles by a call of its own what the last session left.
func (c *consumption) settleDirectly() {
	if !c.stopped || c.session != nil || c.settling || c.hopeless || c.repeating != nil {
		return
	}
	demands := c.leases.next(c.extension, time.Now())
	if len(demands) == 0 {
		return
	}
	c.settling = true
	request := &tidingsv1.SettleRequest{Subscription: c.open.GetSubscription(), Settlements: settlements(demands)}
	var response *tidingsv1.SettleResponse
	guard.Go(func() (err error) {
		response, err = c.client.Consumer.Settle(c.calls, request)
		return err
	}, func(err error) { c.answers <- answer{demands, response.GetResults(), err} })
}

// answered takes what became of a call of Settle.
func (c *consumption) answered(a answer) {
	c.settling = false
	switch {
	case a.err == nil:
		c.results(a.demands, a.results)
	case command.MayPass(a.err):
		c.leases.unsent(a.demands)
		c.repeat()
	default:
		c.hopeless = true
		if c.cause == nil {
			c.cause = a.err
			return
		}
		c.console.Printf("settling what is in flight: %s", command.Describe(a.err))
	}
}

// repeat has what was not settled sent again after a while.
func (c *consumption) repeat() {
	if c.repeating == nil {
		c.repeating = time.After(c.repeatWait)
		c.repeatWait = min(2*c.repeatWait, command.LastReconnect)
	}
}

// results takes the results of demands.
func (c *consumption) results(demands []demand, results []*tidingsv1.SettlementResult) {
	if len(results) != len(demands) {
		c.leases.unsent(demands)
		c.hopeless = true
		c.nonsensef("%s for %s", command.Count(int64(len(results)), "result"), command.Count(int64(len(demands)), "settlement"))
		return
	}
	for i, d := range demands {
		if !d.lease.gone {
			c.result(d, results[i])
		}
	}
}

func (c *consumption) result(d demand, result *tidingsv1.SettlementResult) {
	switch status := result.GetStatus(); status {
	case tidingsv1.SettlementStatus_SETTLEMENT_STATUS_APPLIED, tidingsv1.SettlementStatus_SETTLEMENT_STATUS_ALREADY_APPLIED:
		c.repeatWait = command.FirstReconnect
		if !d.extends() {
			c.applied(d.lease, status)
		}
	case tidingsv1.SettlementStatus_SETTLEMENT_STATUS_UNKNOWN:
		if d.extends() {
			d.lease.since = time.Time{}
			return
		}
		c.report(d.lease, status, "sent again in "+c.repeatWait.String())
		c.leases.unsure = append(c.leases.unsure, d.lease)
		c.repeat()
	default:
		c.lose(d.lease, result)
	}
}

// applied notes that a delivery is settled.
func (c *consumption) applied(one *lease, status tidingsv1.SettlementStatus) {
	c.leases.forget(one)
	if one.settlement == nil {
		c.report(one, status, "settled by somebody else")
		return
	}
	if status != tidingsv1.SettlementStatus_SETTLEMENT_STATUS_APPLIED {
		c.report(one, status, "settled before the connection was lost")
	}
	c.tally.add(one.settlement)
}

// lose notes that a delivery can't be settled any more.
func (c *consumption) lose(one *lease, result *tidingsv1.SettlementResult) {
	status := result.GetStatus()
	c.leases.forget(one)
	c.tally.lost++
	what := "not settled"
	if one.settlement == nil {
		what = "no longer in flight"
	}
	if status == tidingsv1.SettlementStatus_SETTLEMENT_STATUS_LEASE_LOST {
		what += ": its deadline passed, or the subscription was moved"
	} else if result.GetMessage() != "" {
		what += ": " + command.Printable(result.GetMessage())
	}
	c.report(one, status, what)
}

// report says what became of a delivery, where that isn't what was to be.
func (c *consumption) report(one *lease, status tidingsv1.SettlementStatus, what string) {
	c.console.Printf("event %d, attempt %d: %s: %s", one.delivery.GetRecorded().GetSequence(), one.delivery.GetAttempt(),
		strings.TrimPrefix(status.String(), "SETTLEMENT_STATUS_"), what)
}

// nonsensef stops because the server broke the contract.
func (c *consumption) nonsensef(format string, args ...any) {
	c.stop(fmt.Errorf("the server sent "+format, args...))
}

// unsettled says how many deliveries the run leaves behind.
func (c *consumption) unsettled() error {
	if len(c.leases.held) == 0 {
		return nil
	}
	return fmt.Errorf("%s: whether settled is not known; what isn't is delivered again after its deadline", command.Count(int64(len(c.leases.held)), "event"))
}

// settlementTally is what became of the deliveries of a run.
type settlementTally struct {
	acknowledged, retried, deadLettered, released, lost int64
}

func (t *settlementTally) add(s *tidingsv1.Settlement) {
	switch {
	case s.GetAck() != nil:
		t.acknowledged++
	case s.GetNack().GetKind() == tidingsv1.NackKind_NACK_KIND_DEAD_LETTER:
		t.deadLettered++
	case s.GetNack().GetKind() == tidingsv1.NackKind_NACK_KIND_RELEASE:
		t.released++
	default:
		t.retried++
	}
}

func (t *settlementTally) String() string {
	parts := []string{command.Count(t.acknowledged, "event") + " acknowledged"}
	for _, part := range []struct {
		n    int64
		what string
	}{
		{t.retried, "retried"},
		{t.deadLettered, "dead-lettered"},
		{t.released, "released"},
		{t.lost, "lost to their deadline"},
	} {
		if part.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", part.n, part.what))
		}
	}
	return strings.Join(parts, ", ")
}
