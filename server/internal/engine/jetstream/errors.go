package jetstream

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"example.com/tidings/server/internal/engine"
)

// JetStream's codes for the errors that a caller can act upon.
const (
	codeAccountExceeded        = 10002
	codeInsufficientResources  = 10023
	codeMaximumConsumers       = 10026
	codeMemoryExceeded         = 10028
	codeMessageNotFound        = 10037
	codeStorageExceeded        = 10047
	codeMessageExceedsMaximum  = 10054
	codeStreamNotFound         = 10059
	codeWrongLastMessageID     = 10070
	codeWrongLastSequence      = 10071
	codeStreamBytesExceeded    = 10122
	codeIdentityInProcess      = 10158
	codeWrongLastSequenceConst = 10164
	codeAtomicIncomplete       = 10176
	codeAtomicDuplicate        = 10201
	codeAtomicTooMany          = 10210
)

var (
	// errNoStream: nobody answers for a stream, which may be without a leader or
	// not exist.
	errNoStream = fmt.Errorf("%w: no stream answers", engine.ErrUnavailable)
	// errTaken: an identity of an atomic append is taken, or about to be.
	errTaken = fmt.Errorf("%w: an identity is taken", engine.ErrUnavailable)
	// errBusy: too many atomic appends to a stream are under way. Nothing was stored.
	errBusy = fmt.Errorf("%w: too many appends are under way", engine.ErrUnavailable)
)

// translate wraps an error of NATS in one of package engine's. ctx is the
// caller's: where it hasn't ended, a bound of this package has.
func translate(ctx context.Context, err error) error {
	var api *jetstream.APIError
	switch {
	case err == nil:
		return nil
	case engine.IsKnown(err):
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, nats.ErrNoResponders),
		errors.Is(err, jetstream.ErrStreamNotFound):
		return fmt.Errorf("%w: %w", errNoStream, err)
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("%w: %w", engine.ErrTooLarge, err)
	case errors.As(err, &api):
		return fmt.Errorf("%w: %w", apiError(api), err)
	default:
		// A deadline of this package isn't the context's.
		return fmt.Errorf("%w: %v", engine.ErrUnavailable, err) //nolint:errorlint // So it is meant.
	}
}

func apiError(err *jetstream.APIError) error {
	switch err.ErrorCode {
	case codeStreamNotFound:
		return errNoStream
	case codeMessageNotFound:
		return engine.ErrRecordNotFound
	case codeWrongLastSequence, codeWrongLastSequenceConst, codeWrongLastMessageID:
		return engine.ErrSequence
	case codeAtomicDuplicate, codeIdentityInProcess:
		return errTaken
	case codeAtomicIncomplete, codeAtomicTooMany:
		return errBusy
	case codeMessageExceedsMaximum:
		return engine.ErrTooLarge
	case codeAccountExceeded, codeInsufficientResources, codeStorageExceeded, codeMemoryExceeded, codeStreamBytesExceeded, codeMaximumConsumers:
		return engine.ErrFull
	default:
		return engine.ErrUnavailable
	}
}

// call calls f with a context that has the deadline of a call, and translates its
// error.
func call[T any](ctx context.Context, f func(context.Context) (T, error)) (T, error) {
	bounded, cancel := context.WithTimeout(ctx, engine.CallTimeout)
	defer cancel()
	result, err := f(bounded)
	return result, translate(ctx, err)
}

// do is call for what has no result.
func do(ctx context.Context, f func(context.Context) error) error {
	_, err := call(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, f(ctx) })
	return err
}

// topicError is translate for the stream of a topic. Only the configuration says
// whether a topic exists: a stream without a leader doesn't answer either.
func (e *Engine) topicError(ctx context.Context, topic *engine.Topic, err error) error {
	err = translate(ctx, err)
	if errors.Is(err, errNoStream) && e.topics.isGone(ctx, topic) {
		return fmt.Errorf("%w: %v", engine.ErrTopicNotFound, err) //nolint:errorlint // It is this one alone.
	}
	return err
}

// subscriptionError is topicError for the streams of a subscription.
func (e *Engine) subscriptionError(ctx context.Context, s *engine.Subscription, err error) error {
	err = translate(ctx, err)
	if errors.Is(err, errNoStream) && e.subscriptions.isGone(ctx, s) {
		return fmt.Errorf("%w: %v", engine.ErrSubscriptionNotFound, err) //nolint:errorlint // It is this one alone.
	}
	return err
}

// topicCall is call for the stream of a topic.
func topicCall[T any](ctx context.Context, e *Engine, topic *engine.Topic, f func(context.Context) (T, error)) (T, error) {
	var result T
	err := e.topics.check(topic)
	if err == nil {
		result, err = call(ctx, f)
	}
	return result, e.topicError(ctx, topic, err)
}

// subscriptionCall is call for the streams of a subscription.
func subscriptionCall[T any](ctx context.Context, e *Engine, s *engine.Subscription, f func(context.Context) (T, error)) (T, error) {
	var result T
	err := e.subscriptions.check(s)
	if err == nil {
		result, err = call(ctx, f)
	}
	return result, e.subscriptionError(ctx, s, err)
}

// subscriptionDo is subscriptionCall for what has no result.
func subscriptionDo(ctx context.Context, e *Engine, s *engine.Subscription, f func(context.Context) error) error {
	_, err := subscriptionCall(ctx, e, s, func(ctx context.Context) (struct{}, error) { return struct{}{}, f(ctx) })
	return err
}
