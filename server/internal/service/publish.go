package service

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/eventlog"
	"example.com/tidings/server/internal/guard"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// accepted is an event of a batch that passed every check.
type accepted struct {
	index int
	key   string
}

// publication is a batch that is being stored.
type publication struct {
	topic     *engine.Topic
	requestID string
	accepted  []accepted
	refused   []*tidingsv1.RefusedEvent
	weight    int64 // The bytes of the records.
	// entries are one record, or one for each accepted event where the topic's
	// dedupe is DEDUPE_EVENT.
	entries []engine.Entry
	// stored is closed once the only entry is stored, or failed: ack and ackErr
	// say which. nil where nothing is on its way before finish.
	stored chan struct{}
	ack    engine.Ack
	ackErr error
	// precondition is what the request expects, or nil.
	precondition *tidingsv1.Precondition
	receipts     []*tidingsv1.Receipt
}

// Publish implements tidings.v1.PublisherService.
func (s *Service) Publish(ctx context.Context, request *tidingsv1.PublishRequest) (*tidingsv1.PublishResponse, error) {
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(request)
	if err != nil {
		return nil, Malformed("", err.Error())
	}
	var b batch
	if err := parseBatch(data, &b, 0); err != nil {
		return nil, err
	}
	p, err := s.check(ctx, &b, 0)
	if err != nil {
		return nil, err
	}
	if err := s.start(ctx, p, false); err != nil {
		return nil, err
	}
	return s.finish(ctx, p)
}

// check checks a batch and copies its accepted events into records. The batch
// and the bytes behind it may be used again when it returns. Indexes in errors
// are counted from base. Batches may be checked at the same time.
func (s *Service) check(ctx context.Context, b *batch, base int64) (*publication, error) {
	types := s.Types()
	p := &publication{precondition: b.precondition}
	name := b.topic
	if name == "" {
		var err error
		if name, err = topicOf(types, b.events); err != nil {
			return nil, err
		}
	}
	c := &checker{types: types, limits: s.limits, base: base}
	if name != "" {
		topic, err := s.engine.Topic(ctx, name)
		if err != nil {
			return nil, storageFault(err, strings.Clone(name))
		}
		p.topic, c.topic = topic, topic
	}
	if err := p.checkEvents(ctx, s, c, b); err != nil {
		return nil, err
	}
	if len(p.accepted) == 0 {
		return p, nil
	}
	if p.topic == nil {
		return nil, fieldFault(tidingsv1.ErrorReason_ERROR_REASON_TOPIC_UNDETERMINED, "topic", "must be set")
	}
	p.encode(b, types.Revision())
	return p, nil
}

func (p *publication) checkEvents(ctx context.Context, s *Service, c *checker, b *batch) error {
	if most := maxEachEvents; p.byEvent() && len(b.events) > most {
		return fieldFault(tidingsv1.ErrorReason_ERROR_REASON_REQUEST_INVALID, "events",
			fmt.Sprintf("must have at most %d items in a topic with DEDUPE_EVENT", most))
	}
	p.accepted = make([]accepted, 0, len(b.events))
	var said errorsOf
	for i := range b.events {
		key, err := c.check(ctx, i, &b.events[i])
		if ctx.Err() != nil { // Checking all may take longer than anybody waits.
			return ctx.Err()
		}
		if err == nil {
			p.accepted = append(p.accepted, accepted{i, key})
			continue
		}
		if !b.skipInvalid {
			return err
		}
		p.refused = append(p.refused, &tidingsv1.RefusedEvent{
			Index: c.base + int64(i),
			Id:    strings.Clone(b.events[i].id),
			Error: said.proto(AsError(ctx, s.log, err)),
		})
	}
	return nil
}

// byEvent says whether events are recognised one by one.
func (p *publication) byEvent() bool {
	return p.topic != nil && p.topic.Config.GetDedupe() == tidingsv1.Dedupe_DEDUPE_EVENT
}

// encode copies the accepted events, which were checked against a revision of the
// schemas, into records.
func (p *publication) encode(b *batch, revision []byte) {
	if p.byEvent() {
		p.entries = make([]engine.Entry, len(p.accepted))
		for i, a := range p.accepted {
			e := &b.events[a.index]
			data := eventlog.AppendEvent(eventlog.AppendHeader(make([]byte, 0, len(e.raw)+len(a.key)+eventlog.HeaderSize+22), revision), e.raw, e.missing(a.key))
			p.entries[i] = engine.Entry{ID: eventIdentity(e), Key: a.key, Data: data}
			p.weight += int64(len(data))
		}
		return
	}
	size := eventlog.HeaderSize
	for _, a := range p.accepted {
		size += len(b.events[a.index].raw) + len(a.key) + 14
	}
	data := eventlog.AppendHeader(make([]byte, 0, size), revision)
	for _, a := range p.accepted {
		data = eventlog.AppendEvent(data, b.events[a.index].raw, b.events[a.index].missing(a.key))
	}
	id := requestIdentity(b.requestID)
	if b.requestID == "" {
		id = eventsIdentity(b.events, p.accepted)
	}
	p.requestID = strings.Clone(b.requestID)
	p.entries = []engine.Entry{{ID: id, Data: data}}
	p.weight = int64(len(data))
}

// late says whether the batch will only be stored by its finish.
func (p *publication) late() bool { return len(p.accepted) > 0 && p.stored == nil }

// start hands what was checked to the engine, as far as that needs no answer and
// doesn't overtake a late batch; finish completes it. Batches of one stream are
// stored in the order of their starts, if behind says that one before is late.
// Only topics that recognise each event have late batches.
func (s *Service) start(ctx context.Context, p *publication, behind bool) error {
	if len(p.accepted) == 0 {
		return nil
	}
	if err := s.expect(ctx, p); err != nil {
		return err
	}
	for _, entry := range p.entries {
		if most := s.engine.MaxRecordBytes(); len(entry.Data) > most {
			return tooLarge(tidingsv1.ErrorReason_ERROR_REASON_REQUEST_TOO_LARGE, "the request's record", len(entry.Data), most)
		}
	}
	if len(p.entries) > 1 || behind && p.byEvent() {
		return nil
	}
	if err := s.acquire(ctx, p); err != nil {
		return err
	}
	started, err := s.engine.Start(p.topic, p.entries[0])
	if err != nil {
		s.release(p)
		return storageFault(err, p.topic.Name)
	}
	p.stored = make(chan struct{})
	guard.Go(func() (err error) {
		// Not the context of the call: what the record holds is given back when
		// the storage has answered, however slowly the caller reads. The engine
		// bounds the wait.
		p.ack, err = started.Wait(context.WithoutCancel(ctx))
		return err
	}, func(err error) {
		p.ackErr = err
		s.release(p)
		close(p.stored)
	})
	return nil
}

// acquire waits until the records may be on their way to the storage.
func (s *Service) acquire(ctx context.Context, p *publication) error {
	return s.inFlight.Acquire(ctx, min(p.weight, maxBytesInFlight))
}

func (s *Service) release(p *publication) { s.inFlight.Release(min(p.weight, maxBytesInFlight)) }

// finish waits until the batch is stored.
func (s *Service) finish(ctx context.Context, p *publication) (*tidingsv1.PublishResponse, error) {
	response := &tidingsv1.PublishResponse{RefusedEvents: p.refused}
	if p.topic != nil {
		response.Topic = p.topic.Name
	}
	if len(p.accepted) == 0 {
		return response, nil
	}
	var err error
	if p.stored != nil {
		err = s.finishOne(ctx, p)
	} else {
		err = s.finishEach(ctx, p)
	}
	if err != nil {
		return nil, err
	}
	response.Receipts = p.receipts
	return response, nil
}

// finishOne waits for the only record.
func (s *Service) finishOne(ctx context.Context, p *publication) error {
	select {
	case <-p.stored:
	case <-ctx.Done():
		return ctx.Err()
	}
	ack, err := p.ack, p.ackErr
	if errors.Is(err, engine.ErrSequence) {
		// A repetition of what succeeded finds the sequence moved on, by itself.
		if ack, err = s.engine.Find(ctx, p.topic, p.entries[0].ID); errors.Is(err, engine.ErrRecordNotFound) {
			return s.mismatch(ctx, p)
		}
	}
	if err != nil {
		return storageFault(err, p.topic.Name)
	}
	if ack.Duplicate {
		if err := s.compare(ctx, p, 0, ack.Sequence); err != nil {
			return err
		}
	}
	p.receive(func(i int) (int64, bool) { return eventlog.SequenceOf(ack.Sequence, i), ack.Duplicate })
	return nil
}

// receive writes the receipts of the accepted events.
func (p *publication) receive(place func(i int) (sequence int64, duplicate bool)) {
	receipts := make([]tidingsv1.Receipt, len(p.accepted)) // One allocation for all.
	p.receipts = make([]*tidingsv1.Receipt, len(p.accepted))
	for i, a := range p.accepted {
		receipts[i].Index = int32(a.index)
		receipts[i].Sequence, receipts[i].Duplicate = place(i)
		p.receipts[i] = &receipts[i]
	}
}

// compare returns an error unless the record that is stored under the identity
// of an entry holds the same events. What retention has removed can't be
// compared and counts as the same.
func (s *Service) compare(ctx context.Context, p *publication, entry int, sequence uint64) error {
	record, err := s.engine.Get(ctx, p.topic, sequence)
	if errors.Is(err, engine.ErrRecordNotFound) {
		return nil
	}
	if err != nil {
		return storageFault(err, p.topic.Name)
	}
	stored, err := eventlog.Events(record.Sequence, record.Data, nil)
	if err != nil {
		return err
	}
	sent, err := eventlog.Events(0, p.entries[entry].Data, nil)
	if err != nil {
		return err
	}
	types := s.Types()
	for i, raw := range sent {
		if i >= len(stored) || !sameEvent(types, raw, stored[i]) {
			return conflict(p.topic.Name, eventlog.SequenceOf(sequence, min(i, len(stored)-1)), p.requestID, raw)
		}
	}
	if len(stored) > len(sent) {
		return conflict(p.topic.Name, eventlog.SequenceOf(sequence, len(sent)), p.requestID, sent[0])
	}
	return nil
}
