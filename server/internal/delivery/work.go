package delivery

import (
	"context"
	"time"

	"example.com/tidings/server/internal/engine"

	replicav1 "example.com/tidings/server/internal/gen/tidings/replica/v1"
)

// work answers questions until the subscription is given up, deleted or another
// server's, or its journal can't be written.
func (o *owner) work() error {
	gone := o.hub.engine.SubscriptionGone(o.subscription)
	tick := time.NewTicker(housekeeping)
	defer tick.Stop()
	wake := time.NewTimer(0)
	defer wake.Stop()
	for {
		var batches <-chan *batch
		if o.wanting() && o.feed != nil && !o.feed.started() {
			batches = o.feed.batches
		}
		select {
		case q := <-o.inbox:
			o.take(q)
		case b := <-batches:
			o.feed.begin(b)
		case <-wake.C:
		case <-tick.C:
			if err := o.keepHouse(); err != nil {
				return err
			}
		case <-o.topicGone:
			if err := o.lookAgain(); err != nil {
				return err
			}
		case <-o.typesChanged:
			if err := o.reconfigure(); err != nil {
				return err
			}
		case <-gone:
			return engine.ErrSubscriptionNotFound
		case <-o.hub.quit:
			return o.giveUp()
		}
		if err := o.turn(); err != nil {
			return err
		}
		wake.Reset(o.untilNext())
	}
}

// wanting reports whether new events could be delivered.
func (o *owner) wanting() bool {
	return len(o.waiting) > 0 && o.delivers() && o.machine.CanAdmit()
}

// delivers reports whether the subscription delivers at all.
func (o *owner) delivers() bool {
	return o.topic != nil && o.matcher != nil && !o.subscription.Config.GetPaused()
}

// turn takes what else was asked, decides, writes the journal and answers.
func (o *owner) turn() error {
	for range turnQuestions {
		select {
		case q := <-o.inbox:
			o.take(q)
			continue
		default:
		}
		break
	}
	now := time.Now()
	o.machine.Expire(now.UnixMilli(), turnExpiries, o.credit)
	if err := o.dispatch(now); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), o.hub.writeTimeout)
	defer cancel()
	if err := o.write(ctx); err != nil {
		return err
	}
	for _, a := range o.answers {
		a.question.reply(a.response)
	}
	o.answers = o.answers[:0]
	for _, survey := range o.surveys {
		o.hub.ended.Go(survey.run, survey.failed)
	}
	o.surveys = nil
	o.liftFences(now)
	return o.bury()
}

// turnExpiries bounds the leases that end in a turn.
const turnExpiries = 2000

// An owner that waits longer than this for the storage ends: who asks makes
// another one, which may have a better way to it. What a lone server writes only
// its own disk can hold up.
const (
	writeTimeout      = 3 * time.Second
	aloneWriteTimeout = 10 * time.Second
	compactTimeout    = 10 * time.Second
)

// answer puts off an answer until the journal is written.
func (o *owner) answer(q *question, response *replicav1.OwnerResponse) {
	o.answers = append(o.answers, answer{q, response})
}

func (o *owner) refuse(q *question, e replicav1.OwnerError) { o.answer(q, failure(e)) }

// untilNext is the time until there is something to do that nobody asks for.
func (o *owner) untilNext() time.Duration {
	if o.again {
		o.again = false
		return 0
	}
	now := time.Now()
	next := now.Add(time.Hour)
	if due, ok := o.machine.NextDue(now.UnixMilli()); ok {
		next = earlier(next, time.UnixMilli(due))
	}
	for _, q := range o.waiting {
		next = earlier(next, q.until)
	}
	for _, f := range o.fences {
		next = earlier(next, f.until)
	}
	return max(next.Sub(now), 0)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// take takes one question.
func (o *owner) take(q *question) {
	now := time.Now()
	switch request := q.request.GetRequest().(type) {
	case *replicav1.OwnerRequest_Attach:
		o.attach(q, request.Attach, now)
	case *replicav1.OwnerRequest_Lease:
		o.lease(q, request.Lease, now)
	case *replicav1.OwnerRequest_Resize:
		o.resize(q, request.Resize)
	case *replicav1.OwnerRequest_Detach:
		o.detach(q, request.Detach, now)
	case *replicav1.OwnerRequest_Settle:
		o.settle(q, request.Settle, now)
	case *replicav1.OwnerRequest_Seek:
		o.seek(q, request.Seek, now)
	case *replicav1.OwnerRequest_Inspect:
		o.inspect(q, request.Inspect)
	case *replicav1.OwnerRequest_Refresh:
		o.refresh(q, request.Refresh)
	case *replicav1.OwnerRequest_Redrive:
		o.redrive(q, request.Redrive)
	case *replicav1.OwnerRequest_Purge:
		o.purge(q, request.Purge)
	default:
		o.refuse(q, replicav1.OwnerError_OWNER_ERROR_UNKNOWN_REQUEST)
	}
}

// keepHouse looks for what nobody told, and ends an owner that isn't needed.
func (o *owner) keepHouse() error {
	if err := o.lookAgain(); err != nil {
		return err
	}
	now := time.Now()
	o.forgetSilent(now)
	if len(o.sessions) > 0 {
		o.use(now)
		return nil
	}
	if idle := now.Sub(o.idleSince); idle < idleTime {
		return nil
	}
	return o.giveUp()
}

// lookAgain takes note of what became of the subscription and its topic.
func (o *owner) lookAgain() error {
	ctx, cancel := context.WithTimeout(context.Background(), o.hub.writeTimeout)
	defer cancel()
	present, err := o.hub.engine.Subscription(ctx, o.subscription.Name)
	if err != nil {
		return err
	}
	gone := false
	select {
	case <-o.topicGone:
		gone = true
	default:
	}
	if !gone && present.Revision <= o.subscription.Revision {
		return nil
	}
	return o.configure(ctx, present)
}

// reconfigure takes note of the topic and of the types that are in force now.
func (o *owner) reconfigure() error {
	ctx, cancel := context.WithTimeout(context.Background(), o.hub.writeTimeout)
	defer cancel()
	return o.configure(ctx, o.subscription)
}

// use notes that the subscription is used.
func (o *owner) use(now time.Time) {
	o.usedAt = now.UnixMilli()
	o.idleSince = now
	o.machine.Used(o.usedAt)
}

// giveUp leaves a short journal to the next owner. What is waiting in this turn
// is answered by end.
func (o *owner) giveUp() error {
	ctx, cancel := context.WithTimeout(context.Background(), o.hub.writeTimeout)
	defer cancel()
	if err := o.write(ctx); err != nil {
		return err
	}
	for _, a := range o.answers {
		a.question.reply(a.response)
	}
	o.answers = nil
	if o.written > o.snapshotSize {
		if err := o.compact(); err != nil {
			return err
		}
	}
	return errGivenUp
}

// refresh takes note of the subscription's settings, at least as they were at a
// revision.
func (o *owner) refresh(q *question, request *replicav1.Refresh) {
	ctx, cancel := context.WithTimeout(context.Background(), o.hub.writeTimeout)
	defer cancel()
	if o.subscription.Revision < request.GetRevision() {
		present, err := o.hub.engine.SubscriptionAt(ctx, o.subscription.Name, request.GetRevision())
		if err == nil {
			err = o.configure(ctx, present)
		}
		if err != nil {
			o.refuse(q, errorNumber(err))
			return
		}
	}
	o.fence(q, new(replicav1.OwnerResponse))
}
