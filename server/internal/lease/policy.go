package lease

import (
	"math"
	"time"
)

// Policy says for how long events are leased and what follows a failure.
type Policy struct {
	// AckDeadline is how long a lease is.
	AckDeadline time.Duration
	// MinBackoff is the delay after the first attempt.
	MinBackoff time.Duration
	// MaxBackoff is the longest delay.
	MaxBackoff time.Duration
	// Multiplier is by what each delay is longer than the one before. At least
	// 1.
	Multiplier float64
	// MaxAttempts is after how many attempts an event becomes a dead letter.
	// Unlimited: it never does.
	MaxAttempts int
}

// Unlimited is a number of attempts without a bound.
const Unlimited = -1

// exhausted reports whether an event has had its attempts.
func (p Policy) exhausted(attempts uint32) bool {
	return p.MaxAttempts != Unlimited && int64(attempts) >= int64(p.MaxAttempts)
}

// backoff returns the delay after an attempt, in milliseconds.
func (p Policy) backoff(attempt uint32) int64 {
	if p.MinBackoff <= 0 {
		return 0 // Whatever the power is: it may be infinite.
	}
	delay := float64(p.MinBackoff) * math.Pow(p.Multiplier, float64(attempt)-1)
	if delay >= float64(p.MaxBackoff) {
		return milliseconds(p.MaxBackoff)
	}
	return milliseconds(time.Duration(delay))
}

// milliseconds rounds up, so that no delay is shorter than it was promised. One
// below 0 counts as 0.
func milliseconds(d time.Duration) int64 {
	if d <= 0 {
		return 0
	}
	whole := d.Milliseconds()
	if d%time.Millisecond != 0 {
		whole++
	}
	return whole
}
