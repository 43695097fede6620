package service

import (
	"fmt"
	"strconv"

	"google.golang.org/protobuf/proto"

	"example.com/tidings/server/internal/engine"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// maxPreconditions is the number of preconditions of a request, as the contract
// has it.
const maxPreconditions = 16

// scanPrecondition reads a precondition that is plainly in order. It returns nil
// for any other.
func scanPrecondition(data []byte) *tidingsv1.Precondition {
	p := new(tidingsv1.Precondition)
	if proto.Unmarshal(data, p) != nil || len(p.ProtoReflect().GetUnknown()) > 0 {
		return nil
	}
	if p.PartitionKey != nil && (p.GetPartitionKey() == "" || !plainText(p.GetPartitionKey(), maxKey)) {
		return nil
	}
	switch p.GetExpectation().(type) {
	case *tidingsv1.Precondition_Exists:
		return p
	case *tidingsv1.Precondition_LastSequence:
		if p.GetLastSequence() >= 1 {
			return p
		}
	}
	return nil
}

// checkSubjects returns an error for two preconditions about the same.
func checkSubjects(preconditions []*tidingsv1.Precondition) error {
	if len(preconditions) < 2 {
		return nil
	}
	seen := make(map[string]int, len(preconditions))
	for i, p := range preconditions {
		key := p.GetPartitionKey() // Empty: the topic. A key isn't.
		if first, ok := seen[key]; ok {
			what := "the topic"
			if key != "" {
				what = "the same key"
			}
			return fieldFault(tidingsv1.ErrorReason_ERROR_REASON_REQUEST_INVALID, fmt.Sprintf("preconditions[%d]", i),
				fmt.Sprintf("is about %s, as preconditions[%d] is", what, first))
		}
		seen[key] = i
	}
	return nil
}

// expect turns the preconditions into what the engine checks when it stores the
// batch.
func (s *Service) expect(p *publication) error {
	can := s.engine.Features()
	for i, precondition := range p.preconditions {
		key := precondition.GetPartitionKey()
		if i > 0 && !can.ManyPreconditions {
			return preconditionUnsupported(p.topic.Name, i, "the server checks one precondition of a request: its features lack MULTIPLE_PRECONDITIONS")
		}
		if key != "" && !can.KeyPreconditions {
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
