package delivery

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"time"

	"google.golang.org/protobuf/proto"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/filter"
	"example.com/tidings/server/internal/guard"
	"example.com/tidings/server/internal/lease"
	"example.com/tidings/server/internal/schema"

	replicav1 "example.com/tidings/server/internal/gen/tidings/replica/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// owner owns one subscription. Its goroutine works in turns: it takes what was
// asked, decides, writes what it decided into the journal as one entry, and
// only then answers. Where the journal can't be written, nothing that was
// decided counts: the owner ends, and the next one begins with what the journal
// has.
type owner struct {
	hub  *Hub
	uid  uint64
	name string // Its own, and not the server's: a server may own it again.
	log  *slog.Logger

	mailbox chan *call
	ended   chan struct{} // Closed when nothing more is taken from mailbox.

	// What follows belongs to the goroutine.

	subscription *engine.Subscription
	topic        *engine.Topic // nil where the subscription is detached.
	topicGone    <-chan struct{}
	journal      engine.Journal
	machine      *lease.Machine
	matcher      *filter.Matcher // nil where the filter can't be used.
	matched      int64           // It has let through what is on its way from this sequence on.
	types        *schema.Set     // With which the matcher was compiled.
	typesChanged <-chan struct{} // Closed once others are in force.
	tokens       *Tokens
	events       *events
	feed         *feed     // nil unless somebody wants events.
	feedAfter    time.Time // Not before this time, after a failure.

	sessions map[string]*session
	holders  map[uint64]*session
	holder   uint64 // The number of the last session.
	waiting  []*pendingLease
	barriers []*barrier
	replies  []reply   // To be sent when the journal is written.
	backlogs []backlog // To be looked for when it is.
	again    bool      // The next turn has something to do, whatever comes.
	scratch  []byte    // For a Delivery in the making.

	chunkBytes   int   // The size of an entry of the journal, about.
	written      int   // The bytes of the journal since the last snapshot.
	snapshotSize int   // The bytes of the last snapshot.
	usedAt       int64 // When the subscription was last used; the journal knows about.
	idleSince    time.Time
}

// reply is the response to a call.
type reply struct {
	call     *call
	response *response
}

func (r reply) send() { r.call.reply(r.response) }

const (
	mailboxSize = 1024
	// turnCalls bounds what a turn takes.
	turnCalls = 512
	// maxChunk bounds an entry of the journal.
	maxChunk = 512 << 10
	// minSnapshotAfter is how much a journal grows before it is compacted.
	minSnapshotAfter = 4 << 20
	// housekeeping is how often an owner looks for what nobody told it.
	housekeeping = 2 * time.Second
	// idleTime is after how long an owner of a subscription that nobody uses
	// gives it up.
	idleTime = 2 * time.Minute
)

func newOwner(h *Hub, s *engine.Subscription) *owner {
	return &owner{
		hub:          h,
		uid:          s.Config.GetUid(),
		name:         rand.Text(),
		log:          h.log.With("subscription", s.Name),
		mailbox:      make(chan *call, mailboxSize),
		ended:        make(chan struct{}),
		subscription: s,
		tokens:       NewTokens(s.Config),
		sessions:     make(map[string]*session),
		holders:      make(map[uint64]*session),
		chunkBytes:   min(maxChunk, h.engine.MaxRecordBytes()/2),
		idleSince:    time.Now(),
	}
}

// call calls the owner and waits for the response, ErrUnavailable or the
// context's error.
func (o *owner) call(ctx context.Context, r request) (*response, error) {
	replied := make(chan *response, 1)
	c := &call{ctx: ctx, request: r, reply: func(r *response) { replied <- r }}
	select {
	case o.mailbox <- c:
	case <-o.ended:
		return nil, ErrUnavailable
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case response := <-replied:
		return response, nil
	case <-o.ended:
		select {
		case response := <-replied: // Both at once.
			return response, nil
		default:
			return nil, ErrUnavailable
		}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// handleReplica takes a request of another server.
func (o *owner) handleReplica(encoded []byte, reply func([]byte)) {
	message := new(replicav1.OwnerRequest)
	err := guard.Do(func() error { return proto.Unmarshal(encoded, message) })
	if err != nil {
		o.log.Warn("request of another server", "error", err)
		return // It gives up by itself.
	}
	c := &call{ctx: context.Background(), request: decodeRequest(message), reply: func(r *response) {
		encoded, err := proto.Marshal(r.encode())
		if err != nil {
			o.log.Error("response to another server", "error", err)
			return
		}
		reply(encoded)
	}}
	if message.GetPing() != nil {
		select {
		case <-o.ended:
			c.refuse(ErrUnavailable)
		default:
			c.reply(&response{owner: o.name})
		}
		return
	}
	select {
	case o.mailbox <- c:
	case <-o.ended:
		c.refuse(ErrUnavailable)
	}
	select {
	case <-o.ended:
		o.refuseMail(ErrUnavailable) // It may have come after end looked.
	default:
	}
}

// run owns the subscription until it is given up.
func (o *owner) run() error {
	stop := func() {}
	// Where it panics the next owner begins with what the journal has.
	err := guard.Do(func() (err error) {
		if err = o.open(); err == nil && !o.hub.engine.Alone() {
			stop, err = o.hub.engine.Answer(o.subscription, o.handleReplica)
		}
		if err == nil {
			err = o.work()
		}
		return err
	})
	if o.feed != nil {
		o.feed.stop()
	}
	select {
	case <-o.hub.engine.SubscriptionGone(o.subscription):
		err = engine.ErrSubscriptionNotFound // Whatever else it led to.
	default:
	}
	if !errors.Is(err, errGivenUp) {
		o.log.Warn("no longer the owner", "error", err)
	}
	o.end(refusal(err))
	stop() // What still comes is replied to: o.ended is closed.
	return nil
}

// end refuses all calls that have no reply.
func (o *owner) end(why error) {
	// In this order: who finds the owner from here on finds another.
	o.hub.disown(o)
	close(o.ended)
	for _, r := range o.replies {
		r.call.refuse(why)
	}
	for _, p := range o.waiting {
		p.call.refuse(why)
	}
	for _, b := range o.barriers {
		b.reply.call.refuse(why)
	}
	for _, b := range o.backlogs {
		b.reply.call.refuse(why)
	}
	o.refuseMail(why)
}

// refuseMail refuses what nobody will take from the mailbox any more.
func (o *owner) refuseMail(why error) {
	for {
		select {
		case c := <-o.mailbox:
			c.refuse(why)
		default:
			return
		}
	}
}

// errGivenUp ends an owner without a fault.
var errGivenUp = errors.New("given up")

// open reads the journal and puts this server's name into it, from where on no
// other server can write it.
func (o *owner) open() error {
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	gone := o.hub.engine.SubscriptionGone(o.subscription)
	o.hub.ended.Go(func() error { // What is deleted meanwhile may never answer.
		select {
		case <-gone:
			cancel()
		case <-ctx.Done():
		}
		return nil
	}, guard.Log(o.log, "opening"))
	present, err := o.hub.engine.Subscription(ctx, o.subscription.Name)
	if err != nil {
		return err
	}
	if present.Config.GetUid() != o.uid {
		return engine.ErrSubscriptionNotFound
	}
	o.machine = lease.New(present.Config.GetOrdering(), lease.Policy{}, present.Config.GetStartSequence())
	o.machine.StartAt(present.Config.GetNotBefore())
	o.events = newEvents(o)
	if err := o.configure(ctx, present); err != nil {
		return err
	}
	o.journal = o.hub.engine.Journal(present)
	entry := new(storagev1.JournalEntry)
	err = o.journal.Replay(ctx, func(encoded []byte) error {
		o.written += len(encoded)
		proto.Reset(entry)
		if err := proto.Unmarshal(encoded, entry); err != nil {
			return err
		}
		return o.machine.ApplyEntry(entry)
	})
	if err != nil {
		return err
	}
	if err := o.rewind(ctx); err != nil {
		return err
	}
	o.matched = o.machine.Position()
	o.usedAt = o.machine.UsedAt()
	o.machine.Owned(o.hub.name)
	if err := o.write(ctx); err != nil {
		return err
	}
	return o.bury() // Before anybody asks for the dead letters.
}

// openTimeout bounds opening: a journal is compacted long before it takes so
// long.
const openTimeout = 30 * time.Second

// configure takes note of the subscription's settings.
func (o *owner) configure(ctx context.Context, s *engine.Subscription) error {
	before := o.subscription.Config
	o.subscription = s
	o.typesChanged = o.hub.typesChanged() // Before they are asked for.
	retry := s.Config.GetRetryPolicy()
	maxAttempts := int(retry.GetMaxAttempts())
	if retry.GetUnlimitedAttempts() {
		maxAttempts = lease.Unlimited
	}
	o.machine.SetPolicy(lease.Policy{
		AckDeadline: s.Config.GetAckDeadline().AsDuration(),
		MinBackoff:  retry.GetMinBackoff().AsDuration(),
		MaxBackoff:  retry.GetMaxBackoff().AsDuration(),
		Multiplier:  retry.GetMultiplier(),
		MaxAttempts: maxAttempts,
	})
	topic, err := engine.TopicOf(ctx, o.hub.engine, s)
	switch {
	case errors.Is(err, engine.ErrTopicNotFound):
		o.topic, o.topicGone = nil, nil
		o.restartFeed()
		return nil
	case err != nil:
		return err
	}
	o.topic, o.topicGone = topic, o.hub.engine.TopicGone(topic)
	types, same := o.hub.types(), proto.Equal(before.GetFilter(), s.Config.GetFilter())
	if o.matcher != nil && o.types == types && same {
		return nil
	}
	matcher, err := filter.Compile(s.Config.GetFilter(), types, filter.TopicTypes(topic.Name, topic.Config, types))
	o.types = types
	switch {
	case err == nil:
	case o.matcher != nil && same:
		// The topic got a type that it doesn't suit. To the matcher that is here
		// such events don't match, and the others go on.
		o.log.Error("the filter doesn't suit every type of the topic any more", "error", err)
		return nil
	default:
		// It was right when the subscription was made: the server has been
		// given other types since.
		o.log.Error("the filter can't be used", "error", err)
	}
	o.restartFeed()
	o.matcher, o.matched = matcher, o.machine.Position() // nil with an error.
	return nil
}

// matchTime bounds what the owner itself waits for the filter: one event, and
// the filters of others before it.
const matchTime = time.Second

// matches reports whether the filter takes an event. One that it can't decide
// about in time is delivered: it passed an earlier filter.
func (o *owner) matches(e event) (bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), matchTime)
	defer cancel()
	wanted, err := o.matcher.Match(ctx, e.raw)
	if ctx.Err() != nil {
		return true, nil
	}
	return wanted, err
}

// write stores what changed in the journal, and with it, where the engine can,
// what becomes of dead letters.
func (o *owner) write(ctx context.Context) error {
	var f filing
	if o.hub.engine.Features().OneCommit {
		var err error
		if f, err = o.file(); err != nil {
			return err
		}
		o.machine.Filed(f.filed...)
		o.again = o.again || len(f.filed) > 0 // There may be more.
	}
	changes := o.machine.Changes()
	if len(changes) == 0 {
		return o.confirm(ctx)
	}
	entries, size, err := encode(lease.Entries(changes, o.chunkBytes))
	if err != nil {
		return err
	}
	if err := o.journal.Append(ctx, entries, f.letters, f.gone); err != nil {
		return err
	}
	o.written += size
	if o.written < max(minSnapshotAfter, 2*o.snapshotSize) {
		return nil
	}
	return o.compact()
}

// confirm makes sure, where something is to be said and nothing to be written,
// that no other server has become the owner: this one may have stood still for
// long, and know nothing of what happened since.
func (o *owner) confirm(ctx context.Context) error {
	if len(o.replies)+len(o.backlogs)+len(o.barriers) == 0 || o.hub.engine.Alone() {
		return nil
	}
	return o.journal.Check(ctx)
}

// compact replaces the journal by the state.
func (o *owner) compact() error {
	ctx, cancel := context.WithTimeout(context.Background(), compactTimeout)
	defer cancel()
	entries, size, err := encode(o.machine.Snapshot(o.chunkBytes))
	if err != nil {
		return err
	}
	if err := o.journal.Compact(ctx, entries); err != nil {
		return err
	}
	o.written, o.snapshotSize = size, size
	return nil
}

func encode(entries []*storagev1.JournalEntry) (encoded [][]byte, size int, err error) {
	for _, entry := range entries {
		one, err := proto.Marshal(entry)
		if err != nil {
			return nil, 0, err
		}
		encoded = append(encoded, one)
		size += len(one)
	}
	return encoded, size, nil
}
