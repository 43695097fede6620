package delivery

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"time"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/filter"
	"example.com/tidings/server/internal/guard"
	"example.com/tidings/server/internal/lease"
	"example.com/tidings/server/internal/schema"
)

// owner owns one subscription. Its goroutine works in turns: it serves the calls
// that came, decides, writes what it decided into the journal as one entry, and
// only then replies. Where the journal can't be written, nothing that was decided
// counts: the owner ends, and the next one begins with what the journal has.
type owner struct {
	hub     *Hub
	uid     uint64
	name    string // Its own, and not the server's: a server may own it again.
	log     *slog.Logger
	mailbox mailbox

	// What follows belongs to the goroutine.

	subscription *engine.Subscription
	topic        *engine.Topic // nil where the subscription is detached.
	topicGone    <-chan struct{}
	types        *schema.Set     // With which the matcher was compiled.
	typesChanged <-chan struct{} // Closed once others are in force.
	matcher      *filter.Matcher // nil where the filter can't be used.
	matched      int64           // It has let through the tracked events from this sequence on.

	machine  *lease.Machine
	journal  *journal
	tokens   *Tokens
	cache    *cache
	feed     *feed
	sessions *sessions
	outbox   *outbox
	tally    tally

	again     bool   // The next turn has something to do, whatever comes.
	scratch   []byte // For a Delivery in the making.
	usedAt    int64  // When the subscription was last used; the journal knows about.
	idleSince time.Time
}

const (
	// turnCalls bounds what a turn takes.
	turnCalls = 512
	// housekeeping is how often an owner looks for what nobody told it.
	housekeeping = 2 * time.Second
	// idleTime is after how long an owner of a subscription that nobody uses
	// gives it up.
	idleTime = 2 * time.Minute
)

func newOwner(h *Hub, s *engine.Subscription) *owner {
	out, tokens := new(outbox), NewTokens(s.Config)
	if !h.engine.Exclusive() { // Other servers read them too, perhaps of an earlier release.
		tokens.olderVersion()
	}
	return &owner{
		hub:          h,
		uid:          s.Config.GetUid(),
		name:         rand.Text(),
		log:          h.log.With("subscription", s.Name),
		mailbox:      newMailbox(),
		subscription: s,
		tokens:       tokens,
		cache:        &cache{engine: h.engine, timeout: h.writeTimeout},
		sessions:     newSessions(out),
		outbox:       out,
		tally:        newTally(),
		idleSince:    time.Now(),
	}
}

// run owns the subscription until it is given up.
func (o *owner) run() error {
	stop := func() {}
	// Where it panics the next owner begins with what the journal has.
	err := guard.Do(func() (err error) {
		if err = o.open(); err == nil && !o.hub.engine.Exclusive() {
			stop, err = o.hub.engine.Serve(o.subscription, o.receive)
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
	stop() // What still comes is replied to: the mailbox is closed.
	return nil
}

// end refuses all calls that have no reply.
func (o *owner) end(why error) {
	// In this order: who finds the owner from here on finds another.
	o.hub.disown(o)
	o.mailbox.close()
	o.outbox.refuseAll(why)
	o.sessions.refuseAll(why)
	o.mailbox.refuse(why)
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
	o.feed = &feed{machine: o.machine, cache: o.cache}
	if err := o.configure(ctx, present); err != nil {
		return err
	}
	o.journal = newJournal(o.hub.engine, present)
	if err := o.journal.restore(ctx, o.machine); err != nil {
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
	return o.fileDeadLetters() // Before anybody asks for the dead letters.
}

// openTimeout bounds opening: a journal is compacted long before it takes so
// long.
const openTimeout = 30 * time.Second

// write stores what changed in the journal, and with it, where the engine can,
// what becomes of dead letters.
func (o *owner) write(ctx context.Context) error {
	var letters deadLetterChanges
	if o.hub.engine.Features().OneCommit {
		var err error
		if letters, err = o.deadLetterChanges(); err != nil {
			return err
		}
		o.tally.bury(letters.died)
		o.machine.Filed(letters.filed...)
		o.again = o.again || len(letters.filed) > 0 // There may be more.
	}
	changes := o.machine.Changes()
	if len(changes) == 0 {
		return o.confirm(ctx)
	}
	return o.journal.write(ctx, o.machine, changes, letters)
}

// confirm makes sure, where somebody waits for a reply and nothing is to be
// written, that no other server has become the owner: this one may have stood
// still for long, and know nothing of what happened since.
func (o *owner) confirm(ctx context.Context) error {
	if o.outbox.empty() && len(o.sessions.barriers) == 0 || o.hub.engine.Exclusive() {
		return nil
	}
	return o.journal.Check(ctx)
}
