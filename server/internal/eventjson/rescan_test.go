package eventjson

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoregistry"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// Any in one another are read where they are small or few, and refused where
// protojson would look through the same again and again.
func TestRescans(t *testing.T) {
	nested := func(depth int, typeName, inner string) string {
		return `{"events":[{"id":"a","source":"/s","data":` + strings.Repeat(`{"value":`, depth) +
			`{"value":` + inner + `,"@type":"a/google.protobuf.Value"}` +
			strings.Repeat(`,`+typeName+` : "a/google.protobuf.Any"}`, depth) + `}]}`
	}
	small, large := `"x"`, `"`+strings.Repeat("\\u0061", 200_000)+`"`
	for name, test := range map[string]struct {
		text    string
		refused bool
	}{
		"many that are small":      {nested(190, `"@type"`, small), false},
		"few that are large":       {nested(5, `"@type"`, large), false},
		"many that are large":      {nested(20, `"@type"`, large), true},
		"many with an escape":      {nested(20, `"\u0040type"`, large), true},
		"many with another":        {nested(20, `"@typ\u0065"`, large), true},
		"one large beside another": {`{"events":[` + strings.Repeat(`{"data":{"@type":"a/google.protobuf.Value","value":`+large+`}},`, 20) + `{}]}`, false},
	} {
		err := Parse([]byte(test.text), new(tidingsv1.PublishRequest), protoregistry.GlobalTypes)
		failure, _ := err.(*Error) //nolint:errorlint // It is documented so.
		if (failure != nil) != test.refused || failure != nil && (!failure.TooDeep || !strings.HasPrefix(failure.Path, "events[0].data")) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, text := range []string{"", "}", "]}", `{"`, `{"\`, `"a`, `{"@type"`} {
		if at := rescanned([]byte(text), 0); at != 0 {
			t.Errorf("%q: %d", text, at)
		}
	}
}
