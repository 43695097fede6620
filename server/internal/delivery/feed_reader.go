package delivery

import (
	"context"
	"time"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/filter"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// feedReader is what the goroutine of a feed works with.
type feedReader struct {
	engine   engine.Engine
	topic    *engine.Topic
	matcher  *filter.Matcher
	byKey    bool
	position int64
	from     time.Time // Records that were stored before it are left out.
	out      chan<- *feedBatch
	skipped  int
}

// run sends batches until the context ends or reading fails.
func (f *feedReader) run(ctx context.Context) error {
	// Below it there has never been an event.
	f.position = max(f.position, f.engine.Features().FirstSequence)
	reader, err := f.engine.Read(ctx, f.topic, engine.ReadFrom{Sequence: f.position})
	if err != nil {
		return err
	}
	defer reader.Close()
	for {
		stored, err := reader.Next(ctx)
		if err != nil {
			return err
		}
		if err := f.take(ctx, stored); err != nil {
			return err
		}
	}
}

func (f *feedReader) send(ctx context.Context, b *feedBatch) {
	select {
	case f.out <- b:
	case <-ctx.Done():
	}
}

// take filters a record and sends what is to be told of it.
func (f *feedReader) take(ctx context.Context, stored engine.Record) error {
	r, err := newRecord(stored)
	if err != nil {
		return err
	}
	b := &feedBatch{record: r}
	if r.first > f.position {
		b.gap = &tidingsv1.Gap{FirstSequence: f.position, NextSequence: r.first}
		f.position = r.first
	}
	early, begun := r.time.Before(f.from), time.Now()
	for i, raw := range r.events {
		sequence := r.first + int64(i)
		if sequence < f.position {
			continue
		}
		if err := f.filter(ctx, b, i, raw, early); err != nil {
			return err
		}
		if i%feedLook == 0 && time.Since(begun) > feedTime {
			b.position = sequence + 1
			f.pass(ctx, b)
			b, begun = &feedBatch{record: r}, time.Now()
		}
	}
	b.position = r.last + 1
	if len(b.indexes) == 0 && b.gap == nil && f.skipped < feedSkipped && stored.More {
		f.position = b.position
		return ctx.Err() // There is nothing to tell yet.
	}
	f.pass(ctx, b)
	return ctx.Err()
}

// pass sends a batch.
func (f *feedReader) pass(ctx context.Context, b *feedBatch) {
	f.position, f.skipped = b.position, 0
	f.send(ctx, b)
}

// filter adds an event of a record to the batch if it is to be delivered.
func (f *feedReader) filter(ctx context.Context, b *feedBatch, index int, raw []byte, early bool) error {
	wanted := false
	if !early {
		var err error
		if wanted, err = f.matcher.Match(ctx, raw); err != nil {
			return err
		}
	}
	if !wanted {
		f.skipped++
		return nil
	}
	b.indexes = append(b.indexes, index)
	if !f.byKey {
		return nil
	}
	key, err := keyHash(raw)
	b.keys = append(b.keys, key)
	return err
}
