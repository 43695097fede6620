package convert

import (
	"slices"
	"testing"
)

func TestCompare(t *testing.T) {
	tests := []struct {
		name, original, made string
		want                 []string
	}{
		{"equal", `{"a": [1, {"b": null}], "c": "x"}`, `{"c":"x","a":[1,{"b":null}]}`, nil},
		{"null left out", `{"a": null}`, `{}`, nil},
		{"empty list left out", `{"a": []}`, `{}`, nil},
		{"one time in two forms", `{"a": 1777863721, "b": "2026-05-03T23:02:01-04:00"}`, `{"a": "2026-05-04T03:02:01Z", "b": "2026-05-04T03:02:01Z"}`, nil},
		{"one number in two forms", `{"a": 1.0, "b": 1e2}`, `{"a": 1, "b": 100}`, nil},

		{"lost", `{"a": {"b": 1}}`, `{"a": {}}`, []string{"a.b: lost 1"}},
		{"false lost", `{"a": false}`, `{}`, []string{"a: lost false"}},
		{"zero lost", `{"a": 0}`, `{}`, []string{"a: lost 0"}},
		{"empty text lost", `{"a": ""}`, `{}`, []string{`a: lost ""`}},
		{"empty object lost", `{"a": {}}`, `{}`, []string{"a: lost {}"}},
		{"added", `{}`, `{"a": null}`, []string{"a: added null"}},
		{"empty list for null", `{"a": null}`, `{"a": []}`, []string{"a: altered from null to []"}},
		{"altered", `{"a": [{"b": "x"}, {"b": "y"}]}`, `{"a": [{"b": "x"}, {"b": "z"}]}`, []string{`a[1].b: altered from "y" to "z"`}},
		{"shorter list", `{"a": [1, 2]}`, `{"a": [1]}`, []string{"a: altered from [1,2] to [1]"}},
		{"other order", `{"a": [1, 2]}`, `{"a": [2, 1]}`, []string{"a[0]: altered from 1 to 2", "a[1]: altered from 2 to 1"}},
		{"number as text", `{"a": 12}`, `{"a": "12"}`, []string{`a: altered from 12 to "12"`}},
		{"last digit of a large number", `{"a": 9007199254740993}`, `{"a": 9007199254740992}`, []string{"a: altered from 9007199254740993 to 9007199254740992"}},
		{"another time", `{"a": "2026-05-04T03:02:01Z"}`, `{"a": "2026-05-04T03:02:01.000001Z"}`, []string{`a: altered from "2026-05-04T03:02:01Z" to "2026-05-04T03:02:01.000001Z"`}},
		{"object for text", `{"a": "x"}`, `{"a": {}}`, []string{`a: altered from "x" to {}`}},
		{"text for object", `{"a": {}}`, `{"a": "x"}`, []string{`a: altered from {} to "x"`}},
		{"list for text", `{"a": "x"}`, `{"a": []}`, []string{`a: altered from "x" to []`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := Compare([]byte(test.original), []byte(test.made))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestCompareNeedsTwoDocuments(t *testing.T) {
	if _, err := Compare([]byte(`{`), []byte(`{}`)); err == nil {
		t.Error("compared a broken original")
	}
	if _, err := Compare([]byte(`{}`), []byte(`{"a":1,"a":2}`)); err == nil {
		t.Error("compared a document that has a name twice")
	}
}
