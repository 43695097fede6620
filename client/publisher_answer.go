package client

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

const (
	// The back-off: how long after the first failure, and at most.
	firstBackOff = 100 * time.Millisecond
	lastBackOff  = 10 * time.Second
	// maxInternal is how often a batch is sent that the server fails with INTERNAL.
	maxInternal = 5
)

// errAnswer is what a server does that doesn't keep to the contract.
var errAnswer = errors.New("the server's answer makes no sense")

// ofOneEvent are the reasons for refusing a whole batch that may be about one event of
// it: the others may be stored without it.
var ofOneEvent = []tidingsv1.ErrorReason{
	tidingsv1.ErrorReason_ERROR_REASON_REQUEST_MALFORMED,
	tidingsv1.ErrorReason_ERROR_REASON_REQUEST_INVALID,
	tidingsv1.ErrorReason_ERROR_REASON_REQUEST_TOO_LARGE,
	tidingsv1.ErrorReason_ERROR_REASON_EVENT_INVALID,
	tidingsv1.ErrorReason_ERROR_REASON_EVENT_MALFORMED,
	tidingsv1.ErrorReason_ERROR_REASON_EVENT_TYPE_UNKNOWN,
	tidingsv1.ErrorReason_ERROR_REASON_EVENT_TYPE_NOT_ALLOWED,
	tidingsv1.ErrorReason_ERROR_REASON_EVENT_TOO_LARGE,
	tidingsv1.ErrorReason_ERROR_REASON_EVENT_ID_CONFLICT,
	tidingsv1.ErrorReason_ERROR_REASON_TOPIC_UNDETERMINED,
}

// answer takes the answer to the first batch in flight.
func (q *publishQueue) answer(response *tidingsv1.PublishStreamResponse, now time.Time) error {
	if len(q.flight) == 0 || response.GetBatch() != q.answered {
		return fmt.Errorf("%w: to batch %d", errAnswer, response.GetBatch())
	}
	b := q.flight[0]
	switch result := response.GetResult().(type) {
	case *tidingsv1.PublishStreamResponse_Published:
		q.published(b, result.Published)
	case *tidingsv1.PublishStreamResponse_Error:
		q.refused(b, result.Error, now)
	default:
		return fmt.Errorf("%w: neither receipts nor an error", errAnswer)
	}
	q.flight = withoutBatch(q.flight, 0)
	q.answered++
	return nil
}

func (q *publishQueue) published(b *publishBatch, response *tidingsv1.PublishResponse) {
	q.failures = 0
	if !b.shared {
		r := b.results[0]
		if len(response.GetReceipts()) == r.events {
			receipts := make([]Receipt, r.events)
			for i, receipt := range response.GetReceipts() {
				receipts[i] = Receipt{response.GetTopic(), receipt.GetSequence(), receipt.GetDuplicate()}
			}
			q.finish(r, receipts, nil)
		}
	} else {
		for _, receipt := range response.GetReceipts() {
			if r := b.at(receipt.GetIndex()); r != nil {
				r.only[0] = Receipt{response.GetTopic(), receipt.GetSequence(), receipt.GetDuplicate()}
				q.finish(r, r.only[:], nil)
			}
		}
		for _, refused := range response.GetRefusedEvents() {
			if r := b.at(refused.GetIndex()); r != nil {
				q.finish(r, nil, ofOneCall(refused.GetError(), refused.GetIndex()))
			}
		}
	}
	q.fail(b, fmt.Errorf("%w: no receipt for an event; %w", errAnswer, ErrOutcomeUnknown)) // There is none left, of a server that works.
}

// at returns the Result at an index, if it has no outcome yet.
func (b *publishBatch) at(index int64) *Result {
	if index < 0 || index >= int64(len(b.results)) || b.results[index].batch != b {
		return nil
	}
	return b.results[index]
}

// refused sends a batch again, as it is or in parts, or fails it.
func (q *publishQueue) refused(b *publishBatch, detail *tidingsv1.ErrorDetail, now time.Time) {
	err := &RefusedError{detail}
	if Retryable(err) {
		b.doubtful = true
		if detail.GetReason() == tidingsv1.ErrorReason_ERROR_REASON_INTERNAL {
			b.internal++
		}
		if b.internal >= maxInternal {
			q.fail(b, fmt.Errorf("%w; %w", err, ErrOutcomeUnknown))
			return
		}
		q.hold(b)
		q.backOff(err, now)
		return
	}
	if !b.doubtful && q.divide(b, detail.GetReason()) {
		return
	}
	q.fail(b, err)
}

// divide sends a batch again in two parts, so that one event is refused by itself. It
// reports whether it does. Of a batch that may be stored it mustn't: no server
// recognises the parts.
func (q *publishQueue) divide(b *publishBatch, reason tidingsv1.ErrorReason) bool {
	if !b.shared || len(b.results)-b.withdrawn < 2 || !slices.Contains(ofOneEvent, reason) {
		return false
	}
	before, after := b.split()
	q.hold(before)
	q.hold(after)
	return true
}

// isOversized refuses or divides a batch that is larger than the server takes, which
// would end the call.
func (q *publishQueue) isOversized(b *publishBatch) bool {
	size, limit := proto.Size(b.request), q.limits.requestBytes
	if limit == 0 || size <= limit {
		return false
	}
	q.tooLarge(b, &RefusedError{&tidingsv1.ErrorDetail{
		Reason:   tidingsv1.ErrorReason_ERROR_REASON_REQUEST_TOO_LARGE,
		Code:     tidingsv1.StatusCode_STATUS_CODE_RESOURCE_EXHAUSTED,
		Message:  fmt.Sprintf("the request has %d bytes, at most %d are allowed", size, limit),
		Metadata: map[string]string{"size": strconv.Itoa(size), "limit": strconv.Itoa(limit)},
	}})
	return true
}

// tooLarge divides or fails a batch that the server doesn't take for its size, and so
// never stored.
func (q *publishQueue) tooLarge(b *publishBatch, err error) {
	if !q.divide(b, tidingsv1.ErrorReason_ERROR_REASON_REQUEST_TOO_LARGE) {
		q.fail(b, err)
	}
}

// lost takes back what is in flight when a call has ended, and decides what becomes of
// it and of the rest.
func (q *publishQueue) lost(err error, now time.Time) {
	q.sending = nil
	lost := q.flight
	q.flight, q.answered = nil, 0
	for _, b := range lost {
		q.hold(b)
	}
	switch {
	case err == nil: // Closed, and nothing is left.
	case isTooLarge(err) && len(lost) == 1:
		q.unhold(lost[0])
		q.tooLarge(lost[0], err)
	case isTooLarge(err) && len(lost) > 1:
		for _, b := range lost { // One of them is, and the others alone are not.
			b.doubtful, b.suspect = true, true
		}
	case passes(err):
		for _, b := range lost {
			b.doubtful = true
		}
		q.backOff(err, now)
	default:
		q.drop(err)
	}
}

// drop fails everything that is in flight or waits to be sent, and returns how many
// events that is.
func (q *publishQueue) drop(err error) (events int) {
	batches := slices.Concat(q.flight, q.again, q.fresh)
	q.flight, q.again, q.fresh = nil, nil, nil
	clear(q.open)
	clear(q.held)
	for _, b := range batches {
		of := err
		if b.sent {
			of = fmt.Errorf("%w; %w", err, ErrOutcomeUnknown)
		}
		for _, r := range b.results {
			if r != nil {
				events += r.events
			}
		}
		q.fail(b, of)
	}
	return events
}

// backOff says when to try again after a failure.
func (q *publishQueue) backOff(err error, now time.Time) {
	delay := min(firstBackOff<<min(q.failures, 10), lastBackOff)
	q.failures++
	delay = delay/2 + rand.N(delay/2) //nolint:gosec // No secret.
	if asked := RetryDelay(err); asked > delay {
		delay = asked + rand.N(asked/4+1) //nolint:gosec // No secret.
	}
	q.retryAt = now.Add(delay)
}
