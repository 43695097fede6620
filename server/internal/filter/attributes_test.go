package filter

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// Conditions, from pairs of names and values or from other conditions.

func exactly(pairs ...string) *tidingsv1.AttributeFilter {
	return &tidingsv1.AttributeFilter{Condition: &tidingsv1.AttributeFilter_Exact{Exact: values(pairs)}}
}

func beginning(pairs ...string) *tidingsv1.AttributeFilter {
	return &tidingsv1.AttributeFilter{Condition: &tidingsv1.AttributeFilter_Prefix{Prefix: values(pairs)}}
}

func ending(pairs ...string) *tidingsv1.AttributeFilter {
	return &tidingsv1.AttributeFilter{Condition: &tidingsv1.AttributeFilter_Suffix{Suffix: values(pairs)}}
}

func allOf(filters ...*tidingsv1.AttributeFilter) *tidingsv1.AttributeFilter {
	return &tidingsv1.AttributeFilter{Condition: &tidingsv1.AttributeFilter_All{All: &tidingsv1.AttributeFilters{Filters: filters}}}
}

func oneOf(filters ...*tidingsv1.AttributeFilter) *tidingsv1.AttributeFilter {
	return &tidingsv1.AttributeFilter{Condition: &tidingsv1.AttributeFilter_Any{Any: &tidingsv1.AttributeFilters{Filters: filters}}}
}

func except(filter *tidingsv1.AttributeFilter) *tidingsv1.AttributeFilter {
	return &tidingsv1.AttributeFilter{Condition: &tidingsv1.AttributeFilter_Not{Not: filter}}
}

func values(pairs []string) *tidingsv1.AttributeValues {
	v := &tidingsv1.AttributeValues{Values: make(map[string]string)}
	for i := 0; i < len(pairs); i += 2 {
		v.Values[pairs[i]] = pairs[i+1]
	}
	return v
}

// The events that conditions are tried on: one with every attribute, and one
// with those alone that every event has.
var (
	fullEvent = &tidingsv1.Event{
		Id: "id-1", Source: "https://shop.example/checkout", Subject: "orders/7", PartitionKey: new("7"),
		Time:       timestamppb.New(time.Date(2026, 3, 4, 5, 6, 7, 120_000_000, time.FixedZone("", 3600))),
		Attributes: map[string]string{"region": "eu-west", "tenant": "Acme", "blank": ""},
	}
	bareEvent = &tidingsv1.Event{Id: "id-2", Source: "/s"}
)

func TestAttributes(t *testing.T) {
	set := things(t)
	full, bare := encoded(t, set, fullEvent, thing, `{}`), encoded(t, set, bareEvent, other, `{}`)
	yes, no := exactly("id", "id-1"), exactly("id", "-")
	for name, test := range map[string]struct {
		filter     *tidingsv1.AttributeFilter
		full, bare bool
	}{
		"id":                   {exactly("id", "id-1"), true, false},
		"source":               {exactly("source", "/s"), false, true},
		"type":                 {exactly("type", "test.things.v1.Thing"), true, false},
		"type with its URL":    {exactly("type", "type.googleapis.com/test.things.v1.Thing"), false, false},
		"specversion":          {exactly("specversion", "1.0"), true, true},
		"specversion 0.3":      {exactly("specversion", "0.3"), false, false},
		"subject":              {exactly("subject", "orders/7"), true, false},
		"time":                 {exactly("time", "2026-03-04T04:06:07.120Z"), true, false},
		"time in its zone":     {exactly("time", "2026-03-04T05:06:07.120+01:00"), false, false},
		"time in nanoseconds":  {exactly("time", "2026-03-04T04:06:07.120000000Z"), false, false},
		"day":                  {beginning("time", "2026-03-04T"), true, false},
		"zone":                 {ending("time", "Z"), true, false},
		"datacontenttype":      {exactly("datacontenttype", "application/protobuf"), true, true},
		"dataschema":           {beginning("dataschema", "t"), false, false},
		"partitionkey":         {exactly("partitionkey", "7"), true, false},
		"extension":            {exactly("region", "eu-west"), true, false},
		"another extension":    {exactly("tenant", "Acme"), true, false},
		"extension nobody has": {exactly("nothing", "x"), false, false},
		"field, not attribute": {exactly("data", "x"), false, false},

		"exact is of the whole value":   {exactly("region", "eu"), false, false},
		"exact minds the case":          {exactly("tenant", "acme"), false, false},
		"exact of several":              {exactly("region", "eu-west", "tenant", "Acme"), true, false},
		"exact of several, one wrong":   {exactly("region", "eu-west", "tenant", "Other"), false, false},
		"exact of several, one missing": {exactly("region", "eu-west", "nothing", "x"), false, false},
		"prefix":                        {beginning("region", "eu-"), true, false},
		"prefix that is the value":      {beginning("region", "eu-west"), true, false},
		"prefix longer than the value":  {beginning("region", "eu-west-1"), false, false},
		"prefix minds the case":         {beginning("tenant", "ac"), false, false},
		"prefix is no pattern":          {beginning("region", "*"), false, false},
		"prefix of several":             {beginning("type", "test.", "source", "https://"), true, false},
		"prefix of several, one wrong":  {beginning("type", "test.", "source", "http://"), false, false},
		"suffix":                        {ending("type", ".Thing"), true, false},
		"suffix that is the value":      {ending("region", "eu-west"), true, false},
		"suffix minds the case":         {ending("type", ".thing"), false, false},
		"suffix of several":             {ending("type", "Thing", "subject", "/7"), true, false},
		"suffix of several, one wrong":  {ending("type", "Thing", "subject", "/8"), false, false},
		"an empty value":                {beginning("subject", ""), true, false},
		"a blank attribute is missing":  {beginning("blank", "x"), false, false},

		"all of one":          {allOf(yes), true, false},
		"all":                 {allOf(yes, ending("type", "Thing")), true, false},
		"all, one wrong":      {allOf(yes, no), false, false},
		"any of one":          {oneOf(yes), true, false},
		"any":                 {oneOf(no, yes), true, false},
		"any, none":           {oneOf(no, no), false, false},
		"any of two events":   {oneOf(yes, exactly("id", "id-2")), true, true},
		"not":                 {except(yes), false, true},
		"not what is missing": {except(exactly("nothing", "x")), true, true},
		"not one of several":  {except(exactly("region", "eu-west", "tenant", "Other")), true, true},
		"not a blank one":     {except(beginning("blank", "x")), true, true},
		"twice not":           {except(except(yes)), true, false},
		"not all":             {except(allOf(yes, no)), true, true},
		"not any":             {except(oneOf(no, yes)), false, true},
		"all of any and not":  {allOf(oneOf(no, yes), except(no)), true, false},
		"any of all and not":  {oneOf(allOf(yes, no), except(oneOf(yes, no))), false, true},
	} {
		m, err := Compile(&tidingsv1.EventFilter{Attributes: test.filter}, set, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for raw, want := range map[string]bool{string(full): test.full, string(bare): test.bare} {
			if got, err := m.Match(t.Context(), []byte(raw)); err != nil || got != want {
				t.Errorf("%s: the full event is %t and the bare one %t; one is %t, %v", name, test.full, test.bare, got, err)
			}
		}
	}
}

// The form of times is that of protobuf's JSON.
func TestTimeAttribute(t *testing.T) {
	for want, stamp := range map[string]*timestamppb.Timestamp{
		"1970-01-01T00:00:00Z":           {},
		"1969-12-31T23:59:59.999999999Z": {Seconds: -1, Nanos: 999_999_999},
		"2026-01-02T03:04:05Z":           {Seconds: 1767323045},
		"2026-01-02T03:04:05.500Z":       {Seconds: 1767323045, Nanos: 500_000_000},
		"2026-01-02T03:04:05.500100Z":    {Seconds: 1767323045, Nanos: 500_100_000},
		"2026-01-02T03:04:05.000010Z":    {Seconds: 1767323045, Nanos: 10_000},
		"2026-01-02T03:04:05.000000001Z": {Seconds: 1767323045, Nanos: 1},
		"0001-01-01T00:00:00Z":           {Seconds: -62135596800},
		"9999-12-31T23:59:59Z":           {Seconds: 253402300799},
		"":                               {Seconds: 253402300800},
	} {
		raw, err := proto.Marshal(&tidingsv1.Event{Time: stamp})
		if err != nil {
			t.Fatal(err)
		}
		var e event
		if _, err := e.Scan(raw); err != nil {
			t.Fatal(err)
		}
		if got := e.timeAttribute(); got != want {
			t.Errorf("%v is %q, want %q", stamp, got, want)
		}
		if e.timeAttribute() != want {
			t.Errorf("%v is something else when it is asked for again", stamp)
		}
	}
}

func TestAttributesRefused(t *testing.T) {
	set := things(t)
	nested := func(depth int) *tidingsv1.AttributeFilter {
		f := exactly("id", "1")
		for range depth - 1 {
			f = except(f)
		}
		return f
	}
	var many []*tidingsv1.AttributeFilter
	for range 3 {
		var some []*tidingsv1.AttributeFilter
		for range 64 {
			some = append(some, exactly("id", "1"))
		}
		many = append(many, oneOf(some...))
	}
	// 1 + 3 × 65 + 60 are 256.
	full := oneOf(append(many, func() (rest []*tidingsv1.AttributeFilter) {
		for range 60 {
			rest = append(rest, exactly("id", "1"))
		}
		return rest
	}()...)...)
	for name, filter := range map[string]*tidingsv1.AttributeFilter{"8 deep": nested(8), "256 conditions": full} {
		if _, err := Compile(&tidingsv1.EventFilter{Attributes: filter}, set, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, test := range map[string]struct {
		filter             *tidingsv1.AttributeFilter
		field, description string
	}{
		"9 deep":             {nested(9), "attributes" + strings.Repeat(".not", 8), "nests deeper"},
		"9 deep in lists":    {allOf(exactly("id", "1"), oneOf(nested(7))), "attributes.all.filters[1].any.filters[0]" + strings.Repeat(".not", 6), "nests deeper"},
		"very deep":          {nested(5000), "attributes" + strings.Repeat(".not", 8), "nests deeper"},
		"257 conditions":     {oneOf(full.GetAny().GetFilters()[0], full.GetAny().GetFilters()[1], full.GetAny().GetFilters()[2], full.GetAny().GetFilters()[0]), "attributes.any.filters[3].any.filters[59]", "256"},
		"no condition":       {&tidingsv1.AttributeFilter{}, "attributes", "no condition"},
		"no condition below": {allOf(exactly("id", "1"), &tidingsv1.AttributeFilter{}), "attributes.all.filters[1]", "no condition"},
	} {
		_, err := Compile(&tidingsv1.EventFilter{Attributes: test.filter}, set, nil)
		invalid, ok := errors.AsType[*Error](err)
		if !ok || invalid.Field != test.field || !strings.Contains(invalid.Description, test.description) || invalid.Type != "" {
			t.Errorf("%s: %#v, want %q at %s", name, err, test.description, test.field)
		}
	}
}

// Of a field or an attribute that comes twice the last counts, as it does for
// protobuf.
func TestRepeatedFields(t *testing.T) {
	set := things(t)
	raw := append(encoded(t, set, fullEvent, thing, `{}`),
		encoded(t, set, &tidingsv1.Event{Subject: "later", Attributes: map[string]string{"region": "us"}}, other, `{"number":"1"}`)...)
	merged := new(tidingsv1.Event)
	if err := proto.Unmarshal(raw, merged); err != nil {
		t.Fatal(err)
	}
	filter := exactly("id", merged.GetId(), "subject", "later", "region", "us", "tenant", "Acme", "type", other)
	m, err := Compile(&tidingsv1.EventFilter{Attributes: filter, EventTypes: []string{other}, Cel: fmt.Sprintf(
		"event.subject == 'later' && event.attributes == {'region': 'us', 'tenant': 'Acme', 'blank': ''} && event.source == %q && data.number == '1'", merged.GetSource(),
	)}, set, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := m.Match(t.Context(), raw); err != nil || !got {
		t.Errorf("%t, %v for %v", got, err, merged)
	}
}
