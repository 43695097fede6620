package command

import (
	"strings"
	"testing"
)

func TestFilterFlagsRefuse(t *testing.T) {
	for want, flags := range map[string]FilterFlags{
		`--attribute: "subject" is not name=value`:                                                                    {exact: []string{"subject"}},
		`--attribute-prefix: "=x" is not name=value`:                                                                  {prefix: []string{"=x"}},
		`--attribute-suffix: "id=" is not name=value`:                                                                 {suffix: []string{"id="}},
		`--attribute: id is named twice; --filter-json can say more`:                                                  {exact: []string{"id=1", "id=2"}},
		`--filter-json excludes the other filter flags`:                                                               {whole: "{}", where: "true"},
		`open missing.json: no such file or directory`:                                                                {whole: "missing.json"},
		`--filter-json: the JSON is not a tidings.v1.EventFilter: (line 1:2): unknown field "eventType"`:              {whole: `{"eventType":[]}`},
		`--filter-json: the JSON of standard input is not a tidings.v1.EventFilter: (line 2:3): unknown field "cell"`: {whole: "-"},
	} {
		if got, err := flags.Filter(strings.NewReader("{\n  \"cell\":1}")); err == nil || err.Error() != want {
			t.Errorf("%+v gives %v, %v; want %s", flags, got, err, want)
		}
	}
}
