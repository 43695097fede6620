package convert

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Compare says in what the payload made from an event differs from the payload
// that the event was made from: one line for each place, nothing when no field
// was lost or altered.
//
// It knows the two documents and nothing of the events, so that it can't share
// a mistake with Decode and Encode. Three differences of form are none of
// content, and are passed over:
//
//   - null or an empty list, and no field at all;
//   - the same point in time in two of GitHub's forms;
//   - the same number with and without a fraction or exponent, as in 1.0 and 1.
//
// It fails if one of the two is not a JSON document.
func Compare(original, made []byte) ([]string, error) {
	want, err := parse(original)
	if err != nil {
		return nil, fmt.Errorf("original: %w", err)
	}
	got, err := parse(made)
	if err != nil {
		return nil, fmt.Errorf("made: %w", err)
	}
	return differences(want, got, ""), nil
}

func differences(want, got any, path string) []string {
	switch w := want.(type) {
	case map[string]any:
		if g, ok := got.(map[string]any); ok {
			return objectDifferences(w, g, path)
		}
	case []any:
		if g, ok := got.([]any); ok && len(g) == len(w) {
			var found []string
			for i := range w {
				found = append(found, differences(w[i], g[i], fmt.Sprintf("%s[%d]", path, i))...)
			}
			return found
		}
	default:
		if want == got || sameNumber(want, got) || sameTime(want, got) {
			return nil
		}
	}
	return []string{fmt.Sprintf("%s: altered from %s to %s", path, text(want), text(got))}
}

func objectDifferences(want, got map[string]any, path string) []string {
	var found []string
	for _, name := range slices.Sorted(maps.Keys(want)) {
		w, at := want[name], join(path, name)
		g, ok := got[name]
		switch {
		case ok:
			found = append(found, differences(w, g, at)...)
		case !isNothing(w):
			found = append(found, fmt.Sprintf("%s: lost %s", at, text(w)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[name]; !ok {
			found = append(found, fmt.Sprintf("%s: added %s", join(path, name), text(got[name])))
		}
	}
	return found
}

// isNothing reports whether a field with this value may be left out.
func isNothing(value any) bool {
	list, ok := value.([]any)
	return value == nil || ok && len(list) == 0
}

func sameNumber(a, b any) bool {
	x, ok := a.(json.Number)
	y, also := b.(json.Number)
	if !ok || !also || !strings.ContainsAny(x.String()+y.String(), ".eE") {
		return false
	}
	f, err := x.Float64()
	g, err2 := y.Float64()
	return err == nil && err2 == nil && f == g
}

func sameTime(a, b any) bool {
	t, err := parseTime(a)
	if err != nil {
		return false
	}
	u, err := parseTime(b)
	return err == nil && t.Equal(u)
}

// text shows a value in a line, cut where it is long.
func text(value any) string {
	shown, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	const most = 60
	if line := []rune(string(shown)); len(line) > most {
		return string(line[:most]) + "…"
	}
	return string(shown)
}
