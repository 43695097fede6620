// Package match compares a response, as JSON, with what a case expects of it.
package match

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The matchers: texts that stand for a value in what is expected.
const (
	matcherAny     = "$any"     // There, and not the default.
	matcherAbsent  = "$absent"  // Not there, or the default.
	matcherSave    = "$save"    // There; later steps have it as a value of this name.
	matcherNot     = "$not"     // Another value.
	matcherGreater = "$greater" // A higher number, time or duration, or else a text after it.
	matcherLess    = "$less"    // A lower one.
	matcherMatches = "$matches" // A text with a match of this regular expression.

	othersInList  = "$others"    // In a list: any number of elements.
	anyOrder      = "$any order" // First in a list: its elements come in any order.
	matchersStart = "$"
)

// errNothing says that there is no value where one is expected.
var errNothing = errors.New("is absent")

// Match compares got, decoded from JSON with numbers as json.Number, with want. A
// message has to have the fields that want names, and a list exactly its
// elements. It returns what matchers saved.
func Match(want, got any, values Values) (saved Values, err error) {
	m := &matcher{values: values, saved: Values{}}
	return m.saved, m.match("", want, got)
}

// Saves returns the name under which a matcher saves a value, if it does.
func Saves(text string) (name string, ok bool) {
	matcher, name, _ := strings.Cut(text, " ")
	return name, matcher == matcherSave && name != ""
}

// Check reports whether a text of what is expected is a text or a matcher that
// there is.
func Check(text string) error {
	if !strings.HasPrefix(text, matchersStart) || strings.HasPrefix(text, "${") {
		return nil
	}
	name, argument, _ := strings.Cut(text, " ")
	switch {
	case text == matcherAny, text == matcherAbsent, text == othersInList, text == anyOrder:
		return nil
	case argument != "" && slices.Contains([]string{matcherSave, matcherNot, matcherGreater, matcherLess}, name):
		return nil
	case argument != "" && name == matcherMatches:
		_, err := regexp.Compile(argument)
		return err
	}
	return fmt.Errorf("there is no matcher %q", text)
}

type matcher struct {
	values, saved Values
}

func (m *matcher) match(path string, want, got any) error {
	switch want := want.(type) {
	case map[string]any:
		return m.matchObject(path, want, got)
	case []any:
		return m.matchList(path, want, got)
	case string:
		if strings.HasPrefix(want, matchersStart) && !strings.HasPrefix(want, "${") {
			return at(path, m.matchMatcher(want, got))
		}
		if !strings.Contains(want, "${") {
			return at(path, equal(want, got))
		}
		expanded, err := m.scope().Expand(want)
		if err != nil {
			return at(path, err)
		}
		if _, isText := expanded.(string); !isText {
			return m.match(path, expanded, got)
		}
		want, _ = expanded.(string)
		return at(path, equal(want, got))
	default:
		return at(path, equal(want, got))
	}
}

// scope is the values that there are: those from before, and what was saved.
func (m *matcher) scope() Values {
	if len(m.saved) == 0 {
		return m.values
	}
	scope := Values{}
	maps.Copy(scope, m.values)
	maps.Copy(scope, m.saved)
	return scope
}

func (m *matcher) matchObject(path string, want map[string]any, got any) error {
	object, ok := got.(map[string]any)
	if !ok {
		return at(path, fmt.Errorf("%w, want %s", describe(got), Show(want)))
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if err := m.match(join(path, key), want[key], object[key]); err != nil {
			return err
		}
	}
	return nil
}

func (m *matcher) matchList(path string, want []any, got any) error {
	list, ok := got.([]any)
	if got != nil && !ok {
		return at(path, fmt.Errorf("%w, want a list", describe(got)))
	}
	if len(want) > 0 && want[0] == anyOrder {
		return m.matchAnyOrder(path, want[1:], list)
	}
	return m.matchInOrder(path, want, list, 0)
}

// matchInOrder matches the elements from index on. Where others may stand
// between, it tries from how many on the rest matches.
func (m *matcher) matchInOrder(path string, want, list []any, index int) error {
	if len(want) == 0 {
		if index < len(list) {
			return at(path, fmt.Errorf("has %d elements, want %d; the next is %s", len(list), index, Show(list[index])))
		}
		return nil
	}
	if want[0] == othersInList {
		var err error
		for from := index; from <= len(list); from++ {
			before := maps.Clone(m.saved)
			if err = m.matchInOrder(path, want[1:], list, from); err == nil {
				return nil
			}
			m.saved = before
		}
		return at(path, fmt.Errorf("no place where these are: %s, in %s", Show(want[1:]), Show(list)))
	}
	if index >= len(list) {
		return at(path, fmt.Errorf("has %d elements, want another one: %s", len(list), Show(want[0])))
	}
	if err := m.match(fmt.Sprintf("%s[%d]", path, index), want[0], list[index]); err != nil {
		return err
	}
	return m.matchInOrder(path, want[1:], list, index+1)
}

func (m *matcher) matchAnyOrder(path string, want, list []any) error {
	if len(want) != len(list) {
		return at(path, fmt.Errorf("has %d elements, want %d in any order: %s", len(list), len(want), Show(list)))
	}
	if len(want) == 0 {
		return nil
	}
	var closest error
	for i, candidate := range list {
		before := maps.Clone(m.saved)
		err := m.match(fmt.Sprintf("%s[%d]", path, i), want[0], candidate)
		if err == nil {
			err = m.matchAnyOrder(path, want[1:], slices.Delete(slices.Clone(list), i, i+1))
		}
		if err == nil {
			return nil
		}
		m.saved, closest = before, err
	}
	return closest
}

func (m *matcher) matchMatcher(text string, got any) error {
	name, argument, _ := strings.Cut(text, " ")
	if name == matcherAbsent {
		if !isDefault(got) {
			return fmt.Errorf("%w, want nothing", describe(got))
		}
		return nil
	}
	if isDefault(got) && name != matcherNot {
		return fmt.Errorf("%w, want %s", describe(got), text)
	}
	if name == matcherAny {
		return nil
	}
	if name == matcherSave {
		m.saved[argument] = got
		return nil
	}
	operand, err := m.scope().ExpandText(argument)
	if err != nil {
		return err
	}
	value := scalar(got)
	var met bool
	switch name {
	case matcherNot:
		met = value != operand
	case matcherGreater, matcherLess:
		order, ok := compare(value, operand)
		if !ok {
			order = strings.Compare(value, operand)
		}
		met = name == matcherGreater && order > 0 || name == matcherLess && order < 0
	case matcherMatches:
		pattern, err := regexp.Compile(operand)
		if err != nil {
			return err
		}
		met = pattern.MatchString(value)
	default:
		return fmt.Errorf("there is no matcher %q", text)
	}
	if !met {
		return fmt.Errorf("%w, want %s %s", describe(got), name, operand)
	}
	return nil
}

// equal compares a scalar. A number is the same as its text: 64-bit numbers are
// texts in JSON. What isn't there is the same as the default.
func equal(want, got any) error {
	if isDefault(want) && isDefault(got) || scalar(want) == scalar(got) && isScalar(got) {
		return nil
	}
	return fmt.Errorf("%w, want %s", describe(got), Show(want))
}

// compare orders two numbers, times or durations.
func compare(a, b string) (order int, ok bool) {
	if x, ok := new(big.Rat).SetString(a); ok {
		if y, ok := new(big.Rat).SetString(b); ok {
			return x.Cmp(y), true
		}
	}
	if x, err := time.Parse(time.RFC3339Nano, a); err == nil {
		if y, err := time.Parse(time.RFC3339Nano, b); err == nil {
			return x.Compare(y), true
		}
	}
	x, err := time.ParseDuration(a)
	if err != nil {
		return 0, false
	}
	y, err := time.ParseDuration(b)
	return int(x - y), err == nil
}

func isDefault(value any) bool {
	switch value := value.(type) {
	case map[string]any:
		return false
	case []any:
		return len(value) == 0
	default:
		text := scalar(value)
		return text == "" || text == "0" || text == "false" || strings.HasSuffix(text, "_UNSPECIFIED")
	}
}

func isScalar(value any) bool {
	switch value.(type) {
	case map[string]any, []any:
		return false
	default:
		return true
	}
}

// scalar is a scalar as a text.
func scalar(value any) string {
	switch value := value.(type) {
	case nil:
		return ""
	case string:
		return value
	case float64:
		return strconv.FormatFloat(value, 'f', -1, 64)
	case json.Number:
		if f, err := value.Float64(); err == nil && strings.ContainsAny(value.String(), ".eE") {
			return strconv.FormatFloat(f, 'f', -1, 64)
		}
		return value.String()
	default:
		return fmt.Sprint(value)
	}
}

// describe says what came.
func describe(got any) error {
	if got == nil {
		return errNothing
	}
	return errors.New("is " + Show(got))
}

// shown is how much of a value Show shows, in characters.
const shown = 500

// Show is a value as JSON, cut where it is long: for people.
func Show(value any) string {
	encoded, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	if text := []rune(string(encoded)); len(text) > shown {
		return string(text[:shown]) + "…"
	}
	return string(encoded)
}

func at(path string, err error) error {
	if err == nil || path == "" {
		return err
	}
	return fmt.Errorf("%s %w", path, err)
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
