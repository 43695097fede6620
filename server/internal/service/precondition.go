package service

import (
	"fmt"
	"strconv"

	"example.com/tidings/server/internal/engine"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// expect turns the preconditions into what the engine checks when it stores the
// batch.
func (s *Service) expect(p *publication) error {
	for i, precondition := range p.preconditions {
		key := precondition.GetPartitionKey()
		if key != "" && !s.engine.Features().KeyPreconditions {
			if !p.byEvent() {
				return preconditionUnsupported(p.topic.Name, i, "the topic keeps no sequence of a key: its dedupe is not DEDUPE_EVENT")
			}
			for _, a := range p.accepted {
				if a.key != key {
					return preconditionUnsupported(p.topic.Name, i, fmt.Sprintf("events[%d] has another key, %q", a.index, a.key))
				}
			}
		}
		p.batch.Expect = append(p.batch.Expect, engine.Expectation{
			Key: key, Last: precondition.GetLastSequence(), Some: precondition.GetExists(),
		})
	}
	return nil
}

func preconditionUnsupported(topic string, index int, why string) error {
	return fieldFault(tidingsv1.ErrorReason_ERROR_REASON_PRECONDITION_UNSUPPORTED,
		fmt.Sprintf("preconditions[%d]", index), why, "topic", topic)
}

// mismatch is the error for a precondition that doesn't hold.
func mismatch(p *publication, failed *engine.SequenceError) error {
	precondition := p.preconditions[failed.Expectation]
	expected := strconv.FormatInt(precondition.GetLastSequence(), 10)
	if _, ok := precondition.GetExpectation().(*tidingsv1.Precondition_Exists); ok {
		expected = map[bool]string{true: "some", false: "none"}[precondition.GetExists()]
	}
	actual := "none"
	if failed.Actual != 0 {
		actual = strconv.FormatInt(failed.Actual, 10)
	}
	of, metadata := "the topic", []string{"expected", expected, "actual", actual}
	if key := precondition.GetPartitionKey(); key != "" {
		of, metadata = "the key", append(metadata, "partition_key", key)
	}
	return fieldFault(tidingsv1.ErrorReason_ERROR_REASON_SEQUENCE_MISMATCH, fmt.Sprintf("preconditions[%d]", failed.Expectation),
		fmt.Sprintf("the last event of %s is %s, expected was %s", of, actual, expected), metadata...)
}
