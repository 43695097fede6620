package compat

// rules are those of Buf by which events stay what they are, in their binary and
// in their JSON form. They are stricter than Buf's category WIRE_JSON: that lets
// a field, a value or an extension go whose number is reserved, and an int32
// become an uint32, which is right for schemas and changes what is stored.
//
// That no type of an event goes is seen without Buf: its rules about that are
// about packages, and take an import that fell away for a message that did.
var rules = []string{
	"FIELD_NO_DELETE", "FIELD_SAME_NAME", "FIELD_SAME_JSON_NAME", "FIELD_SAME_TYPE",
	"FIELD_SAME_CARDINALITY", "FIELD_SAME_ONEOF", "FIELD_SAME_DEFAULT", "FIELD_SAME_UTF8_VALIDATION",
	"MESSAGE_SAME_REQUIRED_FIELDS",
	"ENUM_VALUE_NO_DELETE", "ENUM_VALUE_SAME_NAME", "ENUM_SAME_TYPE",
}

// pluginRules are those of the plugin that are about stored events and about who
// publishes them: what was valid stays valid, and events stay where they are and as
// long as they did. The others are about the schemas as a source of code.
var pluginRules = []string{
	"TIDINGS_VALIDATION_NO_TIGHTEN", "TIDINGS_VALIDATION_COMPARABLE", "TIDINGS_ADDED_FIELD_OPTIONAL",
	"TIDINGS_EVENT_OPTION_NO_DELETE", "TIDINGS_EVENT_SAME_TOPIC", "TIDINGS_EVENT_SAME_KEY",
	"TIDINGS_TOPIC_NO_DELETE", "TIDINGS_TOPIC_SAME_DEDUPE", "TIDINGS_TOPIC_NO_SHORTEN", "TIDINGS_TOPIC_TYPES_NO_NARROW",
}
