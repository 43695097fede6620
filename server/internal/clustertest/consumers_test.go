package clustertest

import (
	"context"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// sharedWork is a subscription and what its consumers saw.
type sharedWork struct {
	load      *load
	name      string // Of the topic too.
	ordered   bool   // By key.
	pace      time.Duration
	pulse     pulse
	consumers []*consumer
	drained   chan struct{} // Closed when nobody takes his time any more.

	mu        sync.Mutex
	events    map[int64]*leased
	lastOfKey map[string]int64
	applied   map[string]bool // The events whose ack was applied.
	again     int             // Deliveries that weren't the first.
}

// leased is what became of an event last.
type leased struct {
	id       string
	attempt  int32
	deadline time.Time
	// said is the last settlement that was sent, if any.
	said    *tidingsv1.Settlement
	applied bool // That the event was acknowledged.
}

func newSharedWork(l *load, name string, ordered bool, pace time.Duration) *sharedWork {
	return &sharedWork{
		load: l, name: name, ordered: ordered, pace: pace, drained: make(chan struct{}),
		events: make(map[int64]*leased), lastOfKey: make(map[string]int64), applied: make(map[string]bool),
	}
}

// delivered checks a delivery against what is known of the event and returns
// what to say of it, or nil for nothing.
func (s *sharedWork) delivered(d *tidingsv1.Delivery) *tidingsv1.Settlement {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	sequence, key := d.GetRecorded().GetSequence(), d.GetRecorded().GetEvent().GetPartitionKey()
	l := s.events[sequence]
	if l == nil {
		l = &leased{id: d.GetRecorded().GetEvent().GetId()}
		s.events[sequence] = l
	} else {
		s.again++
	}
	released := l.said.GetNack().GetKind() == tidingsv1.NackKind_NACK_KIND_RELEASE
	complain := func(what string) {
		s.load.t.Errorf("%s: event %d, attempt %d %s; before: attempt %d until %s, %v", s.name, sequence, d.GetAttempt(), what,
			l.attempt, l.deadline.Format(time.StampMilli), l.said)
	}
	switch {
	case l.applied:
		complain("was delivered although it was settled")
	case d.GetAttempt() < l.attempt:
		complain("went back")
	case d.GetAttempt() == l.attempt && !released:
		complain("was delivered twice")
	case l.attempt > 0 && l.said.GetNack() == nil && now.Before(l.deadline):
		complain("was leased to two at a time")
	}
	if s.ordered {
		last := s.lastOfKey[key]
		if sequence < last {
			complain("came after a later one of its key")
		} else if before := s.events[last]; sequence > last && last > 0 && before.said.GetAck() == nil {
			complain("came before an earlier one of its key was settled")
		}
		s.lastOfKey[key] = max(last, sequence)
	}
	l.attempt, l.deadline, l.said = d.GetAttempt(), d.GetDeadline().AsTime(), decide(d)
	return l.said
}

// decide says what becomes of a delivery: mostly what should.
func decide(d *tidingsv1.Delivery) *tidingsv1.Settlement {
	s := &tidingsv1.Settlement{DeliveryToken: d.GetDeliveryToken(), Action: &tidingsv1.Settlement_Ack{Ack: new(tidingsv1.Ack)}}
	switch n := rand.IntN(200); { //nolint:gosec // Not a secret.
	case n < 6:
		s.Action = &tidingsv1.Settlement_Nack{Nack: &tidingsv1.Nack{Reason: "busy"}}
	case n < 8:
		s.Action = &tidingsv1.Settlement_Nack{Nack: &tidingsv1.Nack{Kind: tidingsv1.NackKind_NACK_KIND_RELEASE}}
	case n < 9:
		return nil
	}
	return s
}

// settled notes what became of a settlement. It reports whether that is known.
func (s *sharedWork) settled(sequence int64, said *tidingsv1.Settlement, result *tidingsv1.SettlementResult) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch result.GetStatus() {
	case tidingsv1.SettlementStatus_SETTLEMENT_STATUS_APPLIED, tidingsv1.SettlementStatus_SETTLEMENT_STATUS_ALREADY_APPLIED:
		if said.GetAck() != nil {
			l := s.events[sequence]
			l.applied = true
			s.applied[l.id] = true
		}
		return true
	case tidingsv1.SettlementStatus_SETTLEMENT_STATUS_LEASE_LOST:
		return true
	case tidingsv1.SettlementStatus_SETTLEMENT_STATUS_UNKNOWN:
		return false
	default:
		s.load.t.Errorf("%s: settling %d: %s", s.name, sequence, result.GetStatus())
		return true
	}
}

// drain waits until every event is settled.
func (s *sharedWork) drain(ctx context.Context) {
	s.load.t.Helper()
	close(s.drained)
	topic := s.load.topic(s.name)
	for {
		s.mu.Lock()
		applied := len(s.applied)
		s.mu.Unlock()
		if applied >= len(topic.receipts) { // Nothing is published any more.
			return
		}
		if !pause(ctx, again) {
			s.load.t.Errorf("%s: of %d events %d were settled", s.name, len(topic.receipts), applied)
			return
		}
	}
}

// consumer is one who shares the work.
type consumer struct {
	share *sharedWork
	seat  seat
	pulse pulse
	// pending are the settlements whose result isn't known, by their tokens.
	pending   map[string]*tidingsv1.Settlement
	sequences map[string]int64
}

func (c *consumer) consume(ctx context.Context) {
	c.sequences = make(map[string]int64)
	for {
		err := c.consumeStream(ctx)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errSeat) {
			continue
		}
		if !errors.Is(err, io.EOF) {
			c.share.load.failed("Consume", err)
		}
		c.seat.move()
		pause(ctx, again)
	}
}

// consumeStream consumes on one stream until it ends.
func (c *consumer) consumeStream(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(patience, cancel)
	defer silence.Stop()
	stream, err := c.seat.of(c.share.load.replicas).consumer().Consume(ctx)
	if err != nil {
		return err
	}
	open := &tidingsv1.ConsumeOpen{
		Subscription: c.share.name, Window: &tidingsv1.FlowControl{MaxEvents: 10}, HeartbeatInterval: durationpb.New(heartbeat),
		HeldDeliveryTokens: slices.Collect(maps.Keys(c.pending)),
	}
	_ = stream.Send(&tidingsv1.ConsumeRequest{Request: &tidingsv1.ConsumeRequest_Open{Open: open}}) // The answer says why.
	var asked [][]*tidingsv1.Settlement
	settle := func(list []*tidingsv1.Settlement) {
		if len(list) == 0 {
			return
		}
		asked = append(asked, list)
		_ = stream.Send(&tidingsv1.ConsumeRequest{Request: &tidingsv1.ConsumeRequest_Settle{
			Settle: &tidingsv1.SettlementBatch{Settlements: list},
		}})
	}
	for {
		response, err := stream.Recv()
		if err != nil {
			return err
		}
		silence.Reset(patience)
		switch frame := response.GetFrame().(type) {
		case *tidingsv1.ConsumeResponse_Opened:
			settle(slices.Collect(maps.Values(c.pending)))
		case *tidingsv1.ConsumeResponse_Deliveries:
			settle(c.take(ctx, frame.Deliveries.GetDeliveries()))
		case *tidingsv1.ConsumeResponse_Settled:
			settle(c.results(asked[0], frame.Settled.GetResults()))
			asked = asked[1:]
			if len(asked) == 0 && c.seat.homesick() {
				return errSeat
			}
		case *tidingsv1.ConsumeResponse_Draining:
			_ = stream.CloseSend() // What was asked is answered.
		}
	}
}

// take takes deliveries and returns what to say of them.
func (c *consumer) take(ctx context.Context, deliveries []*tidingsv1.Delivery) (list []*tidingsv1.Settlement) {
	c.share.pulse.beat()
	c.pulse.beat()
	for _, d := range deliveries {
		if s := c.share.delivered(d); s != nil {
			list = append(list, s)
			c.pending[s.GetDeliveryToken()] = s
			c.sequences[s.GetDeliveryToken()] = d.GetRecorded().GetSequence()
		}
	}
	if c.share.pace > 0 {
		select {
		case <-time.After(c.share.pace):
		case <-c.share.drained:
		case <-ctx.Done():
		}
	}
	return list
}

// results takes the results of settlements and returns what to say again.
func (c *consumer) results(asked []*tidingsv1.Settlement, results []*tidingsv1.SettlementResult) (list []*tidingsv1.Settlement) {
	for i, s := range asked {
		token := s.GetDeliveryToken()
		if c.share.settled(c.sequences[token], s, results[i]) {
			delete(c.pending, token)
			delete(c.sequences, token)
		} else {
			list = append(list, s)
		}
	}
	return list
}
