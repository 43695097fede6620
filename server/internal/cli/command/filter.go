package command

import (
	"bytes"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// FilterFlags say which events are wanted.
type FilterFlags struct {
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

// Add adds the flags to a command.
func (f *FilterFlags) Add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.types, typeFlag, nil, "only events of the type with this full `NAME`; repeated: any of them")
	flags.StringVar(&f.where, whereFlag, "", "only events for which this `CEL` expression on event and its payload data is true: 'data.total.minor_units > 10000'")
	flags.StringArrayVar(&f.exact, exactFlag, nil, "only events whose CloudEvents attribute is this, as `NAME=VALUE`; repeated: all of them, also with the other attribute flags")
	flags.StringArrayVar(&f.prefix, prefixFlag, nil, "only events whose attribute begins with this, as `NAME=VALUE`")
	flags.StringArrayVar(&f.suffix, suffixFlag, nil, "only events whose attribute ends with this, as `NAME=VALUE`")
	flags.StringVar(&f.whole, wholeFlag, "", "tidings.v1.EventFilter in `JSON` instead of the other filter flags, or a file with one, or - for standard input")
}

// Changed reports whether one of the flags was given.
func (f *FilterFlags) Changed(flags *pflag.FlagSet) bool {
	return slices.ContainsFunc([]string{typeFlag, whereFlag, exactFlag, prefixFlag, suffixFlag, wholeFlag}, flags.Changed)
}

// Filter returns what the flags describe, or nil for every event.
func (f *FilterFlags) Filter(stdin io.Reader) (*tidingsv1.EventFilter, error) {
	attributes, err := f.attributes()
	if err != nil {
		return nil, err
	}
	narrow := len(f.types) > 0 || f.where != "" || attributes != nil
	switch {
	case f.whole != "" && narrow:
		return nil, Usagef("--%s excludes the other filter flags", wholeFlag)
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
func (f *FilterFlags) attributes() (*tidingsv1.AttributeFilter, error) {
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
				return nil, Usagef("--%s: %q is not name=value", dialect.flag, pair)
			}
			if _, ok := values[name]; ok {
				return nil, Usagef("--%s: %s is named twice; --%s can say more", dialect.flag, name, wholeFlag)
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
		return nil, Usagef("--%s: the JSON%s is not a tidings.v1.EventFilter: %s", wholeFlag, from, jsonProblem(err))
	}
	return filter, nil
}

// jsonProblem returns what protojson says of a text, without its prefix, after
// which there is a space or, at random, another one.
func jsonProblem(err error) string {
	return strings.TrimLeft(strings.TrimPrefix(err.Error(), "proto:"), " \u00a0")
}
