package client

import (
	"context"
	"fmt"
	"strings"
	"time"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// receive takes what came on the call.
func (r *consumerRun) receive(f consumeFrame) {
	if f.err != nil {
		r.leases.unsent(r.call.end())
		r.call = nil
		if !r.stopped {
			r.disconnected(f.err)
		}
		return
	}
	r.call.quiet.Reset(r.call.silence)
	switch frame := f.response.GetFrame().(type) {
	case *tidingsv1.ConsumeResponse_Opened:
		r.opened(frame.Opened)
	case *tidingsv1.ConsumeResponse_Deliveries:
		r.reconnectDelay = firstDelay
		r.deliver(frame.Deliveries.GetDeliveries())
	case *tidingsv1.ConsumeResponse_Settled:
		r.reconnectDelay = firstDelay
		r.batchSettled(frame.Settled)
	case *tidingsv1.ConsumeResponse_Draining:
		r.call.draining = true
	case *tidingsv1.ConsumeResponse_Heartbeat:
		r.reconnectDelay = firstDelay
	default: // A kind that a later server has.
	}
}

// opened takes what the server granted. Of the deliveries that are still in flight
// from an earlier call, it says what they are worth.
func (r *consumerRun) opened(opened *tidingsv1.ConsumeOpened) {
	c := r.call
	if len(opened.GetHeld()) != len(c.held) {
		r.nonsensef("%s for %s", count(len(opened.GetHeld()), "result"), count(len(c.held), "held token"))
		return
	}
	c.opened = true
	if d := opened.GetHeartbeatInterval().AsDuration(); d > 0 {
		c.listen(d)
	}
	if d := opened.GetAckDeadline().AsDuration(); d > 0 {
		r.deadline = d
	}
	r.options.Trace.Opened()
	for i, result := range opened.GetHeld() {
		one := c.held[i]
		switch result.GetStatus() {
		case tidingsv1.SettlementStatus_SETTLEMENT_STATUS_APPLIED:
			// How much of its time is left isn't known, so more is asked for at once.
			one.since, one.expires = time.Time{}, time.Now().Add(r.deadline)
		case tidingsv1.SettlementStatus_SETTLEMENT_STATUS_UNKNOWN:
			one.since = time.Time{}
		default:
			r.forget(one, result)
		}
	}
	r.extend()
}

// deliver takes events in, or gives them back when no more are handled.
func (r *consumerRun) deliver(deliveries []*Delivery) {
	now := time.Now()
	for _, delivery := range deliveries {
		one := r.leases.add(delivery, r.deadline, now)
		switch {
		case one == nil:
		case r.stopped:
			r.leases.decide(one, released())
		default:
			r.leases.waiting = append(r.leases.waiting, one)
		}
		// The subscription's may have changed during the call.
		if d := delivery.GetLeaseDuration().AsDuration(); d > 0 && d != r.deadline {
			r.deadline = d
			r.extend()
		}
	}
}

// batchSettled takes the results of the oldest batch without any.
func (r *consumerRun) batchSettled(results *tidingsv1.SettlementResults) {
	c := r.call
	if len(c.sent) == 0 || results.GetBatch() != c.answered {
		r.nonsensef("the results of batch %d, after %d of %d", results.GetBatch(), c.answered, c.answered+int64(len(c.sent)))
		return
	}
	demands := c.sent[0]
	c.sent = c.sent[1:]
	c.answered++
	r.results(demands, results.GetResults())
}

// endDraining ends the client's side of a call that the server wants to end, when what
// can be settled has been sent. The rest is for the next call.
func (r *consumerRun) endDraining() {
	if c := r.call; c != nil && c.draining && !r.leases.pending() {
		c.close()
	}
}

// settleDirectly settles by a call of its own what the last stream left.
func (r *consumerRun) settleDirectly() {
	if !r.stopped || r.call != nil || r.settling || r.hopeless || r.repeating != nil {
		return
	}
	demands := r.leases.next(r.deadline, time.Now())
	if len(demands) == 0 {
		return
	}
	r.settling = true
	request := &tidingsv1.SettleRequest{Subscription: r.subscription, Settlements: settlements(demands)}
	go func() {
		ctx, cancel := context.WithTimeout(r.life, settleWithin)
		defer cancel()
		response, err := r.calls.settle(ctx, request)
		r.settled <- settleAnswer{demands, response.GetResults(), err}
	}()
}

// answer takes what became of a call of Settle.
func (r *consumerRun) answer(a settleAnswer) {
	r.settling = false
	switch {
	case a.err == nil:
		r.results(a.demands, a.results)
	case !permanent(a.err):
		r.leases.unsent(a.demands)
		r.repeat()
	default:
		r.fail(a.err)
		r.hopeless = true
	}
}

// repeat has what was not settled sent again after a while, and returns how long that
// is at most.
func (r *consumerRun) repeat() time.Duration {
	delay := r.repeatDelay
	if r.repeating == nil {
		r.repeating = time.After(jittered(delay))
		r.repeatDelay = min(2*delay, lastDelay)
	}
	return delay
}

// results takes the results of demands.
func (r *consumerRun) results(demands []demand, results []*tidingsv1.SettlementResult) {
	if len(results) != len(demands) {
		r.leases.unsent(demands)
		r.hopeless = true
		r.nonsensef("%s for %s", count(len(results), "result"), count(len(demands), "settlement"))
		return
	}
	for i, d := range demands {
		if !d.lease.gone {
			r.result(d, results[i])
		}
	}
}

func (r *consumerRun) result(d demand, result *tidingsv1.SettlementResult) {
	switch result.GetStatus() {
	case tidingsv1.SettlementStatus_SETTLEMENT_STATUS_APPLIED, tidingsv1.SettlementStatus_SETTLEMENT_STATUS_ALREADY_APPLIED:
		r.repeatDelay = firstDelay
		if d.extends() {
			d.lease.expires = d.lease.since.Add(d.settlement.GetExtend().GetDuration().AsDuration())
			return
		}
		r.forget(d.lease, result)
	case tidingsv1.SettlementStatus_SETTLEMENT_STATUS_UNKNOWN:
		if d.extends() {
			d.lease.since = time.Time{}
			return
		}
		r.leases.unsure = append(r.leases.unsure, d.lease)
		r.options.Trace.Settled(d.lease.delivery, d.lease.settlement, result, r.repeat())
	default:
		r.forget(d.lease, result)
	}
}

// forget ends a lease by the result of its settlement, or of its token.
func (r *consumerRun) forget(one *lease, result *tidingsv1.SettlementResult) {
	r.leases.forget(one)
	switch status := result.GetStatus(); status {
	case tidingsv1.SettlementStatus_SETTLEMENT_STATUS_APPLIED, tidingsv1.SettlementStatus_SETTLEMENT_STATUS_ALREADY_APPLIED:
	default:
		r.options.Logger.Warn("an event could not be settled", "subscription", r.subscription,
			"sequence", one.delivery.GetRecorded().GetSequence(), "attempt", one.delivery.GetAttempt(),
			"status", strings.TrimPrefix(status.String(), "SETTLEMENT_STATUS_"), "message", result.GetMessage())
	}
	if one.settlement != nil && one.trace != nil {
		one.trace.Settled(result)
	}
	r.options.Trace.Settled(one.delivery, one.settlement, result, 0)
}

// nonsensef stops because the server broke the contract.
func (r *consumerRun) nonsensef(format string, args ...any) {
	r.fail(fmt.Errorf("the server sent "+format, args...))
}

// fail stops with an error, unless there was one.
func (r *consumerRun) fail(err error) {
	r.stop(err)
	if r.cause == nil {
		r.cause = err
	}
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
