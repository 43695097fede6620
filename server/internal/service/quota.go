package service

import (
	"cmp"
	"context"
	"strconv"
	"time"

	"example.com/tidings/server/internal/delivery"
	"example.com/tidings/server/internal/quota"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// quotaFault is the error for a caller that has used up what it may.
func quotaFault(exceeded *quota.ExceededError) *Error {
	e := fault(tidingsv1.ErrorReason_ERROR_REASON_QUOTA_EXCEEDED, exceeded.Error(),
		"quota", exceeded.Quota, "limit", strconv.FormatInt(exceeded.Limit, 10))
	// Shorter ones are of no use to anybody.
	e.RetryDelay = max(cmp.Or(exceeded.Delay, retryDelay), time.Millisecond)
	return e
}

// charge waits until the caller's quota allows a batch, which holds the client up in
// the end. A server that drains answers what it has.
func (p *pipeline) charge(ctx context.Context, j *job) error {
	if j.err != nil {
		return nil
	}
	wait := quota.FromContext(ctx).Published(len(j.batch.events), len(j.data))
	if wait <= 0 {
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.service.drain:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// withinQuota lowers the bounds of a batch of deliveries to what a quota allows a
// second.
func withinQuota(meter *quota.Meter, batch delivery.BatchLimits) delivery.BatchLimits {
	limits := meter.Limits()
	if limits.Events > 0 {
		batch.MaxEvents = int32(min(int64(batch.MaxEvents), limits.Events))
	}
	if limits.Bytes > 0 {
		batch.MaxBytes = int(min(int64(batch.MaxBytes), limits.Bytes))
	}
	return batch
}

// maxPause bounds how long a stream of deliveries waits for its quota: the owner takes
// one that asks for nothing in a minute for dead.
const maxPause = 30 * time.Second

// charge waits, after a frame of so many deliveries and bytes, until the caller's quota
// allows another: what isn't leased yet can go to others meanwhile.
func (c *consumer) charge(ctx context.Context, meter *quota.Meter, deliveries, bytes int) error {
	if deliveries == 0 || meter == nil {
		return nil
	}
	pause := meter.Delivered(deliveries, bytes)
	if pause <= 0 {
		return nil
	}
	select {
	case <-time.After(min(pause, maxPause)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
