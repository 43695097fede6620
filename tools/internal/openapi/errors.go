package openapi

import (
	"maps"
	"slices"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
)

// statuses are Connect's names of the status codes, and their statuses in HTTP, by
// the names in the contract.
var statuses = map[string]struct {
	connect string
	http    int
}{
	"CANCELLED":           {"canceled", 499},
	"UNKNOWN":             {"unknown", 500},
	"INVALID_ARGUMENT":    {"invalid_argument", 400},
	"DEADLINE_EXCEEDED":   {"deadline_exceeded", 504},
	"NOT_FOUND":           {"not_found", 404},
	"ALREADY_EXISTS":      {"already_exists", 409},
	"PERMISSION_DENIED":   {"permission_denied", 403},
	"RESOURCE_EXHAUSTED":  {"resource_exhausted", 429},
	"FAILED_PRECONDITION": {"failed_precondition", 400},
	"ABORTED":             {"aborted", 409},
	"OUT_OF_RANGE":        {"out_of_range", 400},
	"UNIMPLEMENTED":       {"unimplemented", 501},
	"INTERNAL":            {"internal", 500},
	"UNAVAILABLE":         {"unavailable", 503},
	"DATA_LOSS":           {"data_loss", 500},
	"UNAUTHENTICATED":     {"unauthenticated", 401},
}

// details are the messages that an error has beside its code.
var details = []proto.Message{
	&errdetails.ErrorInfo{}, &errdetails.BadRequest{}, &errdetails.QuotaFailure{}, &errdetails.RetryInfo{}, &validate.Violations{},
}

const errorName, detailName, endName = "connect.Error", "connect.ErrorDetail", "connect.EndOfStream"

// errors adds the schemas of what Connect makes of an error.
func (d *document) errors() {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(statuses)) {
		names = append(names, statuses[name].connect)
	}
	found := d.schemas.found
	found[errorName] = newObject("type", "object",
		"description", "An error. Its reason is in the detail `google.rpc.ErrorInfo`, under the name that "+
			"`tidings.v1.ErrorReason` has after `ERROR_REASON_`; docs/errors.md has them all. An error without details comes "+
			"from before the call: a wrong path, method or content type.",
		"properties", newObject(
			"code", newObject("type", "string", "enum", names),
			"message", newObject("type", "string", "description", "What was wrong, for people."),
			"details", newObject("type", "array", "items", reference(detailName))),
		"required", []string{"code"})
	var conditions []*object
	for _, detail := range details {
		message := detail.ProtoReflect().Descriptor()
		conditions = append(conditions, newObject(
			"if", newObject("properties", newObject("type", newObject("const", string(message.FullName())))),
			"then", newObject("properties", newObject("debug", d.schemas.ref(message)))))
	}
	found[detailName] = newObject("type", "object",
		"description", "A message that says more of an error.",
		"properties", newObject(
			"type", newObject("type", "string", "description", "The full name of the message."),
			"value", newObject("type", "string", "contentEncoding", "base64", "pattern", "^[A-Za-z0-9+/]*$",
				"description", "The message in protobuf, in base64 without padding."),
			"debug", newObject("description", "The message in protobuf's JSON mapping.")),
		"required", []string{"type", "value"},
		"allOf", conditions)
	found[endName] = newObject("type", "object",
		"description", "The end of a stream.",
		"properties", newObject(
			"error", reference(errorName),
			"metadata", newObject("type", "object", "description", "What would be trailers.",
				"additionalProperties", newObject("type", "array", "items", newObject("type", "string")))))
}

func reference(name string) *object { return newObject("$ref", schemaPath+name) }

// failure is an answer that is an error.
func failure(description string) *object {
	return newObject("description", description, "content", newObject(unary, newObject("schema", reference(errorName))))
}
