package delivery

import (
	"bytes"
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/eventlog"
	"example.com/tidings/server/internal/lease"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// dispatch leases what there is to the sessions that wait, in the order in which
// they came to wait, and replies to those that have waited long enough.
func (o *owner) dispatch(now time.Time) error {
	if o.delivers() && o.feed == nil && len(o.waiting) > 0 && !now.Before(o.feedAfter) {
		o.feed = newFeed(o)
	}
	kept := o.waiting[:0]
	more := o.delivers()
	for i, p := range o.waiting {
		s := o.sessions[p.session]
		if s == nil {
			o.refuse(p.call, o.sessionError())
			continue
		}
		if p.call.ctx.Err() != nil {
			continue // Nobody waits for the reply.
		}
		if s.resized {
			s.resized = false
			o.reply(p.call, &response{window: s.window})
			continue
		}
		if more && o.topic != nil {
			f := &frame{owner: o, session: s, limits: p.leaseRequest, now: now}
			var err error
			if more, err = f.fill(); err != nil {
				o.waiting = append(kept, o.waiting[i:]...)
				return err
			}
			if f.count > 0 {
				s.unsent, s.frameBytes = f.refs, len(f.encoded)
				o.reply(p.call, &response{deliveries: f.encoded})
				continue
			}
		}
		switch {
		case o.topic == nil:
			o.refuse(p.call, engine.ErrTopicNotFound)
		case o.givesUp(p, s, now):
			o.reply(p.call, new(response))
		default:
			kept = append(kept, p)
		}
	}
	clear(o.waiting[len(kept):])
	o.waiting = kept
	return nil
}

// scanTimeout bounds how long a Pull waits for the feed, beyond its own wait.
const scanTimeout = 5 * time.Second

// givesUp reports whether the reply is that there is nothing. A Pull is due what
// the topic holds when its wait is over, though the feed may only just have
// begun.
func (o *owner) givesUp(p *pendingLease, s *session, now time.Time) bool {
	switch {
	case p.upTo > 0:
		return !o.seeks() || o.passed(p.upTo) || !now.Before(p.until)
	case now.Before(p.until):
		return false
	case !s.once || !o.seeks():
		return true
	}
	ctx, cancel := context.WithTimeout(context.Background(), o.hub.writeTimeout)
	defer cancel()
	state, err := o.hub.engine.State(ctx, o.topic)
	if err != nil || state.First == state.End || o.passed(state.End) {
		return true
	}
	p.upTo, p.until = state.End, now.Add(scanTimeout)
	return false
}

// seeks reports whether an event that the topic holds could be delivered next.
func (o *owner) seeks() bool { return o.delivers() && o.machine.CanAdmit() }

// passed reports whether the position is at a sequence, or past it.
func (o *owner) passed(sequence int64) bool { return o.machine.Position() >= sequence }

// frame is the reply to a leaseRequest in the making: an encoded DeliveryBatch.
type frame struct {
	owner          *owner
	session        *session
	limits         *leaseRequest
	now            time.Time
	count          int32
	matched        bool // An event has been filtered, which may take long.
	encoded        []byte
	refs           []lease.Ref
	suffix         []byte // Of records with suffixOf and suffixRevision.
	suffixOf       time.Time
	suffixRevision []byte
	deadline       []byte // Of leases until deadlineOf, and how long they last.
	duration       []byte
	deadlineOf     int64
}

// fillTime is after how long a frame with events that have to be filtered is
// full.
const fillTime = 100 * time.Millisecond

// fill leases what fits. more is false where there is nothing left that anybody
// could be given.
func (f *frame) fill() (more bool, err error) {
	for f.count < f.limits.maxEvents {
		if events, _ := f.session.room(); events <= 0 {
			return true, nil
		}
		if f.matched && time.Since(f.now) > fillTime {
			f.owner.again = true // First it's the turn of the others that wait for the owner.
			return true, nil
		}
		e, key, ok, err := f.next()
		if err != nil || !ok {
			return false, err
		}
		if !f.fits(e) {
			return true, nil
		}
		if err := f.add(e, key); err != nil {
			return false, err
		}
	}
	return true, nil
}

// next returns the next event that may be leased, without taking it.
func (f *frame) next() (e event, key uint64, ok bool, err error) {
	o := f.owner
	for {
		sequence, again := o.machine.Next(f.now.UnixMilli())
		if again {
			e, err = o.onItsWay(sequence)
			if !errors.Is(err, engine.ErrRecordNotFound) {
				return e, 0, err == nil, err
			}
			o.remove(sequence)
			continue
		}
		if !o.machine.CanAdmit() {
			return event{}, 0, false, nil
		}
		e, key, ok, err = o.peek()
		if err != nil || !ok {
			return event{}, 0, false, err
		}
		switch o.machine.Admit(e.sequence, key) {
		case lease.Now:
			return e, key, true, nil
		case lease.Passed:
			o.feed.next++
		default:
			return event{}, 0, false, nil
		}
	}
}

// remove settles an event that retention removed, with its record, before a
// consumer did.
func (o *owner) remove(sequence int64) {
	redriven := o.machine.IsRedriven(sequence)
	o.machine.Remove(sequence)
	if !redriven {
		o.machine.Skip(o.machine.Position(), &tidingsv1.Gap{
			FirstSequence: sequence,
			NextSequence:  max(o.events.first, sequence+1),
		})
	}
}

// onItsWay returns an event that is on its way.
func (o *owner) onItsWay(sequence int64) (event, error) {
	if o.machine.IsRedriven(sequence) {
		_, e, err := o.events.deadLetter(sequence)
		return e, err
	}
	return o.events.topicEvent(sequence)
}

// fits reports whether an event fits the session's window and the answer.
func (f *frame) fits(e event) bool {
	if _, room := f.session.room(); int64(len(e.raw)) > room {
		return false
	}
	const overhead = 256 // Beside the event, about; a nack's reason may add to it.
	return f.count == 0 || len(f.encoded)+len(e.raw)+overhead <= int(f.limits.maxBytes)
}

// add leases an event and adds its Delivery.
func (f *frame) add(e event, key uint64) error {
	o := f.owner
	size := int32(len(e.raw))
	delivery, ok := o.machine.Deliver(e.sequence, key, f.session.holder, size, f.now.UnixMilli())
	if !ok {
		return errors.New("an event that can't be delivered was to be delivered")
	}
	ref := lease.Ref{Generation: o.machine.Generation(), Sequence: e.sequence, Delivery: delivery.Number}
	if from := o.feed; from != nil && delivery.Number == 1 && from.current != nil && from.next < len(from.current.indexes) &&
		from.current.record.event(from.current.indexes[from.next]).sequence == e.sequence {
		from.next++
		if from.next == len(from.current.indexes) {
			o.machine.Skip(from.current.position, nil)
			from.current = nil
		}
	} else if delivery.Number == 1 && e.sequence < o.matched {
		// It was blocked until now: the filter may have changed since it was let
		// through.
		f.matched = true
		wanted, err := o.matches(e)
		if err != nil {
			return err
		}
		if !wanted {
			o.machine.Settle(lease.Settlement{Ref: ref, Action: lease.Drop}, f.now.UnixMilli())
			return nil
		}
	}
	o.charge(f.session, size)
	f.refs = append(f.refs, ref)
	f.count++
	f.encode(e, ref, delivery)
	return nil
}

// encode adds a Delivery to the encoded DeliveryBatch.
func (f *frame) encode(e event, ref lease.Ref, delivery lease.Delivery) {
	if f.suffix == nil || !f.suffixOf.Equal(e.publishTime) || !bytes.Equal(f.suffixRevision, e.revision) {
		f.suffix = eventlog.AppendSuffix(f.suffix[:0], f.owner.subscription.Config.GetTopic(), e.publishTime, e.revision)
		f.suffixOf, f.suffixRevision = e.publishTime, e.revision
	}
	if f.deadline == nil || f.deadlineOf != delivery.Deadline {
		f.deadlineOf = delivery.Deadline
		f.deadline = eventlog.Timestamp(time.UnixMilli(delivery.Deadline))
		f.duration = eventlog.Duration(time.Duration(delivery.Deadline-f.now.UnixMilli()) * time.Millisecond)
	}
	const (
		eventField    = 1
		tokenField    = 2
		attemptField  = 3
		deadlineField = 4
		reasonField   = 5
		redrivenField = 6
		durationField = 7
	)
	b := eventlog.AppendRecorded(f.owner.scratch[:0], eventField, f.owner.subscription.Config.GetTopicUid(), e.raw, e.sequence, e.after, f.suffix)
	var token [2 * tokenBytes]byte
	b = protowire.AppendTag(b, tokenField, protowire.BytesType)
	b = protowire.AppendBytes(b, f.owner.tokens.append(token[:0], ref))
	b = protowire.AppendTag(b, attemptField, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(delivery.Attempt))
	b = protowire.AppendTag(b, deadlineField, protowire.BytesType)
	b = protowire.AppendBytes(b, f.deadline)
	if reason := f.fitting(delivery.Reason, len(b)); reason != "" {
		b = protowire.AppendTag(b, reasonField, protowire.BytesType)
		b = protowire.AppendString(b, reason)
	}
	if delivery.Redriven {
		b = protowire.AppendTag(b, redrivenField, protowire.VarintType)
		b = protowire.AppendVarint(b, 1)
	}
	b = protowire.AppendTag(b, durationField, protowire.BytesType)
	b = protowire.AppendBytes(b, f.duration)
	f.owner.scratch = b
	const batchField = 1
	if f.encoded == nil { // It will be about as long as the last one.
		f.encoded = make([]byte, 0, f.session.frameBytes)
	}
	f.encoded = protowire.AppendTag(f.encoded, batchField, protowire.BytesType)
	f.encoded = protowire.AppendBytes(f.encoded, b)
}

// fitting is as much of a reason as can be sent to another server: an event may
// be as large as a message can be.
func (f *frame) fitting(reason string, beside int) string {
	const framing = 64
	if room := f.owner.hub.engine.MaxRecordBytes() - len(f.encoded) - beside - framing; len(reason) > room {
		return ""
	}
	return reason
}
