package contract

import (
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// Limits returns the names of the fields of Limits in the schema, such as
// `max_event_bytes`, and by each its name in JSON.
func Limits() map[string]string {
	names := map[string]string{}
	fields := (*tidingsv1.Limits)(nil).ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		names[string(fields.Get(i).Name())] = fields.Get(i).JSONName()
	}
	return names
}

// FeatureName is how a server names a feature in GetServerInfo.
func FeatureName(feature tidingsv1.Feature) string {
	return strings.TrimPrefix(feature.String(), "FEATURE_")
}

// FeatureOf returns the feature without which a server doesn't have an RPC, or
// FEATURE_UNSPECIFIED where every server has it.
func FeatureOf(rpc protoreflect.MethodDescriptor) tidingsv1.Feature {
	switch rpc.Parent().FullName() {
	case "tidings.v1.SubscriptionService", "tidings.v1.ConsumerService", "tidings.v1.DeadLetterService":
		return tidingsv1.Feature_FEATURE_SUBSCRIPTIONS
	}
	if Name(rpc) == "tidings.v1.SchemaService/ListEventTypeRevisions" {
		return tidingsv1.Feature_FEATURE_EVENT_TYPE_REVISIONS
	}
	return tidingsv1.Feature_FEATURE_UNSPECIFIED
}
