package filter

import (
	"fmt"
	"slices"
	"strings"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

const (
	// maxDepth is how deep conditions on attributes nest.
	maxDepth = 8
	// maxConditions is how many of them a filter has in all.
	maxConditions = 256
)

// dialect is a kind of condition.
type dialect int

const (
	exact dialect = iota
	prefix
	suffix
	all
	anyOf
	not
)

// condition is an AttributeFilter: one of comparisons or one of conditions
// below it.
type condition struct {
	dialect     dialect
	comparisons []comparison
	below       []condition
}

// comparison is what an attribute is compared with.
type comparison struct{ name, value string }

// compileAttributes makes the condition of a filter.
func compileAttributes(f *tidingsv1.AttributeFilter) (*condition, error) {
	count := 0
	c, err := newCondition(f, "attributes", 1, &count)
	if err != nil {
		return nil, err
	}
	return &c, nil
}

func newCondition(f *tidingsv1.AttributeFilter, path string, depth int, count *int) (condition, error) {
	*count++
	switch {
	case depth > maxDepth:
		return condition{}, &Error{Field: path, Description: fmt.Sprintf("nests deeper than %d conditions", maxDepth)}
	case *count > maxConditions:
		return condition{}, &Error{Field: path, Description: fmt.Sprintf("is one condition more than the %d that are allowed in all", maxConditions)}
	}
	switch f := f.GetCondition().(type) {
	case *tidingsv1.AttributeFilter_Exact:
		return condition{dialect: exact, comparisons: comparisons(f.Exact)}, nil
	case *tidingsv1.AttributeFilter_Prefix:
		return condition{dialect: prefix, comparisons: comparisons(f.Prefix)}, nil
	case *tidingsv1.AttributeFilter_Suffix:
		return condition{dialect: suffix, comparisons: comparisons(f.Suffix)}, nil
	case *tidingsv1.AttributeFilter_All:
		return newConditions(all, f.All, path+".all", depth, count)
	case *tidingsv1.AttributeFilter_Any:
		return newConditions(anyOf, f.Any, path+".any", depth, count)
	case *tidingsv1.AttributeFilter_Not:
		below, err := newCondition(f.Not, path+".not", depth+1, count)
		return condition{dialect: not, below: []condition{below}}, err
	default:
		return condition{}, &Error{Field: path, Description: "has no condition that this server knows"}
	}
}

func newConditions(d dialect, list *tidingsv1.AttributeFilters, path string, depth int, count *int) (condition, error) {
	c := condition{dialect: d}
	for i, f := range list.GetFilters() {
		below, err := newCondition(f, fmt.Sprintf("%s.filters[%d]", path, i), depth+1, count)
		if err != nil {
			return condition{}, err
		}
		c.below = append(c.below, below)
	}
	return c, nil
}

func comparisons(values *tidingsv1.AttributeValues) []comparison {
	var list []comparison
	for name, value := range values.GetValues() {
		list = append(list, comparison{name, value})
	}
	return list
}

// holds reports whether an event meets the condition.
func (c *condition) holds(e *event) (bool, error) {
	switch c.dialect {
	case all, anyOf:
		for i := range c.below {
			holds, err := c.below[i].holds(e)
			if err != nil || holds == (c.dialect == anyOf) {
				return holds, err
			}
		}
		return c.dialect == all, nil
	case not:
		holds, err := c.below[0].holds(e)
		return !holds, err
	default:
		for i := range c.comparisons {
			value, err := e.attribute(c.comparisons[i].name)
			if err != nil || !c.dialect.compares(value, c.comparisons[i].value) {
				return false, err
			}
		}
		return true, nil
	}
}

// compares reports whether an attribute meets a comparison. One that is empty is
// one that the event doesn't have, and what it is compared with never is empty.
func (d dialect) compares(value, with string) bool {
	switch {
	case value == "":
		return false
	case d == prefix:
		return strings.HasPrefix(value, with)
	case d == suffix:
		return strings.HasSuffix(value, with)
	default:
		return value == with
	}
}

// attribute is the CloudEvents attribute of a name, or empty.
func (e *event) attribute(name string) (string, error) {
	switch name {
	case "id":
		return e.ID, nil
	case "source":
		return e.Source, nil
	case "type":
		return e.TypeName(), nil
	case "specversion":
		return "1.0", nil
	case "subject":
		return e.Subject, nil
	case "time":
		return e.timeAttribute(), nil
	case "datacontenttype":
		return "application/protobuf", nil
	case "partitionkey":
		return e.Key, nil
	}
	if err := e.scanAttributes(); err != nil {
		return "", err
	}
	for _, a := range slices.Backward(e.attributes) { // The last of a name counts.
		if a.Name == name {
			return a.Value, nil
		}
	}
	return "", nil
}
