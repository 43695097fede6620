package service

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/eventlog"
	"example.com/tidings/server/internal/quota"
	"example.com/tidings/server/internal/schema"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// accepted is an event of a batch that passed every check.
type accepted struct {
	index int
	key   string
	of    *schema.Type
}

// publication is a batch that is being stored.
type publication struct {
	topic     *engine.Topic
	requestID string // That it is recognised by. Empty: none.
	publisher string // The principal of the call. Empty: none was asked for.
	accepted  []accepted
	refused   []*tidingsv1.RefusedEvent
	batch     *engine.Batch
	// places are the indexes of the accepted events in the batch, where the
	// topic's dedupe is DEDUPE_EVENT: one that is there twice is stored once.
	places []int
	// append is what was begun first, at a time; it may be begun again. nil: nothing
	// was.
	append engine.Append
	begun  time.Time
	// answered says that the batch is known to be stored.
	answered atomic.Bool
	// preconditions are what the request expects.
	preconditions []*tidingsv1.Precondition
}

// PublishEncoded implements Publish of tidings.v1.PublisherService with the
// encoded request. What it stores are the bytes of the events as they are in it.
func (s *Service) PublishEncoded(ctx context.Context, data []byte) (*tidingsv1.PublishResponse, error) {
	var b batch
	if err := parseBatch(data, &b, 0); err != nil {
		return nil, err
	}
	if err := quota.FromContext(ctx).Publish(len(b.events), len(data)); err != nil {
		return nil, err
	}
	p, err := s.check(ctx, &b, 0)
	s.describePublish(ctx, &b, p)
	if err != nil {
		return nil, err
	}
	if err := s.start(ctx, p, nil, false); err != nil {
		return nil, err
	}
	return s.finish(ctx, p)
}

// check checks a batch and copies its accepted events into a record. The batch
// and the bytes behind it may be used again when it returns. Indexes in errors
// are counted from base. Batches may be checked at the same time.
func (s *Service) check(ctx context.Context, b *batch, base int64) (*publication, error) {
	types := s.Types()
	p := &publication{preconditions: b.preconditions}
	name := b.topic
	if name == "" {
		var err error
		if name, err = topicOf(types, b.events); err != nil {
			return nil, err
		}
	}
	c := &checker{types: types, limits: s.limits, base: base, room: min(len(b.events), maxKeyRoom)}
	if name != "" {
		if err := permitPublish(ctx, name, b.events); err != nil {
			return nil, err
		}
		topic, err := s.engine.Topic(ctx, name)
		if err != nil {
			return nil, storageFault(err, strings.Clone(name))
		}
		p.topic, c.topic = topic, topic
	}
	if err := p.checkEvents(ctx, s, c, b); err != nil {
		return nil, err
	}
	if len(p.accepted) == 0 && len(p.preconditions) == 0 {
		return p, nil
	}
	if p.topic == nil {
		return nil, fieldFault(tidingsv1.ErrorReason_ERROR_REASON_TOPIC_UNDETERMINED, "topic", "must be set")
	}
	p.publisher = principalOf(ctx)
	if err := p.encode(b, types); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *publication) checkEvents(ctx context.Context, s *Service, c *checker, b *batch) error {
	if p.byEvent() {
		if err := checkCount("events", len(b.events), s.engine.Features().MaxEach, " in a topic with DEDUPE_EVENT"); err != nil {
			return err
		}
	}
	p.accepted = make([]accepted, 0, len(b.events))
	var said errorsOf
	for i := range b.events {
		of, key, err := c.check(ctx, i, &b.events[i])
		if ctx.Err() != nil { // Checking all may take longer than anybody waits.
			return ctx.Err()
		}
		if err == nil {
			p.accepted = append(p.accepted, accepted{i, key, of})
			continue
		}
		s.countRefused(c.types, b.events[i].typeName(), err)
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

// byEvent reports whether events are recognised one by one.
func (p *publication) byEvent() bool {
	return p.topic != nil && p.topic.Config.GetDedupe() == optionsv1.Dedupe_DEDUPE_EVENT
}

// encode copies the accepted events, which were checked against these types,
// into a record.
func (p *publication) encode(b *batch, types *schema.Set) error {
	if len(p.accepted) == 0 { // Preconditions alone.
		p.batch = new(engine.Batch)
		return nil
	}
	revisions := p.revisions()
	size := eventlog.HeaderSize(len(p.publisher), len(revisions))
	for _, a := range p.accepted {
		size += len(b.events[a.index].raw) + len(a.key) + 14
	}
	data := eventlog.AppendHeader(make([]byte, 0, size), p.publisher, revisions...)
	p.batch = &engine.Batch{Head: len(data), Events: make([]engine.BatchEvent, 0, len(p.accepted))}
	var known map[engine.ID]int // By the identity: where it is in the batch.
	if p.byEvent() {
		known = make(map[engine.ID]int, len(p.accepted))
		p.places = make([]int, len(p.accepted))
	}
	var content eventlog.Hash
	for i, a := range p.accepted {
		e := &b.events[a.index]
		begin := len(data)
		data = eventlog.AppendEvent(data, e.raw, e.missing(a.key))
		added := engine.BatchEvent{End: len(data), Key: a.key}
		hash := eventlog.HashOf(eventOf(data[begin:]))
		content.Add(hash)
		if p.byEvent() {
			added.ID, added.Hash = eventIdentity(e), hash
			p.places[i] = len(p.batch.Events)
			if other, repeated := known[added.ID]; repeated {
				p.places[i] = other
				if !sameEvent(types, eventOf(data[begin:]), eventOf(p.batch.Bytes(data, other))) {
					return conflictWithin(p.topic.Name, eventOf(data[begin:]))
				}
				data = data[:begin]
				continue
			}
			known[added.ID] = len(p.batch.Events)
		}
		p.batch.Events = append(p.batch.Events, added)
	}
	p.batch.Data = data
	if stored := len(p.batch.Events); stored < len(revisions) {
		p.shorten(revisions)
	}
	if !p.byEvent() {
		p.requestID, p.batch.Hash = strings.Clone(b.requestID), content.Sum()
		if b.requestID == "" {
			p.batch.ID = eventsIdentity(b.events)
		} else {
			p.batch.ID = requestIdentity(p.publisher, b.requestID)
		}
	}
	return nil
}

// revisions are those of the types of the accepted events: of each, or one that
// is that of all.
func (p *publication) revisions() [][schema.RevisionSize]byte {
	first := p.accepted[0].of
	if !slices.ContainsFunc(p.accepted, func(a accepted) bool { return a.of != first }) {
		return [][schema.RevisionSize]byte{first.Revision()}
	}
	revisions := make([][schema.RevisionSize]byte, len(p.accepted))
	for i, a := range p.accepted {
		revisions[i] = a.of.Revision()
	}
	return revisions
}

// shorten takes the revisions of the events out of the header that the batch has
// once and that were there twice.
func (p *publication) shorten(revisions [][schema.RevisionSize]byte) {
	once := make([][schema.RevisionSize]byte, 0, len(p.batch.Events))
	for i, place := range p.places {
		if place == len(once) {
			once = append(once, revisions[i])
		}
	}
	events := p.batch.Data[p.batch.Head:]
	data := eventlog.AppendHeader(make([]byte, 0, len(p.batch.Data)), p.publisher, once...)
	shorter := p.batch.Head - len(data)
	p.batch.Head = len(data)
	data = append(data, events...)
	p.batch.Data = data
	for i := range p.batch.Events {
		p.batch.Events[i].End -= shorter
	}
}

// eventOf is the event in its encoding as a field of a record.
func eventOf(field []byte) []byte {
	_, _, n := protowire.ConsumeTag(field)
	raw, _ := protowire.ConsumeBytes(field[n:])
	return raw
}

// start hands what was checked to the engine; finish completes it. before is what
// the same caller started before, or nil. follows says that nothing is stored
// unless that is.
func (s *Service) start(ctx context.Context, p, before *publication, follows bool) error {
	if p.batch == nil {
		return nil
	}
	if err := s.expect(p); err != nil {
		return err
	}
	if most := s.engine.MaxRecordBytes(); len(p.batch.Data) > most {
		return tooLarge(tidingsv1.ErrorReason_ERROR_REASON_REQUEST_TOO_LARGE, "the request's record", len(p.batch.Data), most)
	}
	p.batch.Follows = follows
	var behind engine.Append
	if before != nil && !before.answered.Load() {
		behind = before.append
	}
	var err error
	p.begun = time.Now()
	p.append, err = s.engine.Start(ctx, p.topic, p.batch, behind)
	return storageFault(err, p.topic.Name)
}

// finish waits until the batch is stored.
func (s *Service) finish(ctx context.Context, p *publication) (*tidingsv1.PublishResponse, error) {
	response := &tidingsv1.PublishResponse{RefusedEvents: p.refused}
	if p.topic != nil {
		response.Topic = p.topic.Name
	}
	if p.batch == nil {
		return response, nil
	}
	stored, err := s.stored(ctx, p)
	if err != nil {
		return nil, err
	}
	p.answered.Store(true)
	s.metrics.Appended(time.Since(p.begun).Seconds())
	receipts := make([]tidingsv1.Receipt, len(p.accepted)) // One allocation for all.
	response.Receipts = make([]*tidingsv1.Receipt, len(p.accepted))
	next := 0 // What has this place is the first with its identity.
	for i, a := range p.accepted {
		index := i
		if p.places != nil {
			index = p.places[i]
		}
		place := stored.Of(index)
		receipts[i].Index = int64(a.index)
		receipts[i].Sequence, receipts[i].Duplicate = place.Sequence, place.Duplicate || index < next
		next = max(next, index+1)
		response.Receipts[i] = &receipts[i]
	}
	s.countPublished(ctx, p, receipts)
	return response, nil
}

// stored waits until the batch is stored, and decides where an identity is taken
// by what has another encoding.
func (s *Service) stored(ctx context.Context, p *publication) (engine.Appended, error) {
	current := p.append // Which others look at.
	for {
		stored, err := current.Wait(ctx)
		if err == nil {
			return stored, nil
		}
		var taken *engine.ConflictError
		var sequence *engine.SequenceError
		switch {
		case errors.As(err, &sequence):
			return stored, mismatch(p, sequence)
		case errors.Is(err, engine.ErrBehind): // All that it is behind has been answered.
		case errors.As(err, &taken):
			if err := s.adopt(ctx, p, taken); err != nil {
				return stored, err
			}
		default:
			return stored, storageFault(err, p.topic.Name)
		}
		if current, err = s.engine.Start(ctx, p.topic, p.batch, nil); err != nil {
			return stored, storageFault(err, p.topic.Name)
		}
	}
}
