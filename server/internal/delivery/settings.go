package delivery

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/proto"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/filter"
	"example.com/tidings/server/internal/lease"
)

// delivers reports whether the subscription delivers at all.
func (o *owner) delivers() bool {
	return o.topic != nil && o.matcher != nil && !o.subscription.Config.GetPaused()
}

// reload takes note of what became of the subscription and its topic.
func (o *owner) reload() error {
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
		o.feed.stop()
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
	o.feed.stop()
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
