package filter

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/anypb"

	"example.com/tidings/server/internal/schema"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// richThing is a payload with every kind of field.
const richThing = `{
	"text": "Hello, world", "number": "42", "ratio": 2.5, "words": ["a", "b", "c"],
	"labels": {"env": "prod", "team": "blue"},
	"parts": [{"text": "one", "number": "1", "words": ["x"]}, {"text": "two", "number": "2"}],
	"json": {"name": "n", "size": 3, "flag": true, "list": [1, 2], "deep": {"er": "x"}, "nothing": null},
	"value": "v", "flag": false, "at": "2026-03-04T05:06:07Z", "kind": "KIND_GOOD", "raw": "AQI=", "yes": true,
	"inner": {"inner": {"text": "deep"}}
}`

func TestExpressions(t *testing.T) {
	set := things(t)
	full, bare := encoded(t, set, fullEvent, thing, richThing), encoded(t, set, bareEvent, thing, `{}`)
	for cel, test := range map[string]struct{ full, bare bool }{
		"true":  {true, true},
		"false": {false, false},

		// The event.
		"event.id == 'id-1'":                                              {true, false},
		"event.source.startsWith('https://')":                             {true, false},
		"event.subject == ''":                                             {false, true},
		"has(event.subject)":                                              {true, false},
		"event.subject.matches('^orders/[0-9]+$')":                        {true, false},
		"event.partition_key == '7'":                                      {true, false},
		"has(event.partition_key)":                                        {true, false},
		"has(event.time)":                                                 {true, false},
		"event.time > timestamp('2026-03-04T00:00:00Z')":                  {true, false},
		"event.time == timestamp('2026-03-04T04:06:07.12Z')":              {true, false},
		"event.time < timestamp(0)":                                       {false, false},
		"event.time.getFullYear() == 2026":                                {true, false},
		"event.time.getHours() == 4":                                      {true, false},
		"event.time + duration('1h') > timestamp('2026-03-04T05:00:00Z')": {true, false},
		"event.attributes['region'] == 'eu-west'":                         {true, false},
		"event.attributes.region == 'eu-west'":                            {true, false},
		"'region' in event.attributes":                                    {true, false},
		"has(event.attributes.region)":                                    {true, false},
		"event.attributes.exists(name, name == 'tenant')":                 {true, false},
		"event.attributes.size() == 3":                                    {true, false},
		"size(event.attributes) == 0":                                     {false, true},

		// The payload.
		"data.text == 'Hello, world'":                           {true, false},
		"data.text.contains('o, w') && data.text.endsWith('d')": {true, false},
		"data.text.lowerAscii() == 'hello, world'":              {true, false},
		"data.text.upperAscii().substring(0, 5) == 'HELLO'":     {true, false},
		"data.text.split(', ')[1] == 'world'":                   {true, false},
		"data.text.charAt(4) == 'o'":                            {true, false},
		"' x '.trim() == 'x'":                                   {true, true},
		"data.number > 41 && data.number % 2 == 0":              {true, false},
		"data.number < 42.5":                                    {true, true},
		"data.ratio >= 2":                                       {true, false},
		"data.ratio * 2.0 == 5.0":                               {true, false},
		"data.words == ['a', 'b', 'c']":                         {true, false},
		"'b' in data.words":                                     {true, false},
		"data.text in ['Hello, world', 'x']":                    {true, false},
		"data.words.all(w, w != 'z')":                           {true, true},
		"data.words.exists_one(w, w > 'b')":                     {true, false},
		"data.words.map(w, w + w) == ['aa', 'bb', 'cc']":        {true, false},
		"data.words.map(w, w > 'a', w + '!')[1] == 'c!'":        {true, false},
		"data.parts.filter(p, p.number > 1).size() == 1":        {true, false},
		"data.parts.exists(p, p.words.exists(w, w == 'x'))":     {true, false},
		"data.parts[1].text == 'two'":                           {true, false},
		"data.labels.env == 'prod'":                             {true, false},
		"data.labels['team'] in ['blue', 'red']":                {true, false},
		"data.json.name == 'n' && data.json.size == 3":          {true, false},
		"data.json.list[1] == 2.0":                              {true, false},
		"data.json.list.exists(n, n == 2)":                      {true, false},
		"data.json.deep.er == 'x'":                              {true, false},
		"data.json.nothing == null":                             {true, false},
		"has(data.json.name)":                                   {true, false},
		"data.json == {'a': 1}":                                 {false, false},
		"double(data.json.size) + 1.0 == 4.0":                   {true, false},
		"data.value == 'v'":                                     {true, false},
		"data.value == null":                                    {false, true},
		"data.flag == false":                                    {true, false},
		"data.flag || data.yes":                                 {true, false}, // Where a flag isn't set it is no bool.
		"data.flag == null":                                     {false, true},
		"has(data.at)":                                          {true, false},
		"data.at < event.time + duration('24h')":                {true, true},
		"data.at.getDayOfWeek() == 3":                           {true, false},
		"data.kind == Kind.KIND_GOOD":                           {true, false},
		"data.kind == test.things.v1.Kind.KIND_GOOD":            {true, false},
		"data.kind == 1":                                        {true, false},
		"data.raw == b'\\x01\\x02'":                             {true, false},
		"data.raw.size() == 2":                                  {true, false},
		"data.yes":                                              {true, false},
		"!data.yes":                                             {false, true},
		"data.yes ? data.number == 42 : data.number == 0":       {true, true},
		"data.inner.inner.text == 'deep'":                       {true, false},
		"has(data.inner.inner)":                                 {true, false},
		"data.inner.inner.inner.inner.text == ''":               {true, true},
		"data.parts[0] == data.parts[0]":                        {true, false},
		"data.inner != data.parts[0]":                           {true, false},
		"type(data.number) == int":                              {true, true},
		"data.number == 42 && event.id == 'id-1'":               {true, false},

		strings.ReplaceAll(list("data.json.a.b.c == 1", 16), ",", "||"): {false, false},

		"data.parts" + strings.Repeat(".filter(p, p.number > 1)", 10) + ".size() == 1": {true, false},

		// What fails doesn't hold, unless the other side of || or && decides.
		"data.labels['nothing'] == 'x'":              {false, false},
		"data.labels['nothing'] == 'x' || true":      {true, true},
		"!(data.labels['nothing'] == 'x')":           {false, false},
		"data.labels['nothing'] != 'x'":              {false, false},
		"data.words[7] == 'x'":                       {false, false},
		"1 / (data.number - 42) == 0":                {false, true}, // 1 / -42
		"data.number * 9223372036854775807 > 0":      {false, false},
		"int(data.text) == 1":                        {false, false},
		"timestamp(data.text) > event.time":          {false, false},
		"data.text.substring(3, 100) == ''":          {false, false},
		"data.json.name > 1":                         {false, false},
		"event.attributes['region'].size() == 1 / 0": {false, false},
	} {
		m, err := Compile(&tidingsv1.EventFilter{EventTypes: []string{thing}, Cel: cel}, set, nil)
		if err != nil {
			t.Errorf("%s: %v", cel, err)
			continue
		}
		for i, raw := range [][]byte{full, bare} {
			want := []bool{test.full, test.bare}[i]
			if got, err := m.Match(t.Context(), raw); got != want || err != nil {
				t.Errorf("%s: event %d: %t, %v", cel, i+1, got, err)
			}
		}
	}
}

// Each mistake is told with its place and, where the expression is compiled
// for types, the type.
func TestMistakes(t *testing.T) {
	set := things(t)
	deepLoop := "data.words.all(a, data.words.all(b, data.words.all(c, data.words.all(d, data.words.all(e, true)))))"
	for cel, want := range map[string]string{
		"event.id ==":                                     "1:12: Syntax error: mismatched input '<EOF>'",
		"event.id == 'x' &&\n  event.nam == 'y'":          "2:8: undefined field 'nam'",
		"nothing == 1":                                    "1:1: undeclared reference to 'nothing'",
		"event.id":                                        "must be a bool, not string",
		"1 + 2":                                           "must be a bool, not int",
		"event.id == 1":                                   "1:10: found no matching overload for '_==_' applied to '(string, int)'",
		"event.id.startsWith(1)":                          "1:20: found no matching overload for 'startsWith'",
		"event.data == event.data":                        "1:6: the payload is the variable data",
		"has(event.data)":                                 "1:4: the payload is the variable data",
		"event.data.number == 1":                          "1:6: the payload is the variable data",
		"unknown(event.id)":                               "1:8: there is no function unknown in a filter",
		"event.id.replace('a', 'b') == ''":                "1:17: there is no function replace in a filter",
		"event.id.indexOf('a') == 1":                      "1:17: there is no function indexOf in a filter",
		"[event.id].join() == ''":                         "1:16: there is no function join in a filter",
		"'%s'.format([event.id]) == ''":                   "1:12: there is no function format in a filter",
		"dyn(event.id) == 1":                              "1:4: there is no function dyn in a filter",
		"event.time.getHours('Europe/Oslo') == 1":         "1:20: getHours takes no time zone in a filter",
		"event.id.matches(event.source)":                  "1:17: the pattern of matches has to be a literal",
		"event.id.matches('(')":                           "1:17: error parsing regexp: missing closing )",
		"matches(event.id, '(a{30}){30}')":                "1:8: the pattern has 962 instructions, at most 256",
		"int('one') == 1":                                 "type conversion error from 'string' to 'int'",
		"timestamp('yesterday') < event.time":             "1:11: invalid timestamp argument",
		"duration('long') < duration('1s')":               "1:10: invalid duration argument",
		"tidings.v1.Event{id: 'x'} == event":              "1:17: messages can't be made in a filter",
		"[[1]] == []":                                     "1:1: lists and maps can't be put into a list",
		"{'a': [1]} == {}":                                "1:1: lists and maps can't be put into a map",
		"[1] + [2] == []":                                 "1:5: lists, and values that may be lists, can't be added",
		"event.id == '" + strings.Repeat("x", 4096) + "'": "expression code point size exceeds limit: size: 4110, limit 4096",
		strings.Repeat("(", 200) + "true" + strings.Repeat(")", 200): "expression recursion limit exceeded: 100",
		strings.Repeat("'", 3000):                                    "error recovery token lookahead limit exceeded: 256; 1:7: Syntax error",
	} {
		for _, types := range [][]string{nil, {thing}} {
			_, err := Compile(&tidingsv1.EventFilter{Cel: cel}, set, types)
			invalid, ok := errors.AsType[*Error](err)
			if !ok || invalid.Field != "cel" || !strings.HasPrefix(invalid.Description, want) || invalid.Type != "" {
				t.Errorf("%.100q: %.300v, want %q", cel, err, want)
			}
		}
	}
	for cel, want := range map[string]string{
		"data.number == int('one')": "type conversion error from 'string' to 'int'",
		"data.nothing == 1":         "for test.things.v1.Thing: 1:5: undefined field 'nothing'",
		"data.number":               "for test.things.v1.Thing: must be a bool, not int",
		"data.json.size + 1 == 4.0": "for test.things.v1.Thing: 1:20: found no matching overload",
		"data.json.flag":            "for test.things.v1.Thing: must be a bool, not dyn",
		"data.number == '1'":        "for test.things.v1.Thing: 1:13: found no matching overload",
		"data.any.text == ''":       "for test.things.v1.Thing: 1:5: a google.protobuf.Any can't be looked into",
		"data.anys.exists(a, true)": "for test.things.v1.Thing: 1:5: a google.protobuf.Any can't be looked into",
		strings.ReplaceAll(list("data.value == 1", 17), ",", "||"):  "for test.things.v1.Thing: 1:277: a google.protobuf.Struct, Value or ListValue is used more than 16 times",
		strings.ReplaceAll(list("data.json.a == 1", 17), ",", "||"): "for test.things.v1.Thing: 1:293: a google.protobuf.Struct, Value or ListValue is used more than 16 times",
		"{data.words: 1} == {}":                     "for test.things.v1.Thing: 1:1: lists and maps can't be put into a map",
		"[data.words] == []":                        "for test.things.v1.Thing: 1:1: lists and maps can't be put into a list",
		"data.parts.map(p, p.words) == []":          "for test.things.v1.Thing: 1:15: lists and maps can't be put into a list",
		"data.value + data.value == 1":              "for test.things.v1.Thing: 1:12: lists, and values that may be lists, can't be added",
		"(data.yes ? data.words : data.value) == 1": "for test.things.v1.Thing: 1:11: a list or a map can't be chosen together with something else",
		deepLoop:                               "1:15: all, exists, exists_one, filter and map nest deeper than 4",
		"a == 1 || b == 2 || c == 3 || d == 4": "1:1: undeclared reference to 'a'",
	} {
		_, err := Compile(&tidingsv1.EventFilter{Cel: cel, EventTypes: []string{thing}}, set, nil)
		invalid, ok := errors.AsType[*Error](err)
		wantType := ""
		if strings.HasPrefix(want, "for ") {
			wantType = thing
		}
		if !ok || invalid.Field != "cel" || !strings.HasPrefix(invalid.Description, want) || invalid.Type != wantType {
			t.Errorf("%.100q: %.300v, want %q", cel, err, want)
		}
		if ok && strings.Count(invalid.Description, ";") > maxMistakes {
			t.Errorf("%q: says too much: %s", cel, invalid.Description)
		}
	}
}

// An expression suits each of the filter's types or, where it names none, of
// the topic's.
func TestTypesOfExpressions(t *testing.T) {
	set := things(t)
	for name, test := range map[string]struct {
		types, topicTypes []string
		cel               string
		wrongType         string // "-": it is wrong without one.
	}{
		"one type":                            {[]string{thing}, nil, "data.number == 1", ""},
		"another type":                        {[]string{other}, nil, "data.number == 1", other},
		"two types, the second wrong":         {[]string{thing, other}, nil, "data.number == 1", other},
		"two types, both right":               {[]string{thing, other}, nil, "string(data.number) == '1'", ""},
		"topic's type":                        {nil, []string{thing}, "data.number == 1", ""},
		"topic's wrong type":                  {nil, []string{thing, other}, "data.number == 1", other},
		"the filter's types, not the topic's": {[]string{thing}, []string{other}, "data.number == 1", ""},
		"a type of the topic that is gone":    {nil, []string{"test.Gone", thing}, "data.number == 1", ""},
		"no type":                             {nil, nil, "data.number == 1", "-"},
		"only types that are gone":            {nil, []string{"test.Gone"}, "data.number == 1", "-"},
		"no type, the event only":             {nil, nil, "event.id == '1'", ""},
		"no type, a variable of that name":    {nil, nil, "[1].all(x, x == 1)", ""},
	} {
		_, err := Compile(&tidingsv1.EventFilter{EventTypes: test.types, Cel: test.cel}, set, test.topicTypes)
		if test.wrongType == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		invalid, ok := errors.AsType[*Error](err)
		if !ok || invalid.Field != "cel" || invalid.Type != strings.Trim(test.wrongType, "-") {
			t.Errorf("%s: %#v", name, err)
		}
		hint := strings.Contains(invalid.Description, "; name in event_types")
		if hint != (test.types == nil && test.wrongType != "-") {
			t.Errorf("%s: %v", name, err)
		}
		if test.wrongType == "-" && !strings.Contains(invalid.Description, "event_types") {
			t.Errorf("%s: %v doesn't say what to do", name, err)
		}
	}
}

// Events of types that weren't thought of are tried when they come.
func TestOtherTypes(t *testing.T) {
	set := things(t)
	m, err := Compile(&tidingsv1.EventFilter{Cel: "data.number == 1"}, set, []string{thing})
	if err != nil {
		t.Fatal(err)
	}
	suits, err := Compile(&tidingsv1.EventFilter{Cel: "string(data.number) == '1'"}, set, []string{thing})
	if err != nil {
		t.Fatal(err)
	}
	unknown := mustMarshal(t, &tidingsv1.Event{Id: "1", Source: "/", Data: &anypb.Any{TypeUrl: "x/test.Unknown"}})
	before := Failures()
	for range 3 {
		for i, test := range []struct {
			raw         []byte
			want, suits bool
		}{
			{encoded(t, set, bareEvent, thing, `{"number":"1"}`), true, true},
			{encoded(t, set, bareEvent, other, `{"number":"1"}`), false, true},
			{unknown, false, false},
			{mustMarshal(t, &tidingsv1.Event{Id: "1"}), false, false},
		} {
			if got, err := m.Match(t.Context(), test.raw); got != test.want || err != nil {
				t.Errorf("event %d: %t, %v", i, got, err)
			}
			if got, err := suits.Match(t.Context(), test.raw); got != test.suits || err != nil {
				t.Errorf("event %d: %t, %v where it suits", i, got, err)
			}
		}
	}
	if Failures() != before {
		t.Errorf("%d failures", Failures()-before)
	}
	var names []string
	for name := range m.expression.typed {
		names = append(names, name)
	}
	slices.Sort(names)
	if !slices.Equal(names, []string{other, thing}) {
		t.Errorf("remembers %q", names)
	}
	// The payload isn't touched by what doesn't ask for it.
	m, err = Compile(&tidingsv1.EventFilter{Cel: "event.id == '1'"}, set, []string{thing})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := m.Match(t.Context(), unknown); !got || err != nil {
		t.Errorf("%t, %v", got, err)
	}
}

func TestFailures(t *testing.T) {
	set := things(t)
	m, err := Compile(&tidingsv1.EventFilter{EventTypes: []string{thing}, Cel: "data.labels['env'] == 'prod'"}, set, nil)
	if err != nil {
		t.Fatal(err)
	}
	before := Failures()
	// Stored when text was no text.
	older := mustMarshal(t, &tidingsv1.Event{Id: "1", Source: "/", Data: &anypb.Any{TypeUrl: "x/" + thing, Value: []byte{0x0a, 0x02, 0xff, 0xff}}})
	for i, test := range []struct {
		raw      []byte
		want     bool
		failures int64
	}{
		{encoded(t, set, bareEvent, thing, richThing), true, 0},
		{encoded(t, set, bareEvent, thing, `{"labels":{"env":"test"}}`), false, 0},
		{encoded(t, set, bareEvent, thing, `{}`), false, 1},
		{older, false, 2},
		{older, false, 3},
	} {
		if got, err := m.Match(t.Context(), test.raw); got != test.want || err != nil || Failures()-before != test.failures {
			t.Errorf("event %d: %t, %v, %d failures", i, got, err, Failures()-before)
		}
	}
}

// What is known of one set of types isn't used for another.
func TestTwoSets(t *testing.T) {
	sets := []*schema.Set{things(t), things(t)}
	for i := range 4 {
		set := sets[i%2]
		m, err := Compile(&tidingsv1.EventFilter{EventTypes: []string{thing}, Cel: fmt.Sprintf("data.number == %d", i)}, set, nil)
		if err != nil {
			t.Fatal(err)
		}
		if m.expression.environment.set != set {
			t.Error("compiled with another set")
		}
		if got, err := m.Match(t.Context(), encoded(t, set, bareEvent, thing, fmt.Sprintf(`{"number":"%d"}`, i))); !got || err != nil {
			t.Errorf("%t, %v", got, err)
		}
	}
}
