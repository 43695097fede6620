package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	storagev1 "example.com/tidings/gen/go/tidings/storage/v1"
)

const (
	topicsBucket = "tidings-topics"
	configFormat = 1
)

// Topic is a topic as it was configured at one revision. It is immutable.
type Topic struct {
	Name string
	// Config is not to be changed.
	Config *storagev1.TopicConfig
	// Revision increases with every change, over all topics.
	Revision uint64
}

// topics keeps the configurations: the key-value bucket is the truth, and
// every server follows it.
type topics struct {
	engine *Engine
	log    *slog.Logger
	bucket jetstream.KeyValue
	watch  jetstream.KeyWatcher
	done   chan struct{}

	mu     sync.RWMutex
	byName map[string]*Topic
	// deleted holds the revision at which a topic went, lest an older update
	// that is still under way brings it back.
	deleted map[string]uint64
	gone    map[uint64]chan struct{} // By uid: see Gone.
}

func openTopics(ctx context.Context, e *Engine) (*topics, error) {
	t := &topics{
		engine:  e,
		log:     e.log,
		done:    make(chan struct{}),
		byName:  make(map[string]*Topic),
		deleted: make(map[string]uint64),
		gone:    make(map[uint64]chan struct{}),
	}
	err := t.openBucket(ctx)
	if err != nil {
		return nil, fmt.Errorf("bucket %s: %w", topicsBucket, err)
	}
	// The watcher outlives ctx, which bounds opening only.
	if t.watch, err = t.bucket.WatchAll(context.WithoutCancel(ctx)); err != nil {
		return nil, fmt.Errorf("bucket %s: %w", topicsBucket, translate(err))
	}
	for {
		select {
		case entry := <-t.watch.Updates():
			if entry == nil { // The present state is complete.
				go t.follow()
				if err := t.reconcile(ctx); err != nil {
					t.close()
					return nil, err
				}
				return t, nil
			}
			t.apply(entry)
		case <-ctx.Done():
			t.stopWatch()
			return nil, fmt.Errorf("bucket %s: %w: %w", topicsBucket, ErrUnavailable, ctx.Err())
		}
	}
}

// openBucket tries for as long as the context allows: a cluster that is forming
// answers nothing, and doesn't answer later what it was asked before.
func (t *topics) openBucket(ctx context.Context) error {
	const attempt = 2 * time.Second
	for {
		one, cancel := context.WithTimeout(ctx, attempt)
		var err error
		t.bucket, err = t.engine.js.CreateOrUpdateKeyValue(one, jetstream.KeyValueConfig{
			Bucket:      topicsBucket,
			Description: "The configuration of every Tidings topic",
			Replicas:    t.engine.replicas,
			Storage:     jetstream.FileStorage,
		})
		if err == nil {
			cancel()
			return nil
		}
		t.log.Warn("JetStream is not ready", "error", err)
		<-one.Done() // An error at once is no reason to ask at once.
		cancel()
		if ctx.Err() != nil {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
}

func (t *topics) follow() {
	defer close(t.done)
	for entry := range t.watch.Updates() {
		if entry != nil {
			t.apply(entry)
		}
	}
}

func (t *topics) close() {
	t.stopWatch()
	<-t.done
}

func (t *topics) stopWatch() {
	if err := t.watch.Stop(); err != nil {
		t.log.Debug("watching topics ended", "error", err)
	}
}

func (t *topics) apply(entry jetstream.KeyValueEntry) {
	if entry.Operation() != jetstream.KeyValuePut {
		t.forget(entry.Key(), entry.Revision())
		return
	}
	topic, err := decodeTopic(entry)
	if err != nil {
		t.log.Error("topic configuration is not readable", "topic", entry.Key(), "error", err)
		return
	}
	t.remember(topic)
}

func decodeTopic(entry jetstream.KeyValueEntry) (*Topic, error) {
	config := new(storagev1.TopicConfig)
	if err := proto.Unmarshal(entry.Value(), config); err != nil {
		return nil, err
	}
	if config.GetFormat() != configFormat {
		return nil, fmt.Errorf("form %d is not known: a later release wrote it", config.GetFormat())
	}
	return &Topic{Name: entry.Key(), Config: config, Revision: entry.Revision()}, nil
}

func (t *topics) remember(topic *Topic) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if known := t.byName[topic.Name]; known != nil && known.Revision >= topic.Revision || t.deleted[topic.Name] >= topic.Revision {
		return
	}
	if known := t.byName[topic.Name]; known != nil && (topic.Config.GetDeleting() || known.Config.GetUid() != topic.Config.GetUid()) {
		t.tellGone(known)
	}
	t.byName[topic.Name] = topic
	delete(t.deleted, topic.Name)
}

func (t *topics) forget(name string, revision uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if known := t.byName[name]; known == nil || known.Revision < revision {
		t.tellGone(known)
		delete(t.byName, name)
		t.deleted[name] = max(revision, t.deleted[name])
	}
}

// reconcile finishes what a crash between two steps left: it brings each
// stream in line and ends deletions.
func (t *topics) reconcile(ctx context.Context) error {
	t.mu.RLock()
	all := slices.Collect(maps.Values(t.byName))
	t.mu.RUnlock()
	for _, topic := range all {
		if topic.Config.GetDeleting() {
			if err := t.finishDelete(ctx, topic); err != nil {
				return err
			}
			continue
		}
		if _, err := t.engine.js.CreateOrUpdateStream(ctx, t.engine.streamConfig(topic)); err != nil {
			return fmt.Errorf("stream of topic %s: %w", topic.Name, translate(err))
		}
	}
	return nil
}

// Topic returns a topic, or ErrTopicNotFound.
func (e *Engine) Topic(ctx context.Context, name string) (*Topic, error) {
	t := e.topics
	t.mu.RLock()
	topic := t.byName[name]
	t.mu.RUnlock()
	if topic == nil {
		// Another server may have created it a moment ago.
		var err error
		if topic, err = t.load(ctx, name); err != nil {
			return nil, err
		}
	}
	if topic.Config.GetDeleting() {
		return nil, ErrTopicNotFound
	}
	return topic, nil
}

func (t *topics) load(ctx context.Context, name string) (*Topic, error) {
	entry, err := t.bucket.Get(ctx, name)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, ErrTopicNotFound
	}
	if err != nil {
		return nil, translate(err)
	}
	topic, err := decodeTopic(entry)
	if err != nil {
		return nil, fmt.Errorf("%w: configuration of topic %s: %w", ErrUnavailable, name, err)
	}
	t.remember(topic)
	return topic, nil
}

// Topics returns every topic, ordered by name.
func (e *Engine) Topics() []*Topic {
	t := e.topics
	t.mu.RLock()
	defer t.mu.RUnlock()
	list := make([]*Topic, 0, len(t.byName))
	for _, name := range slices.Sorted(maps.Keys(t.byName)) {
		if topic := t.byName[name]; !topic.Config.GetDeleting() {
			list = append(list, topic)
		}
	}
	return list
}

// CreateTopic creates a topic and its stream, or returns ErrTopicExists. It
// fills what the caller can't know: format.
func (e *Engine) CreateTopic(ctx context.Context, name string, config *storagev1.TopicConfig) (*Topic, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if existing, err := e.topics.load(ctx, name); err == nil {
		if !existing.Config.GetDeleting() {
			return nil, ErrTopicExists
		}
		if err := e.topics.finishDelete(ctx, existing); err != nil {
			return nil, err
		}
	} else if !errors.Is(err, ErrTopicNotFound) {
		return nil, err
	}
	topic, err := e.topics.put(ctx, &Topic{Name: name, Config: config})
	if errors.Is(err, ErrRevision) {
		return nil, ErrTopicExists
	}
	if err != nil {
		return nil, err
	}
	if _, err := e.js.CreateOrUpdateStream(ctx, e.streamConfig(topic)); err != nil {
		// Without its stream the topic is of no use: take it back.
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
		defer cancel()
		return nil, errors.Join(translate(err), e.DeleteTopic(undo, topic))
	}
	return topic, nil
}

// UpdateTopic changes the configuration of a topic that is still at the
// revision of the given one, or returns ErrRevision.
func (e *Engine) UpdateTopic(ctx context.Context, topic *Topic, config *storagev1.TopicConfig) (*Topic, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	updated, err := e.topics.put(ctx, &Topic{Name: topic.Name, Config: config, Revision: topic.Revision})
	if err != nil {
		return nil, err
	}
	// Of two updates at the same time, the one whose configuration is the older
	// may come to the stream last: it brings the stream to the newer one's.
	for applied := updated; ; {
		if _, err := e.js.UpdateStream(ctx, e.streamConfig(applied)); err != nil {
			return nil, translate(err)
		}
		present, err := e.topics.load(ctx, topic.Name)
		switch {
		case err != nil:
			return nil, err
		case present.Revision == applied.Revision || present.Config.GetDeleting():
			return updated, nil
		}
		applied = present
	}
}

// put writes a topic where its revision, 0 for none, is the present one, or
// returns ErrRevision.
func (t *topics) put(ctx context.Context, topic *Topic) (*Topic, error) {
	topic.Config.Format = configFormat
	value, err := proto.Marshal(topic.Config)
	if err != nil {
		return nil, err
	}
	var revision uint64
	if topic.Revision == 0 {
		revision, err = t.bucket.Create(ctx, topic.Name, value)
	} else {
		revision, err = t.bucket.Update(ctx, topic.Name, value, topic.Revision)
	}
	if err != nil {
		if !errors.Is(err, jetstream.ErrKeyExists) && !errors.Is(translate(err), ErrSequence) {
			return nil, translate(err)
		}
		// Another server may have changed it: the watcher will say so, but the
		// caller may look again at once.
		if _, err := t.load(ctx, topic.Name); err != nil && topic.Revision != 0 {
			return nil, err
		}
		return nil, ErrRevision
	}
	if err := t.engine.syncer.wait(ctx); err != nil {
		return nil, err
	}
	written := &Topic{Name: topic.Name, Config: topic.Config, Revision: revision}
	t.remember(written)
	return written, nil
}

// DeleteTopic deletes a topic that is still at the revision of the given one,
// with its records, or returns ErrRevision.
func (e *Engine) DeleteTopic(ctx context.Context, topic *Topic) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	config := proto.CloneOf(topic.Config)
	config.Deleting = true
	// From here on the topic is gone for clients, and a crash is made good by
	// reconcile.
	deleting, err := e.topics.put(ctx, &Topic{Name: topic.Name, Config: config, Revision: topic.Revision})
	if err != nil {
		return err
	}
	return e.topics.finishDelete(ctx, deleting)
}

func (t *topics) finishDelete(ctx context.Context, topic *Topic) error {
	err := t.engine.js.DeleteStream(ctx, streamName(topic.Name))
	if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return translate(err)
	}
	err = t.bucket.Delete(ctx, topic.Name, jetstream.LastRevision(topic.Revision))
	if err != nil && !errors.Is(translate(err), ErrSequence) { // Another server was faster.
		return translate(err)
	}
	// The deletion has a revision of its own, above the topic's.
	t.forget(topic.Name, topic.Revision+1)
	return nil
}

// bounded gives a context without a deadline the one of a call.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, callTimeout)
}
