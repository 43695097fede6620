package service

import (
	"fmt"
	"strconv"

	"example.com/tidings/server/internal/engine"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// expect turns a precondition into what the engine checks when it stores the
// batch.
func (s *Service) expect(p *publication) error {
	if p.precondition == nil {
		return nil
	}
	key := p.precondition.GetPartitionKey()
	if key != "" {
		if !p.byEvent() && !s.engine.Features().KeyPreconditions {
			return fault(tidingsv1.ErrorReason_ERROR_REASON_KEY_PRECONDITION_UNSUPPORTED,
				fmt.Sprintf("topic %q keeps no sequence of a key: its dedupe is not DEDUPE_EVENT", p.topic.Name), "topic", p.topic.Name)
		}
		for _, a := range p.accepted {
			if a.key != key {
				return fieldFault(tidingsv1.ErrorReason_ERROR_REASON_REQUEST_INVALID, "precondition.partition_key",
					fmt.Sprintf("events[%d] has another key, %q", a.index, a.key))
			}
		}
	}
	p.batch.Expect = []engine.Expectation{{Key: key, Last: p.precondition.GetExpectedLastSequence()}}
	return nil
}

// mismatch is the error for a precondition that doesn't hold.
func mismatch(p *publication, actual int64) error {
	key, expected := p.precondition.GetPartitionKey(), p.precondition.GetExpectedLastSequence()
	metadata := []string{"expected", strconv.FormatInt(expected, 10), "actual", strconv.FormatInt(actual, 10)}
	message := fmt.Sprintf("the last sequence is %d, not %d", actual, expected)
	switch {
	case key != "" && actual == 0:
		message = fmt.Sprintf("the topic holds no event with this key: it has had none, or retention has removed them, %d too", expected)
	case actual == 0:
		message = fmt.Sprintf("the topic has had no event yet, expected was %d", expected)
	}
	if key != "" {
		metadata = append(metadata, "partition_key", key)
	}
	return fault(tidingsv1.ErrorReason_ERROR_REASON_SEQUENCE_MISMATCH, message, metadata...)
}
