package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"google.golang.org/protobuf/types/known/durationpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// proceed begins what can begin and sends what can be sent.
func (c *consumer) proceed() {
	if c.extend == nil || c.ended {
		return
	}
	for !c.busy && len(c.queue) > 0 {
		next := c.queue[0]
		c.queue = c.queue[1:]
		if c.held[next.delivery.GetDeliveryToken()] == nil {
			continue // Lost while it waited: it isn't this worker's any more.
		}
		c.busy = true
		// Beside this goroutine, which has leases to extend in the meantime.
		go func() { c.done <- outcome{next, c.handle(next.delivery)} }()
	}
	// What is settled while a batch is on its way makes the next one. So slow
	// work is settled at once, and quick work in batches.
	if c.sent == nil && len(c.ready) > 0 {
		c.sent, c.ready = c.ready, nil
		c.send(&tidingsv1.ConsumeRequest{Request: &tidingsv1.ConsumeRequest_Settle{
			Settle: &tidingsv1.SettlementBatch{Settlements: c.sent},
		}})
	}
	if c.drain && len(c.held) == 0 {
		c.end()
	}
}

// finish decides what becomes of a delivery that was handled.
func (c *consumer) finish(o outcome) {
	c.busy = false
	token := o.lease.delivery.GetDeliveryToken()
	switch {
	case o.err == nil:
		o.lease.settlement = &tidingsv1.Settlement{
			DeliveryToken: token, Action: &tidingsv1.Settlement_Ack{Ack: new(tidingsv1.Ack)},
		}
	case errors.Is(o.err, errHopeless):
		o.lease.settlement = nack(token, tidingsv1.NackKind_NACK_KIND_DEAD_LETTER, o.err.Error())
	default: // The subscription's retry policy says when it is delivered again.
		o.lease.settlement = nack(token, tidingsv1.NackKind_NACK_KIND_RETRY, o.err.Error())
	}
	c.ready = append(c.ready, o.lease.settlement)
}

// restate makes the next batch of all that there is to say: of what is handled,
// what became of it, and of the rest, that it takes longer. What the server knows
// already it recognises.
func (c *consumer) restate() {
	c.ready = nil
	for token, l := range c.held {
		settlement := l.settlement
		if settlement == nil {
			settlement = &tidingsv1.Settlement{DeliveryToken: token, Action: &tidingsv1.Settlement_Extend{
				Extend: &tidingsv1.ExtendDeadline{Duration: durationpb.New(c.deadline)},
			}}
		}
		c.ready = append(c.ready, settlement)
	}
}

// settled deals with the results of a batch.
func (c *consumer) settled(batch []*tidingsv1.Settlement, results []*tidingsv1.SettlementResult) {
	for i, result := range results {
		unknown := result.GetStatus() == tidingsv1.SettlementStatus_SETTLEMENT_STATUS_UNKNOWN
		extended := batch[i].GetExtend() != nil && result.GetStatus() == tidingsv1.SettlementStatus_SETTLEMENT_STATUS_APPLIED
		if unknown || extended {
			continue // Still held: restate has it again.
		}
		c.drop(batch[i].GetDeliveryToken(), result)
	}
}

// drop ends a lease that is settled, or lost: then the event is delivered again.
func (c *consumer) drop(token string, result *tidingsv1.SettlementResult) {
	l := c.held[token]
	if l == nil {
		return
	}
	delete(c.held, token)
	switch result.GetStatus() {
	case tidingsv1.SettlementStatus_SETTLEMENT_STATUS_APPLIED, tidingsv1.SettlementStatus_SETTLEMENT_STATUS_ALREADY_APPLIED:
	default:
		why := cmp.Or(result.GetMessage(), result.GetStatus().String())
		c.log.Printf("event %d, attempt %d: %s", l.delivery.GetRecorded().GetSequence(), l.delivery.GetAttempt(), why)
	}
}

// end ends the worker's side of the call. The server answers what it was sent,
// and ends the call.
func (c *consumer) end() {
	c.ended = true
	if err := c.stream.CloseSend(); err != nil {
		c.log.Printf("end the call: %v", err)
	}
}

// send leaves it to the receiver to notice that a stream is broken.
func (c *consumer) send(request *tidingsv1.ConsumeRequest) {
	if err := c.stream.Send(request); err != nil && !errors.Is(err, io.EOF) {
		c.log.Printf("send: %v", err)
	}
}

// leave settles what a worker that ends still has. Others get what it releases
// at once; what it just kept they would get after its deadline.
func (c *consumer) leave(ctx context.Context) error {
	if c.busy {
		c.finish(<-c.done)
	}
	if len(c.held) == 0 {
		return nil
	}
	request := &tidingsv1.SettleRequest{Subscription: c.subscription}
	for token, l := range c.held {
		if l.settlement == nil {
			l.settlement = nack(token, tidingsv1.NackKind_NACK_KIND_RELEASE, "")
		}
		request.Settlements = append(request.Settlements, l.settlement)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveWithin)
	defer cancel()
	// Without a stream: a token is good through any door, at any server.
	response, err := c.client.Settle(ctx, request)
	if err != nil {
		return fmt.Errorf("settle the last %d deliveries: %w", len(request.GetSettlements()), err)
	}
	c.settled(request.GetSettlements(), response.GetResults())
	if len(c.held) > 0 {
		return fmt.Errorf("%d deliveries may be unsettled", len(c.held))
	}
	return nil
}

// nack is the settlement of a delivery that isn't dealt with. The reason goes
// with the next attempt, or with the dead letter.
func nack(token string, kind tidingsv1.NackKind, reason string) *tidingsv1.Settlement {
	reason = strings.ToValidUTF8(reason, "\uFFFD") // An error's text may be anything; the server cuts it.
	return &tidingsv1.Settlement{
		DeliveryToken: token,
		Action:        &tidingsv1.Settlement_Nack{Nack: &tidingsv1.Nack{Kind: kind, Reason: reason}},
	}
}
