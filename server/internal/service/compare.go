package service

import (
	"context"
	"errors"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/eventlog"
	"example.com/tidings/server/internal/schema"
)

// adopt gives what was sent the hashes of what is stored under its identities and
// says the same, or returns an error where that says something else. What says
// the same is taken by this batch, each time by other events of it.
func (s *Service) adopt(ctx context.Context, p *publication, taken *engine.ConflictError) error {
	sent, err := eventlog.Events(0, p.batch.Data, nil)
	if err != nil {
		return err
	}
	c := &comparison{service: s, publication: p, types: s.Types(), sent: sent}
	if !p.byEvent() {
		p.batch.Hash = taken.Hash
		return c.request(ctx, taken)
	}
	if err := c.event(ctx, taken); err != nil {
		return err
	}
	for i := range taken.Others {
		if err := c.event(ctx, &taken.Others[i]); err != nil {
			return err
		}
	}
	return nil
}

// comparison compares a batch with what is stored under its identities.
type comparison struct {
	service     *Service
	publication *publication
	types       *schema.Set
	sent        [][]byte

	// first and stored are the record that was read last: what was sent together
	// before is in one.
	first  int64
	stored [][]byte
}

// request compares all events with those of the request that was stored.
func (c *comparison) request(ctx context.Context, taken *engine.ConflictError) error {
	if err := c.read(ctx, taken); err != nil {
		return err
	}
	for i, raw := range c.sent[:min(len(c.sent), len(c.stored))] {
		switch {
		case sameEvent(c.types, raw, c.stored[i]):
		case c.publication.requestID == "" && sameIdentity(raw, c.stored[i]):
			return conflict(c.publication.topic.Name, taken.Sequence+int64(i), raw)
		default:
			return c.otherEvents(taken)
		}
	}
	if len(c.stored) != len(c.sent) {
		return c.otherEvents(taken)
	}
	return nil
}

// otherEvents is the error where what was stored aren't the same events.
func (c *comparison) otherEvents(taken *engine.ConflictError) error {
	topic := c.publication.topic.Name
	if id := c.publication.requestID; id != "" {
		return requestConflict(topic, taken.Sequence, id)
	}
	return corrected(topic, taken.Sequence, c.stored[0])
}

// event compares one event with the one that was stored.
func (c *comparison) event(ctx context.Context, taken *engine.ConflictError) error {
	index := taken.Sequence - c.first
	if index < 0 || index >= int64(len(c.stored)) {
		if err := c.read(ctx, taken); err != nil {
			return err
		}
		index = taken.Sequence - c.first
	}
	if raw := c.sent[taken.Event]; !sameEvent(c.types, raw, c.stored[index]) {
		return conflict(c.publication.topic.Name, taken.Sequence, raw)
	}
	c.publication.batch.Events[taken.Event].Hash = taken.Hash
	return nil
}

// read reads the record that has an identity.
func (c *comparison) read(ctx context.Context, taken *engine.ConflictError) error {
	topic := c.publication.topic
	record, err := c.service.engine.Get(ctx, topic, taken.Sequence)
	if errors.Is(err, engine.ErrRecordNotFound) { // Retention has removed it.
		if id := c.publication.requestID; id != "" {
			return requestConflict(topic.Name, taken.Sequence, id)
		}
		return conflict(topic.Name, taken.Sequence, c.sent[taken.Event])
	}
	if err != nil {
		return storageFault(err, topic.Name)
	}
	c.first = record.First
	c.stored, err = eventlog.Events(record.First, record.Data, nil)
	return err
}
