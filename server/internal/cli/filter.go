package cli

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// filterFlags say which events are wanted.
type filterFlags struct {
	types                 []string
	where                 string
	exact, prefix, suffix []string
	whole                 string
}

// The names of the flags, which mean the same wherever they are.
const (
	typeFlag   = "type"
	whereFlag  = "where"
	exactFlag  = "attribute"
	prefixFlag = "attribute-prefix"
	suffixFlag = "attribute-suffix"
	wholeFlag  = "filter-json"
)

// add adds the flags to a command.
func (f *filterFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.types, typeFlag, nil, "only events of the type with this full `name`; repeated: of any of them")
	flags.StringVar(&f.where, whereFlag, "", "only events for which this `CEL` expression is true, on event and its payload data: 'data.total.minor_units > 10000'")
	flags.StringArrayVar(&f.exact, exactFlag, nil, "only events whose CloudEvents attribute has this value, as `name=value`; repeated: all of them, with the other attribute flags")
	flags.StringArrayVar(&f.prefix, prefixFlag, nil, "only events whose attribute begins so, as `name=value`")
	flags.StringArrayVar(&f.suffix, suffixFlag, nil, "only events whose attribute ends so, as `name=value`")
	flags.StringVar(&f.whole, wholeFlag, "", "instead of the other filter flags, a tidings.v1.EventFilter in `JSON`, or the name of a file with one, or - for standard input")
}

// changed reports whether one of the flags was given.
func (f *filterFlags) changed(flags *pflag.FlagSet) bool {
	return slices.ContainsFunc([]string{typeFlag, whereFlag, exactFlag, prefixFlag, suffixFlag, wholeFlag}, flags.Changed)
}

// filter returns what the flags describe, or nil for every event.
func (f *filterFlags) filter(stdin io.Reader) (*tidingsv1.EventFilter, error) {
	attributes, err := f.attributes()
	if err != nil {
		return nil, err
	}
	narrow := len(f.types) > 0 || f.where != "" || attributes != nil
	switch {
	case f.whole != "" && narrow:
		return nil, usagef("--%s excludes the other filter flags", wholeFlag)
	case f.whole != "":
		filter, err := readFilter(stdin, f.whole)
		if err != nil || proto.Size(filter) == 0 {
			// One without a condition is none, also to those who ask before they do
			// something to every event.
			return nil, err
		}
		return filter, nil
	case narrow:
		return &tidingsv1.EventFilter{EventTypes: f.types, Attributes: attributes, Cel: f.where}, nil
	}
	return nil, nil //nolint:nilnil // No filter is no error.
}

// attributes returns the condition of the attribute flags, or nil.
func (f *filterFlags) attributes() (*tidingsv1.AttributeFilter, error) {
	var conditions []*tidingsv1.AttributeFilter
	for _, dialect := range []struct {
		flag  string
		pairs []string
		of    func(*tidingsv1.AttributeValues) *tidingsv1.AttributeFilter
	}{
		{exactFlag, f.exact, func(v *tidingsv1.AttributeValues) *tidingsv1.AttributeFilter {
			return &tidingsv1.AttributeFilter{Condition: &tidingsv1.AttributeFilter_Exact{Exact: v}}
		}},
		{prefixFlag, f.prefix, func(v *tidingsv1.AttributeValues) *tidingsv1.AttributeFilter {
			return &tidingsv1.AttributeFilter{Condition: &tidingsv1.AttributeFilter_Prefix{Prefix: v}}
		}},
		{suffixFlag, f.suffix, func(v *tidingsv1.AttributeValues) *tidingsv1.AttributeFilter {
			return &tidingsv1.AttributeFilter{Condition: &tidingsv1.AttributeFilter_Suffix{Suffix: v}}
		}},
	} {
		values := make(map[string]string)
		for _, pair := range dialect.pairs {
			name, value, ok := strings.Cut(pair, "=")
			if !ok || name == "" || value == "" {
				return nil, usagef("--%s: %q is not name=value", dialect.flag, pair)
			}
			if _, ok := values[name]; ok {
				return nil, usagef("--%s: %s is named twice; --%s can say more", dialect.flag, name, wholeFlag)
			}
			values[name] = value
		}
		if len(values) > 0 {
			conditions = append(conditions, dialect.of(&tidingsv1.AttributeValues{Values: values}))
		}
	}
	switch len(conditions) {
	case 0:
		return nil, nil //nolint:nilnil // No condition is no error.
	case 1:
		return conditions[0], nil
	}
	return &tidingsv1.AttributeFilter{Condition: &tidingsv1.AttributeFilter_All{All: &tidingsv1.AttributeFilters{Filters: conditions}}}, nil
}

// readFilter reads the value of `--filter-json`.
func readFilter(stdin io.Reader, value string) (*tidingsv1.EventFilter, error) {
	text, from := []byte(value), ""
	if !strings.HasPrefix(strings.TrimSpace(value), "{") {
		input, name := stdin, "standard input"
		if value != "-" {
			file, err := os.Open(value)
			if err != nil {
				return nil, err
			}
			defer func() { _ = file.Close() }()
			input, name = file, value
		}
		var err error
		if text, err = io.ReadAll(input); err != nil {
			return nil, err
		}
		from = " of " + name
	}
	filter := new(tidingsv1.EventFilter)
	if err := protojson.Unmarshal(bytes.TrimSpace(text), filter); err != nil {
		return nil, usagef("--%s: the JSON%s is not a tidings.v1.EventFilter: %s", wholeFlag, from, jsonProblem(err))
	}
	return filter, nil
}

// jsonProblem returns what protojson says of a text, without its prefix, after
// which there is a space or, at random, another one.
func jsonProblem(err error) string {
	return strings.TrimLeft(strings.TrimPrefix(err.Error(), "proto:"), " \u00a0")
}

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
