package match

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Values are what `${name}` stands for: values of JSON.
type Values map[string]any

// expression matches `${…}`.
var expression = regexp.MustCompile(`\$\{([^}]*)\}`)

// repeat is the field of an element of a list that stands for so many of it.
const repeat = "$repeat"

// repeated is the field beside it that has the element, where that is no message.
const repeated = "$value"

// Repeats returns the element that an element of a list stands for several of,
// where that is no message, or nil.
func Repeats(element map[string]any) any {
	if element[repeat] == nil {
		return nil
	}
	return element[repeated]
}

// index is the value that counts repeated elements, from 0.
const index = "n"

// Uses returns the names of the values that a text uses.
func Uses(text string) []string {
	var names []string
	for _, found := range expression.FindAllStringSubmatch(text, -1) {
		name := found[1]
		if length, ok := strings.CutPrefix(name, "text:"); ok {
			name = length
		}
		if found := sum.FindStringSubmatch(name); found != nil {
			name = found[1]
		}
		if _, err := strconv.Atoi(name); err == nil || now.MatchString(name) {
			continue
		}
		names = append(names, name)
	}
	return names
}

// Expand replaces `${name}` in all texts of a value of JSON, and repeats
// elements of lists. A text that is nothing but `${name}` becomes the value,
// whatever its kind.
func (v Values) Expand(value any) (any, error) {
	switch value := value.(type) {
	case string:
		if !strings.HasPrefix(value, "${") {
			return v.ExpandText(value)
		}
		if found := expression.FindStringSubmatch(value); len(found) == 2 && found[0] == value {
			result, err := v.eval(found[1])
			if inner, isText := result.(string); err != nil || isText || inner != "" {
				return result, err
			}
			return v.Expand(result)
		}
		return v.ExpandText(value)
	case map[string]any:
		result := make(map[string]any, len(value))
		for key, element := range value {
			expandedKey, err := v.ExpandText(key)
			if err != nil {
				return nil, err
			}
			if result[expandedKey], err = v.Expand(element); err != nil {
				return nil, err
			}
		}
		return result, nil
	case []any:
		result := make([]any, 0, len(value))
		for _, element := range value {
			expanded, err := v.elements(element)
			if err != nil {
				return nil, err
			}
			result = append(result, expanded...)
		}
		return result, nil
	default:
		return value, nil
	}
}

// elements expands an element of a list.
func (v Values) elements(element any) ([]any, error) {
	object, _ := element.(map[string]any)
	if _, ok := object[repeat]; !ok {
		expanded, err := v.Expand(element)
		return []any{expanded}, err
	}
	count, err := v.times(object[repeat])
	if err != nil {
		return nil, err
	}
	one := once(object)
	inner := maps.Clone(v)
	result := make([]any, count)
	for i := range result {
		inner[index] = strconv.Itoa(i)
		if result[i], err = inner.Expand(one); err != nil {
			return nil, err
		}
	}
	return result, nil
}

// once is what an element stands for several of.
func once(element map[string]any) any {
	if value := Repeats(element); value != nil {
		return value
	}
	element = maps.Clone(element)
	delete(element, repeat)
	return element
}

// times is how often an element is repeated.
func (v Values) times(value any) (int, error) {
	expanded, err := v.Expand(value)
	if err != nil {
		return 0, err
	}
	count, err := strconv.Atoi(scalar(expanded))
	if err != nil || count < 1 {
		return 0, fmt.Errorf("%s: %v is no number of times", repeat, expanded)
	}
	return count, nil
}

// Repeat repeats the elements of lists in what is expected, and leaves all values
// but their index as they are: later ones may not be there yet.
func (v Values) Repeat(value any) (any, error) {
	switch value := value.(type) {
	case map[string]any:
		result := make(map[string]any, len(value))
		for key, element := range value {
			several, err := v.Repeat(element)
			if err != nil {
				return nil, err
			}
			result[key] = several
		}
		return result, nil
	case []any:
		result := make([]any, 0, len(value))
		for _, element := range value {
			object, _ := element.(map[string]any)
			count, times := 1, object[repeat]
			if times != nil {
				var err error
				if count, err = v.times(times); err != nil {
					return nil, err
				}
				element = once(object)
			}
			for i := range count {
				one, err := v.Repeat(element)
				if err != nil {
					return nil, err
				}
				if times != nil {
					one = withIndex(one, strconv.Itoa(i))
				}
				result = append(result, one)
			}
		}
		return result, nil
	default:
		return value, nil
	}
}

// withIndex replaces the index in all texts of a value.
func withIndex(value any, i string) any {
	switch value := value.(type) {
	case string:
		return strings.ReplaceAll(value, "${"+index+"}", i)
	case map[string]any:
		result := make(map[string]any, len(value))
		for key, element := range value {
			result[key] = withIndex(element, i)
		}
		return result
	case []any:
		result := make([]any, len(value))
		for j, element := range value {
			result[j] = withIndex(element, i)
		}
		return result
	default:
		return value
	}
}

// ExpandText replaces `${name}` in a text.
func (v Values) ExpandText(text string) (string, error) {
	if !strings.Contains(text, "${") {
		return text, nil
	}
	var failure error
	result := expression.ReplaceAllStringFunc(text, func(found string) string {
		value, err := v.eval(found[2 : len(found)-1])
		if err == nil && !isScalar(value) {
			err = fmt.Errorf("%s is not a text", found)
		}
		if err != nil {
			failure = err
		}
		return scalar(value)
	})
	return result, failure
}

// now matches the present time, or one that is so far from it.
var now = regexp.MustCompile(`^now([+-].+)?$`)

// sum matches a number with another one added or subtracted: `max_event_bytes+1`.
var sum = regexp.MustCompile(`^([a-z][a-z0-9_]*)([+-]\d+)$`)

func (v Values) eval(name string) (any, error) {
	if value, ok := v[name]; ok {
		return value, nil
	}
	if found := sum.FindStringSubmatch(name); len(found) == 3 && found[1] != "now" {
		return v.add(found[1], found[2])
	}
	if length, ok := strings.CutPrefix(name, "text:"); ok {
		return v.text(length)
	}
	if found := now.FindStringSubmatch(name); found != nil {
		var offset time.Duration
		if found[1] != "" {
			var err error
			if offset, err = time.ParseDuration(found[1]); err != nil {
				return nil, err
			}
		}
		return time.Now().Add(offset).UTC().Format(time.RFC3339Nano), nil
	}
	return nil, fmt.Errorf("there is no value ${%s}", name)
}

// add returns the sum of a value and a number.
func (v Values) add(name, more string) (any, error) {
	value, err := v.eval(name)
	if err != nil {
		return nil, err
	}
	a, err := strconv.ParseInt(scalar(value), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("${%s%s}: %s is no whole number", name, more, Show(value))
	}
	b, err := strconv.ParseInt(more, 10, 64)
	return json.Number(strconv.FormatInt(a+b, 10)), err
}

// text returns a text of so many characters, or of as many as a value says.
func (v Values) text(length string) (any, error) {
	if value, err := v.eval(length); err == nil {
		length = scalar(value)
	}
	count, err := strconv.Atoi(length)
	if err != nil {
		return nil, fmt.Errorf("${text:%s}: there is no such length", length)
	}
	return strings.Repeat("x", count), nil
}
