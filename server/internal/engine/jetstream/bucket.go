package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/guard"
)

// bucket is a key-value bucket that this server follows.
type bucket struct {
	name  string
	asks  *link
	kv    jetstream.KeyValue
	watch jetstream.KeyWatcher
	apply func(jetstream.KeyValueEntry)
	log   *slog.Logger
	done  chan struct{}
}

// openBucket opens a bucket, or creates it, and gives its entries to apply: those
// that there are before it returns, and the changes after that, one at a time,
// until close.
func openBucket(ctx context.Context, e *Engine, progress func(), name, description string, apply func(jetstream.KeyValueEntry)) (*bucket, error) {
	b := &bucket{name: name, asks: e.asks, apply: apply, log: e.log, done: make(chan struct{})}
	if err := b.open(ctx, e, progress, description); err != nil {
		return nil, err
	}
	return b, nil
}

// openPassive is openBucket for entries that are only got, not followed. It isn't
// closed.
func openPassive(ctx context.Context, e *Engine, name, description string) (*bucket, error) {
	b := &bucket{name: name, asks: e.asks, log: e.log}
	if err := b.create(ctx, e, description); err != nil {
		return nil, err
	}
	return b, nil
}

func (b *bucket) create(ctx context.Context, e *Engine, description string) error {
	return e.insist(ctx, "bucket "+b.name, func(ctx context.Context) (err error) {
		if b.kv, err = createBucket(ctx, e, b.name, description); err != nil {
			return err
		}
		return e.copies(ctx, b.name)
	})
}

func (b *bucket) open(ctx context.Context, e *Engine, progress func(), description string) error {
	if err := b.create(ctx, e, description); err != nil {
		return err
	}
	err := e.insist(ctx, "bucket "+b.name, func(ctx context.Context) (err error) {
		// The watcher outlives ctx, which bounds opening only.
		b.watch, err = b.kv.WatchAll(context.WithoutCancel(ctx))
		return err
	})
	if err != nil {
		return err
	}
	for {
		progress()
		select {
		case entry := <-b.watch.Updates():
			if entry == nil { // The present state is complete.
				guard.Go(b.follow, func(error) { close(b.done) })
				return nil
			}
			b.apply(entry)
		case <-ctx.Done():
			b.stopWatch()
			return fmt.Errorf("bucket %s: its entries don't arrive: %w", b.name, ctx.Err())
		}
	}
}

func createBucket(ctx context.Context, e *Engine, name, description string) (jetstream.KeyValue, error) {
	kv, err := e.asks.js.KeyValue(ctx, name)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		kv, err = e.asks.js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket:      name,
			Description: description,
			Replicas:    int(e.replicas.Load()),
			Storage:     jetstream.FileStorage,
		})
	}
	return kv, err
}

func bucketStream(bucket string) string { return "KV_" + bucket }

func (b *bucket) subject(key string) string { return "$KV." + b.name + "." + key }

// operationHeader says of an entry that it is a deletion.
const operationHeader = "KV-Operation"

// get returns the entry of a key as the bucket's leader has it, or
// ErrRecordNotFound: where it was deleted, with the revision of that.
func (b *bucket) get(ctx context.Context, key string) (value []byte, revision uint64, err error) {
	stored, err := b.asks.message(ctx, bucketStream(b.name), which{LastOf: b.subject(key)})
	if err != nil {
		return nil, 0, translate(ctx, err)
	}
	if len(stored.Header) > 0 {
		header, err := nats.DecodeHeadersMsg(stored.Header)
		if err != nil {
			return nil, 0, translate(ctx, err)
		}
		if header.Get(operationHeader) != "" {
			return nil, stored.Sequence, engine.ErrRecordNotFound
		}
	}
	return stored.Data, stored.Sequence, nil
}

// put writes the entry of a key where its revision is the given one, 0 for none,
// or returns ErrSequence.
func (b *bucket) put(ctx context.Context, key string, value []byte, after uint64) (revision uint64, err error) {
	return b.write(ctx, key, value, expecting(after))
}

// set is put whatever the revision is.
func (b *bucket) set(ctx context.Context, key string, value []byte) error {
	_, err := b.write(ctx, key, value, nil)
	return err
}

// remove deletes the entry of a key where its revision is the given one, or
// returns ErrSequence.
func (b *bucket) remove(ctx context.Context, key string, after uint64) error {
	header := expecting(after)
	header[operationHeader] = []string{"DEL"}
	_, err := b.write(ctx, key, nil, header)
	return err
}

// drop removes the entry of a key without a trace.
func (b *bucket) drop(ctx context.Context, key string) error {
	return translate(ctx, b.asks.purge(ctx, bucketStream(b.name), purge{Subject: b.subject(key)}))
}

func expecting(revision uint64) nats.Header {
	return nats.Header{jetstream.ExpectedLastSubjSeqHeader: []string{strconv.FormatUint(revision, 10)}}
}

func (b *bucket) write(ctx context.Context, key string, value []byte, header nats.Header) (revision uint64, err error) {
	future, err := b.asks.publish(&nats.Msg{Subject: b.subject(key), Header: header, Data: value})
	if err != nil {
		return 0, translate(ctx, err)
	}
	ack, err := wait(ctx, future)
	if err != nil {
		return 0, translate(ctx, err)
	}
	return ack.Sequence, nil
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
