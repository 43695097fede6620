package service

import (
	"errors"
	"strings"

	"example.com/tidings/server/internal/filter"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// filterFault turns an error of filter.Compile into one of the catalogue. field
// is the path of the filter in the request.
func filterFault(err error, field string) error {
	if unknown, ok := errors.AsType[*filter.UnknownTypeError](err); ok {
		return fieldFault(tidingsv1.ErrorReason_ERROR_REASON_EVENT_TYPE_UNKNOWN, field+"."+unknown.Field, unknown.Description, "type", unknown.Name)
	}
	invalid, ok := errors.AsType[*filter.Error](err)
	if !ok {
		return err
	}
	var metadata []string
	if invalid.Type != "" {
		metadata = []string{"type", invalid.Type}
	}
	return fieldFault(tidingsv1.ErrorReason_ERROR_REASON_FILTER_INVALID, strings.TrimSuffix(field+"."+invalid.Field, "."), invalid.Description, metadata...)
}
