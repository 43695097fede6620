package subscription

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// filterText shows a filter to people.
func filterText(f *tidingsv1.EventFilter) string {
	var conditions []string
	if types := f.GetEventTypes(); len(types) > 0 {
		conditions = append(conditions, "type "+strings.Join(types, " or "))
	}
	if f.GetAttributes() != nil {
		conditions = append(conditions, attributeText(f.GetAttributes(), false))
	}
	if f.GetCel() != "" {
		conditions = append(conditions, "where "+f.GetCel())
	}
	if len(conditions) == 0 {
		return "every event"
	}
	return strings.Join(conditions, "; ")
}

// attributeText shows a condition. Inside another one, what has several parts
// stands in parentheses.
func attributeText(f *tidingsv1.AttributeFilter, inside bool) string {
	switch c := f.GetCondition().(type) {
	case *tidingsv1.AttributeFilter_Exact:
		return valuesText(c.Exact, "is", inside)
	case *tidingsv1.AttributeFilter_Prefix:
		return valuesText(c.Prefix, "begins with", inside)
	case *tidingsv1.AttributeFilter_Suffix:
		return valuesText(c.Suffix, "ends with", inside)
	case *tidingsv1.AttributeFilter_All:
		return filtersText(c.All, " and ", inside)
	case *tidingsv1.AttributeFilter_Any:
		return filtersText(c.Any, " or ", inside)
	case *tidingsv1.AttributeFilter_Not:
		return "not " + attributeText(c.Not, true)
	default:
		return fmt.Sprintf("a condition of another version (%T)", c)
	}
}

func valuesText(v *tidingsv1.AttributeValues, relation string, inside bool) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(v.GetValues())) {
		parts = append(parts, name+" "+relation+" "+strconv.Quote(v.GetValues()[name]))
	}
	return joinParts(parts, " and ", inside)
}

func filtersText(f *tidingsv1.AttributeFilters, conjunction string, inside bool) string {
	var parts []string
	for _, one := range f.GetFilters() {
		parts = append(parts, attributeText(one, true))
	}
	return joinParts(parts, conjunction, inside)
}

func joinParts(parts []string, conjunction string, inside bool) string {
	text := strings.Join(parts, conjunction)
	if inside && len(parts) > 1 {
		return "(" + text + ")"
	}
	return text
}
