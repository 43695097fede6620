package service

import (
	"strings"
	"testing"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// An error of a call inside a call is bounded at both, and the second time it has
// lost what was too long.
func TestBoundedTwice(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 2*maxViolationBytes)
	e := violationFault(tidingsv1.ErrorReason_ERROR_REASON_EVENT_INVALID, &validate.Violations{Violations: []*validate.Violation{
		{RuleId: new("long"), Message: &long}, {RuleId: new("short"), Message: new("y")},
	}})
	once := e.bounded()
	twice := once.bounded()
	if len(once.Violations.GetViolations()) != 1 || len(twice.Fields) != 2 || len(twice.Violations.GetViolations()) != 1 {
		t.Errorf("%v, then %v", once, twice)
	}
}
