package match_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"example.com/tidings/conformance/internal/match"
)

// decode decodes what came, as the suite does.
func decode(t *testing.T, text string) any {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

// plain decodes what is expected, which comes with numbers as float64.
func plain(t *testing.T, text string) any {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestMatch(t *testing.T) {
	values := match.Values{"one": "1", "count": json.Number("7"), "event": map[string]any{"id": "a"}}
	for name, test := range map[string]struct {
		want, got string
		failure   string // Empty: it matches.
	}{
		"the same":                     {`{"a":"x","b":[1,true]}`, `{"a":"x","b":[1,true]}`, ""},
		"a part of the fields":         {`{"a":"x"}`, `{"a":"x","b":2}`, ""},
		"another text":                 {`{"a":{"b":"x"}}`, `{"a":{"b":"y"}}`, `a.b is "y", want "x"`},
		"an absent field":              {`{"a":"x"}`, `{}`, `a is absent, want "x"`},
		"an absent message":            {`{"a":{"b":"x"}}`, `{"a":null}`, `a is absent, want {"b":"x"}`},
		"a number as text":             {`{"a":4096}`, `{"a":"4096"}`, ""},
		"another number":               {`{"a":4096}`, `{"a":"4097"}`, `a is "4097", want 4096`},
		"texts aren't numbers":         {`{"a":"1"}`, `{"a":"01"}`, `a is "01", want "1"`},
		"the default":                  {`{"a":0,"b":false,"c":"","d":[]}`, `{}`, ""},
		"a list for none":              {`{"a":[]}`, `{"a":[1]}`, `a has 1 elements, want 0`},
		"an element missing":           {`{"a":[1,2]}`, `{"a":[1]}`, `a has 1 elements, want another one: 2`},
		"an element wrong":             {`{"a":[1,{"b":2}]}`, `{"a":[1,{"b":3}]}`, `a[1].b is 3, want 2`},
		"a value":                      {`{"a":"${one}"}`, `{"a":"1"}`, ""},
		"another value":                {`{"a":"x-${one}"}`, `{"a":"x-2"}`, `a is "x-2", want "x-1"`},
		"a number as a value":          {`{"a":"${count}"}`, `{"a":7}`, ""},
		"a message as a value":         {`{"a":"${event}"}`, `{"a":{"id":"a","x":1}}`, ""},
		"another message":              {`{"a":"${event}"}`, `{"a":{"id":"b"}}`, `a.id is "b", want "a"`},
		"no such value":                {`{"a":"${two}"}`, `{"a":"1"}`, `a there is no value ${two}`},
		"any":                          {`{"a":"$any"}`, `{"a":"x"}`, ""},
		"any of none":                  {`{"a":"$any"}`, `{"a":""}`, `a is "", want $any`},
		"any of the default enum":      {`{"a":"$any"}`, `{"a":"KIND_UNSPECIFIED"}`, `want $any`},
		"absent":                       {`{"a":"$absent","b":"$absent"}`, `{"a":0}`, ""},
		"absent of something":          {`{"a":"$absent"}`, `{"a":{}}`, `a is {}, want nothing`},
		"not":                          {`{"a":"$not ${one}"}`, `{"a":"2"}`, ""},
		"not the same":                 {`{"a":"$not ${one}"}`, `{"a":"1"}`, `a is "1", want $not 1`},
		"greater as numbers":           {`{"a":"$greater 9"}`, `{"a":"10"}`, ""},
		"not greater":                  {`{"a":"$greater 9"}`, `{"a":"9"}`, `a is "9", want $greater 9`},
		"greater as times":             {`{"a":"$greater 2026-01-01T00:00:00Z"}`, `{"a":"2026-01-01T00:00:00.1Z"}`, ""},
		"less as durations":            {`{"a":"$less 10s"}`, `{"a":"9.5s"}`, ""},
		"not less":                     {`{"a":"$less 9s"}`, `{"a":"10s"}`, `want $less 9s`},
		"greater as texts":             {`{"a":"$greater alpha"}`, `{"a":"beta"}`, ""},
		"matches":                      {`{"a":"$matches ^[0-9a-f]{4}$"}`, `{"a":"00ff"}`, ""},
		"matches not":                  {`{"a":"$matches ^[0-9a-f]{4}$"}`, `{"a":"00fg"}`, `want $matches`},
		"others before":                {`["$others",{"a":2}]`, `[{"a":1},{"a":2}]`, ""},
		"others between":               {`[1,"$others",3]`, `[1,2,2,3]`, ""},
		"no others":                    {`["$others",1,"$others"]`, `[1]`, ""},
		"others, but not that":         {`["$others",4,"$others"]`, `[1,2,3]`, `no place where these are: [4,"$others"]`},
		"others in the wrong order":    {`["$others",2,"$others",1,"$others"]`, `[1,2,3]`, `no place`},
		"any order":                    {`["$any order",1,2,3]`, `[3,1,2]`, ""},
		"any order, one twice":         {`["$any order",1,2,2]`, `[2,1,1]`, `want`},
		"any order, too many":          {`["$any order",1]`, `[1,2]`, `has 2 elements, want 1 in any order`},
		"any order needs to try":       {`["$any order","$any",1]`, `[1,2]`, ""},
		"what is saved is a value":     {`{"a":"$save first","b":"$greater ${first}"}`, `{"a":"5","b":"6"}`, ""},
		"what is saved is there":       {`{"a":"$save first"}`, `{}`, `a is absent, want $save first`},
		"saved where it doesn't match": {`["$others",{"a":"$save x","b":"${x}"},"$others"]`, `[{"a":"1","b":"2"},{"a":"3","b":"3"}]`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := match.Match(plain(t, test.want), decode(t, test.got), values)
			switch {
			case test.failure == "" && err != nil:
				t.Error(err)
			case test.failure != "" && (err == nil || !strings.Contains(err.Error(), test.failure)):
				t.Errorf("the failure is %v, want %s", err, test.failure)
			}
		})
	}
}

func TestSaved(t *testing.T) {
	saved, err := match.Match(plain(t, `["$any order",{"id":"b","t":"$save b"},{"id":"a","t":"$save a"}]`),
		decode(t, `[{"id":"a","t":"1"},{"id":"b","t":2}]`), nil)
	if want := (match.Values{"a": "1", "b": json.Number("2")}); err != nil || !reflect.DeepEqual(saved, want) {
		t.Errorf("saved %v, %v, want %v", saved, err, want)
	}
}

func TestExpand(t *testing.T) {
	values := match.Values{"a": "x", "n1": json.Number("3"), "object": map[string]any{"inner": "${a}"}}
	for name, test := range map[string]struct{ value, want string }{
		"text":              {`"${a}-${n1}"`, `"x-3"`},
		"whole value":       {`{"o":"${object}"}`, `{"o":{"inner":"x"}}`},
		"name of a field":   {`{"${a}":1}`, `{"x":1}`},
		"length":            {`"${text:4}"`, `"xxxx"`},
		"length of a value": {`"${text:n1}"`, `"xxx"`},
		"sum":               {`"${n1+2}${n1-1}"`, `"52"`},
		"length of a sum":   {`"${text:n1-1}"`, `"xx"`},
		"repeated by a sum": {`[{"$repeat":"${n1-2}","id":"${n}"}]`, `[{"id":"0"}]`},
		"repeated":          {`[{"$repeat":2,"id":"${n}"},{"id":"z"}]`, `[{"id":"0"},{"id":"1"},{"id":"z"}]`},
		"repeated text":     {`[{"$repeat":2,"$value":"a${n}"}]`, `["a0","a1"]`},
		"repeated by value": {`[{"$repeat":"${n1}","id":"${n}"}]`, `[{"id":"0"},{"id":"1"},{"id":"2"}]`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := values.Expand(plain(t, test.value))
			if want := plain(t, test.want); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("got %v, %v, want %v", got, err, want)
			}
		})
	}
	for _, wrong := range []string{`"${b}"`, `"x${object}"`, `"${text:b}"`, `"${now+1x}"`, `"${a+1}"`, `"${b+1}"`, `[{"$repeat":"x"}]`} {
		if got, err := values.Expand(plain(t, wrong)); err == nil {
			t.Errorf("%s becomes %v", wrong, got)
		}
	}
}

func TestRepeat(t *testing.T) {
	values := match.Values{"n1": json.Number("1"), "id": "known"}
	got, err := values.Repeat(plain(t, `{"a":[{"$repeat":"${n1+1}","id":"${n}-${id}"},"$others"],"b":[{"$repeat":2,"$value":"${n}"}]}`))
	if want := plain(t, `{"a":[{"id":"0-${id}"},{"id":"1-${id}"},"$others"],"b":["0","1"]}`); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if got, err := values.Repeat(plain(t, `[{"$repeat":"${n2}"}]`)); err == nil {
		t.Errorf("a number of times that isn't known repeats to %v", got)
	}
}
