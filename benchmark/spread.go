package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// topicCounts are into how many topics the topics suite publishes in turns.
var topicCounts = []int{1, 10, 1000}

// topicsSuite publishes the same events to one topic or to many.
var topicsSuite = suite{"topics", "measure one publisher to 1, 10 and 1,000 topics", 1, func(ctx context.Context, cfg config, progress io.Writer) (rows []row, _ func() error, err error) {
	s, err := startBesideYardsticks(ctx, cfg, progress)
	if err != nil {
		return nil, s.stop, err
	}
	for _, count := range topicCounts {
		// Events that a topic has already are repetitions, so each pass has new ones.
		streams, topics := make([]string, count), make([]string, count)
		of := section{"Topics or streams in turns: " + thousandsExactly(count), "raw", rates}
		raw, tidings := fmt.Sprintf("raw NATS, streams: %d", count), fmt.Sprintf("Tidings, pre-encoded, topics: %d", count)
		rows = append(rows,
			moving(cfg, of, raw, raw, func(ctx context.Context) (time.Duration, error) {
				if err := renew(ctx, streams, s.raw.newStream); err != nil {
					return 0, err
				}
				return s.raw.publishSpread(ctx, streams)
			}),
			moving(cfg, of, tidings, raw, func(ctx context.Context) (time.Duration, error) {
				if err := renew(ctx, topics, s.tidings.newTopic); err != nil {
					return 0, err
				}
				return s.tidings.publishTo(ctx, s.tidings.data.encodedRequests, topics)
			}))
	}
	return rows, s.stop, nil
}}

// renew makes each anew.
func renew(ctx context.Context, names []string, anew func(ctx context.Context, instead string) (string, error)) (err error) {
	for i := range names {
		if names[i], err = anew(ctx, names[i]); err != nil {
			return err
		}
	}
	return nil
}

// publishSpread sends a message for each event, to streams in turns.
func (r *rawNATS) publishSpread(ctx context.Context, streams []string) (time.Duration, error) {
	begun := time.Now()
	for i, event := range r.data.encoded {
		if _, err := r.js.PublishAsync(streams[i%len(streams)], event, jetstream.WithStallWait(time.Minute)); err != nil {
			return 0, err
		}
	}
	select {
	case <-r.js.PublishAsyncComplete():
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	elapsed := time.Since(begun)
	stored, err := r.stored(ctx, streams)
	return elapsed, expect("raw NATS stored", stored, len(r.data.encoded), err)
}

// stored is how many messages streams have.
func (r *rawNATS) stored(ctx context.Context, streams []string) (sum int, err error) {
	for _, name := range streams {
		s, err := r.js.Stream(ctx, name)
		if err != nil {
			return 0, err
		}
		sum += int(s.CachedInfo().State.Msgs)
	}
	return sum, nil
}
