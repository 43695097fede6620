package service

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/semaphore"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/eventlog"
	"example.com/tidings/server/internal/filter"
	"example.com/tidings/server/internal/guard"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

const (
	// maxAhead and maxAheadBytes bound the records that are read, and filtered,
	// while a frame is sent.
	maxAhead      = 32
	maxAheadBytes = 1 << 20
	// portionTime is how long a filter may take before what it has decided so far
	// is handed on.
	portionTime = 100 * time.Millisecond
)

// portion is a part of a record, usually all of it.
type portion struct {
	record engine.Record
	// from and to are the events that it is about: to is not included, and may be
	// beyond the last.
	from, to int
	// filtered says that only those in wanted, by their index, are to be sent.
	filtered bool
	wanted   []int
	last     bool // No other portion of the record follows.
	err      error
}

// intake reads the records of a topic and filters them, while a call sends what
// it has read before: a call is alive, and ends when it is to, however long its
// filter takes.
type intake struct {
	reader   engine.Reader
	matcher  *filter.Matcher
	first    int64     // Events with a lower sequence aren't filtered: nobody asks for them.
	fromTime time.Time // Neither are those that were stored before it.
	portions chan portion
	ahead    *semaphore.Weighted // The bytes of records that may be read.
	events   [][]byte            // Reused.
}

// newIntake begins to read. stop ends it and waits until it has ended.
func newIntake(ctx context.Context, in *intake) (stop func()) {
	in.portions = make(chan portion, maxAhead)
	in.ahead = semaphore.NewWeighted(maxAheadBytes)
	ctx, cancel := context.WithCancel(ctx)
	guard.Go(func() error { return in.read(ctx) }, func(err error) {
		_ = in.send(ctx, portion{err: err}) // Or nobody waits for it.
		close(in.portions)
	})
	return func() {
		cancel()
		for range in.portions { // Until it is done with the reader.
		}
		in.reader.Close()
	}
}

// read hands records on until the context ends or reading fails.
func (in *intake) read(ctx context.Context) error {
	for {
		record, err := in.reader.Next(ctx)
		if err != nil {
			return err
		}
		if err := in.ahead.Acquire(ctx, weight(record)); err != nil {
			return err
		}
		if err := in.take(ctx, record); err != nil {
			return err
		}
	}
}

// done is to be called when a portion isn't used any more.
func (in *intake) done(p portion) {
	if p.last {
		in.ahead.Release(weight(p.record))
	}
}

// weight is what a record counts in the bytes ahead: one alone always has room.
func weight(record engine.Record) int64 { return int64(min(len(record.Data), maxAheadBytes)) }

func (in *intake) send(ctx context.Context, p portion) error {
	select {
	case in.portions <- p:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// take filters a record and hands it on.
func (in *intake) take(ctx context.Context, record engine.Record) error {
	p := portion{record: record, to: eventlog.MaxEvents, last: true}
	if record.Data == nil || in.matcher.All() || record.Time.Before(in.fromTime) {
		return in.send(ctx, p)
	}
	var err error
	if in.events, err = eventlog.Events(record.First, record.Data, in.events); err != nil {
		return err
	}
	p.filtered, p.last = true, false
	begun := time.Now()
	for i, raw := range in.events {
		if record.First+int64(i) < in.first {
			continue
		}
		wanted, err := in.matcher.Match(ctx, raw)
		if err != nil {
			return fmt.Errorf("event %d: %w", record.First+int64(i), err)
		}
		if wanted {
			p.wanted = append(p.wanted, i)
		}
		if i%lookEvery == 0 && time.Since(begun) > portionTime {
			p.to = i + 1
			if err := in.send(ctx, p); err != nil {
				return err
			}
			p.from, p.to, p.wanted, begun = i+1, eventlog.MaxEvents, nil, time.Now()
		}
	}
	p.last = true
	return in.send(ctx, p)
}

// lookEvery is the number of events after which a filter looks at the clock.
const lookEvery = 8

// takes reports whether the event with an index is to be sent. It has to be
// asked for each, in their order.
func (p *portion) takes(index int) bool {
	if !p.filtered {
		return true
	}
	if len(p.wanted) == 0 || p.wanted[0] != index {
		return false
	}
	p.wanted = p.wanted[1:]
	return true
}

// keyAttribute is the partition key among the CloudEvents attributes.
const keyAttribute = "partitionkey"

// keyOf returns the partition key that every event has which meets a condition,
// or nothing where that may be more than one.
func keyOf(condition *tidingsv1.AttributeFilter) string {
	if key := condition.GetExact().GetValues()[keyAttribute]; key != "" {
		return key
	}
	for _, one := range condition.GetAll().GetFilters() {
		if key := keyOf(one); key != "" {
			return key
		}
	}
	return ""
}
