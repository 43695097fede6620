package engine

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"example.com/tidings/server/internal/guard"
)

// bucket is a key-value bucket that this server follows.
type bucket struct {
	name  string
	kv    jetstream.KeyValue
	watch jetstream.KeyWatcher
	apply func(jetstream.KeyValueEntry)
	log   *slog.Logger
	done  chan struct{}
}

// openBucket opens a bucket, or creates it, and gives its entries to apply: those
// that there are before it returns, and the changes after that, one at a time,
// until close.
func openBucket(ctx context.Context, e *Engine, name, description string, apply func(jetstream.KeyValueEntry)) (*bucket, error) {
	b := &bucket{name: name, apply: apply, log: e.log, done: make(chan struct{})}
	if err := b.open(ctx, e, description); err != nil {
		return nil, fmt.Errorf("bucket %s: %w", name, err)
	}
	return b, nil
}

func (b *bucket) open(ctx context.Context, e *Engine, description string) (err error) {
	if b.kv, err = createBucket(ctx, e, b.name, description); err != nil {
		return err
	}
	// The watcher outlives ctx, which bounds opening only.
	if b.watch, err = b.kv.WatchAll(context.WithoutCancel(ctx)); err != nil {
		return translate(err)
	}
	for {
		select {
		case entry := <-b.watch.Updates():
			if entry == nil { // The present state is complete.
				guard.Go(b.follow, func(error) { close(b.done) })
				return nil
			}
			b.apply(entry)
		case <-ctx.Done():
			b.stopWatch()
			return fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
		}
	}
}

// createBucket tries for as long as the context allows: a cluster that is forming
// answers nothing, and doesn't answer later what it was asked before.
func createBucket(ctx context.Context, e *Engine, name, description string) (jetstream.KeyValue, error) {
	const attempt = 2 * time.Second
	for {
		one, cancel := context.WithTimeout(ctx, attempt)
		kv, err := e.js.CreateOrUpdateKeyValue(one, jetstream.KeyValueConfig{
			Bucket:      name,
			Description: description,
			Replicas:    e.replicas,
			Storage:     jetstream.FileStorage,
		})
		if err == nil {
			cancel()
			return kv, nil
		}
		e.log.Warn("JetStream is not ready", "error", err)
		<-one.Done() // An error at once is no reason to ask at once.
		cancel()
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
}

func (b *bucket) follow() error {
	for entry := range b.watch.Updates() {
		if entry == nil {
			continue
		}
		if err := guard.Do(func() error { b.apply(entry); return nil }); err != nil {
			b.log.Error("following a bucket", "bucket", b.name, "key", entry.Key(), "error", err)
		}
	}
	return nil
}

func (b *bucket) close() {
	b.stopWatch()
	<-b.done
}

func (b *bucket) stopWatch() {
	if err := b.watch.Stop(); err != nil {
		b.log.Debug("watching ended", "bucket", b.name, "error", err)
	}
}
