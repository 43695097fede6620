package delivery

import (
	"errors"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/eventlog"
	"example.com/tidings/server/internal/lease"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// batchRun leases events to a session and encodes them, as a DeliveryBatch: the
// reply to a leaseRequest.
type batchRun struct {
	owner      *owner
	session    *session
	limits     *leaseRequest
	now        time.Time
	count      int32
	matched    bool   // An event has been filtered, which may take long.
	encoded    []byte // Behind a header: see Batch.
	refs       []lease.Ref
	suffix     []byte // Of events recorded as suffixOf.
	suffixOf   recording
	deadline   []byte // Of leases until deadlineOf, and how long they last.
	duration   []byte
	deadlineOf int64
}

// fillTime is after how long a batch with events that have to be filtered is
// full.
const fillTime = 100 * time.Millisecond

// fill leases what fits. more is false where there is nothing left that anybody
// could be given.
func (b *batchRun) fill() (more bool, err error) {
	for b.count < b.limits.maxEvents {
		if events, _ := b.session.room(); events <= 0 {
			return true, nil
		}
		if b.matched && time.Since(b.now) > fillTime {
			b.owner.again = true // First it's the turn of the others that wait for the owner.
			return true, nil
		}
		e, key, ok, err := b.next()
		if err != nil || !ok {
			return false, err
		}
		if !b.fits(e) {
			return true, nil
		}
		if err := b.add(e, key); err != nil {
			return false, err
		}
	}
	return true, nil
}

// next returns the next event that may be leased, without taking it.
func (b *batchRun) next() (e event, key uint64, ok bool, err error) {
	o := b.owner
	for {
		sequence, again := o.machine.Next(b.now.UnixMilli())
		if again {
			e, err = o.trackedEvent(sequence)
			if !errors.Is(err, engine.ErrRecordNotFound) {
				return e, 0, err == nil, err
			}
			o.remove(sequence)
			continue
		}
		if !o.machine.CanAdmit() {
			return event{}, 0, false, nil
		}
		e, key, ok, err = o.feed.peek()
		if err != nil {
			return event{}, 0, false, o.feedFailed(err)
		}
		if !ok {
			return event{}, 0, false, nil
		}
		switch o.machine.Admit(e.sequence, key) {
		case lease.Now:
			return e, key, true, nil
		case lease.Passed:
			o.feed.pass()
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
			NextSequence:  max(o.cache.first, sequence+1),
		})
	}
}

// trackedEvent returns an event that the machine tracks.
func (o *owner) trackedEvent(sequence int64) (event, error) {
	if o.machine.IsRedriven(sequence) {
		_, e, err := o.deadLetter(sequence)
		return e, err
	}
	return o.cache.event(o.topic, sequence)
}

// fits reports whether an event fits the session's window and the reply.
func (b *batchRun) fits(e event) bool {
	if _, room := b.session.room(); int64(len(e.raw)) > room {
		return false
	}
	const overhead = 256 // Beside the event, about; a nack's reason may add to it.
	return b.count == 0 || len(b.encoded)+len(e.raw)+len(e.publisher)+overhead <= int(b.limits.maxBytes)
}

// add leases an event and adds its Delivery.
func (b *batchRun) add(e event, key uint64) error {
	o := b.owner
	size := int32(len(e.raw))
	delivery, ok := o.machine.Deliver(e.sequence, key, b.session.holder, size, b.now.UnixMilli())
	if !ok {
		return errors.New("an event that can't be delivered was to be delivered")
	}
	ref := lease.Ref{Generation: o.machine.Generation(), Sequence: e.sequence, Delivery: delivery.Number}
	switch {
	case delivery.Number != 1, o.feed.take(e.sequence):
	case e.sequence < o.matched:
		// It was blocked until now: the filter may have changed since it was let
		// through.
		b.matched = true
		wanted, err := o.matches(e)
		if err != nil {
			return err
		}
		if !wanted {
			o.machine.Settle(lease.Settlement{Ref: ref, Action: lease.Drop}, b.now.UnixMilli())
			return nil
		}
	}
	b.session.charge(size)
	b.refs = append(b.refs, ref)
	b.count++
	o.tally.delivered++
	if delivery.Number > 1 {
		o.tally.redelivered++
	}
	b.encode(e, ref, delivery)
	return nil
}

// encode adds a Delivery to the encoded DeliveryBatch.
func (b *batchRun) encode(e event, ref lease.Ref, delivery lease.Delivery) {
	if b.suffix == nil || !b.suffixOf.equal(e.recording) {
		b.suffix = eventlog.AppendSuffix(b.suffix[:0], b.owner.subscription.Config.GetTopic(), e.publishTime, e.revision, e.publisher)
		b.suffixOf = e.recording
	}
	if b.deadline == nil || b.deadlineOf != delivery.Deadline {
		b.deadlineOf = delivery.Deadline
		b.deadline = eventlog.Timestamp(time.UnixMilli(delivery.Deadline))
		b.duration = eventlog.Duration(time.Duration(delivery.Deadline-b.now.UnixMilli()) * time.Millisecond)
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
	d := eventlog.AppendRecorded(b.owner.scratch[:0], eventField, b.owner.subscription.Config.GetTopicUid(), e.raw, e.sequence, e.after, b.suffix)
	var token [2 * tokenBytes]byte
	d = protowire.AppendTag(d, tokenField, protowire.BytesType)
	d = protowire.AppendBytes(d, b.owner.tokens.append(token[:0], ref))
	d = protowire.AppendTag(d, attemptField, protowire.VarintType)
	d = protowire.AppendVarint(d, uint64(delivery.Attempt))
	d = protowire.AppendTag(d, deadlineField, protowire.BytesType)
	d = protowire.AppendBytes(d, b.deadline)
	if reason := b.fitting(delivery.Reason, len(d)); reason != "" {
		d = protowire.AppendTag(d, reasonField, protowire.BytesType)
		d = protowire.AppendString(d, reason)
	}
	if delivery.Redriven {
		d = protowire.AppendTag(d, redrivenField, protowire.VarintType)
		d = protowire.AppendVarint(d, 1)
	}
	d = protowire.AppendTag(d, durationField, protowire.BytesType)
	d = protowire.AppendBytes(d, b.duration)
	b.owner.scratch = d
	const batchField = 1
	if b.encoded == nil {
		b.encoded = newBuffer()
	}
	b.encoded = protowire.AppendTag(b.encoded, batchField, protowire.BytesType)
	b.encoded = protowire.AppendBytes(b.encoded, d)
}

// fitting is as much of a reason as can be sent to another server: an event may
// be as large as a message can be.
func (b *batchRun) fitting(reason string, beside int) string {
	const framing = 64
	if room := b.owner.hub.engine.MaxRecordBytes() - len(b.encoded) - beside - framing; len(reason) > room {
		return ""
	}
	return reason
}
