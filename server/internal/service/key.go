package service

import tidingsv1 "example.com/tidings/gen/go/tidings/v1"

// keyAttribute is the partition key among the CloudEvents attributes.
const keyAttribute = "partitionkey"

// keyOf returns the partition key that every event has which meets a condition,
// or nothing where that may be more than one.
func keyOf(condition *tidingsv1.AttributeFilter) string {
	if key := condition.GetExact().GetValues()[keyAttribute]; key != "" {
		return key
	}
	for _, one := range condition.GetAll().GetFilters() {
		if key := keyOf(one); key != "" {
			return key
		}
	}
	return ""
}
