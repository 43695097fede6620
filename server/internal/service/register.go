package service

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"example.com/tidings/server/internal/governance"
	"example.com/tidings/server/internal/schema"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	tidingsv1beta1 "example.com/tidings/gen/go/tidings/v1beta1"
)

// maxListedViolations bounds what CheckCompatibility says of an image.
const maxListedViolations = 1000

// CheckCompatibility implements tidings.v1beta1.SchemaService.
func (s *Service) CheckCompatibility(ctx context.Context, request *tidingsv1beta1.CheckCompatibilityRequest) (*tidingsv1beta1.CheckCompatibilityResponse, error) {
	verdict, err := s.schemas.Check(ctx, request.GetImage())
	if err != nil {
		return nil, schemaFault(err)
	}
	response := &tidingsv1beta1.CheckCompatibilityResponse{
		Revision:          verdict.Before,
		RevisionAfter:     verdict.After,
		ComparedRevisions: int32(verdict.Compared),
	}
	for _, v := range verdict.Violations[:min(len(verdict.Violations), maxListedViolations)] {
		response.Violations = append(response.Violations, &tidingsv1beta1.Violation{
			RuleId:          v.Rule,
			Element:         v.Element,
			File:            v.File,
			Line:            int32(v.Line),
			Message:         v.Message,
			AgainstRevision: v.Against,
		})
	}
	return response, nil
}

// RegisterSchema implements tidings.v1beta1.SchemaService.
func (s *Service) RegisterSchema(ctx context.Context, request *tidingsv1beta1.RegisterSchemaRequest) (*tidingsv1beta1.RegisterSchemaResponse, error) {
	verdict, err := s.schemas.Register(ctx, request.GetImage(), request.GetExpectedRevision(), request.GetValidateOnly())
	if err != nil {
		return nil, schemaFault(err)
	}
	response := &tidingsv1beta1.RegisterSchemaResponse{
		Revision: verdict.After,
		Outcome:  tidingsv1beta1.Outcome_OUTCOME_UNCHANGED,
	}
	if verdict.Changes() {
		response.Outcome = tidingsv1beta1.Outcome_OUTCOME_CREATED
	}
	if request.GetValidateOnly() {
		return response, nil
	}
	// Also where nothing changed: an attempt before may have got no further.
	if err := s.applyTopics(ctx); err != nil {
		return nil, schemaFault(err)
	}
	return response, nil
}

// ReplaceSchemas puts other schemas in the place of those that the service was
// made with, or returns why they are refused: the reason SCHEMA_INVALID,
// SCHEMA_INCOMPATIBLE or SCHEMA_CHECKS_UNAVAILABLE.
func (s *Service) ReplaceSchemas(ctx context.Context, types *schema.Set) error {
	if err := s.schemas.Replace(ctx, types); err != nil {
		return schemaFault(err)
	}
	if err := s.applyTopics(ctx); err != nil {
		// The next change tries again, and the next start.
		s.log.ErrorContext(ctx, "topics are not as the new schemas declare them", "error", err)
	}
	return nil
}

// schemaFault turns an error of the schemas into one of the catalogue.
func schemaFault(err error) error {
	var invalid *governance.InvalidError
	var conflict *governance.ConflictError
	var incompatible *governance.IncompatibleError
	var revision *governance.RevisionError
	switch {
	case errors.As(err, &invalid):
		return fieldFault(tidingsv1beta1.ErrorReason_ERROR_REASON_SCHEMA_INVALID, "image", oneLine(invalid.Problem))
	case errors.As(err, &conflict):
		return fieldFault(tidingsv1beta1.ErrorReason_ERROR_REASON_SCHEMA_INVALID, "image", conflict.Problem)
	case errors.As(err, &incompatible):
		return incompatibleFault(incompatible)
	case errors.As(err, &revision):
		return fault(tidingsv1beta1.ErrorReason_ERROR_REASON_SCHEMA_REVISION_MISMATCH, revision.Error(),
			"expected", revision.Expected, "actual", revision.Actual)
	case errors.Is(err, governance.ErrNoComparer):
		return fault(tidingsv1beta1.ErrorReason_ERROR_REASON_SCHEMA_CHECKS_UNAVAILABLE, err.Error())
	default:
		return storageFault(err, "")
	}
}

// incompatibleFault lists what the schemas would break.
func incompatibleFault(err *governance.IncompatibleError) *Error {
	first := err.Violations[0]
	e := fault(tidingsv1beta1.ErrorReason_ERROR_REASON_SCHEMA_INCOMPATIBLE, err.Error(),
		"violations", strconv.Itoa(len(err.Violations)), "rule", first.Rule,
		"element", first.Element, "against_revision", first.Against)
	for _, v := range err.Violations[:min(len(err.Violations), maxViolations)] {
		e.Fields = append(e.Fields, &tidingsv1.FieldViolation{
			Field:       v.Place(),
			Description: fmt.Sprintf("%s (against revision %s)", v.Message, v.Against),
			RuleId:      v.Rule,
		})
	}
	return e
}

// oneLine makes the text of a library's error fit for a message: they have line
// breaks, and spaces that differ from build to build.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
