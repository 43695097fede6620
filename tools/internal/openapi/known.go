package openapi

// wellKnown are the messages with a form of their own in JSON, and those that the
// document doesn't describe.
var wellKnown = map[string]func() *object{
	"google.protobuf.Timestamp": func() *object {
		return newObject("type", "string", "format", "date-time",
			"description", "A time as in RFC 3339, from year 1 to 9999. Answers have it in UTC, with `Z` at the end.")
	},
	"google.protobuf.Duration": func() *object {
		return newObject("type", "string", "pattern", `^-?[0-9]+(\.[0-9]{1,9})?s$`,
			"description", "A length of time in seconds: `600s`, `1.5s`.", "examples", []string{"600s", "1.5s"})
	},
	"google.protobuf.FieldMask": func() *object {
		return newObject("type", "string",
			"description", "Names of fields in lowerCamelCase, joined by commas; a dot leads into a message.",
			"examples", []string{"description,retention.maxAge"})
	},
	"google.protobuf.Any": func() *object {
		return newObject("type", "object",
			"description", "The content of an event. `@type` names its message, a type that the server has been given, and the "+
				"fields of that message stand beside it, in protobuf's JSON mapping. Of a message with a form of its own in JSON, "+
				"such as a Timestamp, that form is `value`. In answers `value` is also the encoding of the message in base64, "+
				"where it has no form in JSON. `GetEventType` gives the schema of a type.",
			"properties", newObject("@type", newObject("type", "string", "pattern", `(^|/)[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$`,
				"description", "The full name of the message, by convention after `type.googleapis.com/`, as all answers have it.")),
			"required", []string{"@type"},
			"additionalProperties", true,
			"examples", []*object{newObject("@type", "type.googleapis.com/shop.orders.v1.OrderPaid", "orderId", "7")})
	},
	"google.protobuf.FileDescriptorSet": func() *object {
		return newObject("type", "object",
			"description", "Schemas as `google/protobuf/descriptor.proto` describes them, in protobuf's JSON mapping.")
	},
}
