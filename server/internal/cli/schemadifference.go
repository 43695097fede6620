package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// The changes of a difference, and the signs that they are shown with.
const (
	changeAdded   = "added"
	changeRemoved = "removed"
	changeChanged = "changed"
)

var changeSigns = map[string]string{changeAdded: "+", changeRemoved: "-", changeChanged: "~"}

// difference is one thing in which schemas differ.
type difference struct {
	Change string `json:"change"`
	// Kind and Name say of what: see schemaElement.
	Kind string `json:"kind"`
	Name string `json:"name"`
	// Fact is what changed of it, such as `type` or `rules`. Empty where it was
	// added or removed.
	Fact string `json:"fact,omitempty"`
	// Before and After are empty where there was, or is, nothing.
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

func (d difference) String() string {
	text := fmt.Sprintf("%s %s %s", changeSigns[d.Change], d.Kind, d.Name)
	switch {
	case d.Change == changeAdded && d.After != "":
		text += ": " + d.After
	case d.Change == changeRemoved && d.Before != "":
		text += ": " + d.Before
	case d.Change != changeChanged:
	case d.Before == "":
		text += fmt.Sprintf(": %s added: %s", d.Fact, d.After)
	case d.After == "":
		text += fmt.Sprintf(": %s removed: %s", d.Fact, d.Before)
	default:
		text += fmt.Sprintf(": %s %s → %s", d.Fact, d.Before, d.After)
	}
	return text
}

// differences returns in what schemas differ, ordered by name. What is in
// something that was added or removed isn't said besides.
func differences(before, after schemaElements) []difference {
	var list []difference
	for key, element := range after {
		older, ok := before[key]
		switch {
		case ok:
			list = append(list, changes(older, element)...)
		case element.kind == kindFile || after[element.parent] != nil && before[element.parent] == nil:
		default:
			list = append(list, difference{Change: changeAdded, Kind: element.kind, Name: element.name, After: element.summary})
		}
	}
	for key, element := range before {
		if after[key] != nil || element.kind == kindFile ||
			before[element.parent] != nil && after[element.parent] == nil {
			continue
		}
		list = append(list, difference{Change: changeRemoved, Kind: element.kind, Name: element.name, Before: element.summary})
	}
	slices.SortFunc(list, func(a, b difference) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Kind, b.Kind), strings.Compare(a.Change, b.Change), strings.Compare(a.Fact, b.Fact))
	})
	return list
}

// changes returns what changed of an element that both schemas have.
func changes(before, after *schemaElement) []difference {
	var list []difference
	note := func(name string) {
		if before.facts[name] != after.facts[name] {
			list = append(list, difference{
				Change: changeChanged, Kind: after.kind, Name: after.name,
				Fact: name, Before: before.facts[name], After: after.facts[name],
			})
		}
	}
	for name := range after.facts {
		note(name)
	}
	for name := range before.facts {
		if _, ok := after.facts[name]; !ok {
			note(name)
		}
	}
	return list
}
