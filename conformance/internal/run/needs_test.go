package run

import (
	"testing"

	"example.com/tidings/conformance/internal/suite"
	"example.com/tidings/conformance/internal/wire"

	conformancev1 "example.com/tidings/conformance/gen/go/tidings/conformance/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

func TestUnmet(t *testing.T) {
	const index = tidingsv1.Feature_FEATURE_KEY_INDEX
	needs := func(need *conformancev1.Need) []*conformancev1.Need {
		need.Because = "it is needed"
		return []*conformancev1.Need{need}
	}
	with := needs(&conformancev1.Need{What: &conformancev1.Need_Server{Server: index}})
	without := needs(&conformancev1.Need{What: &conformancev1.Need_ServerWithout{ServerWithout: index}})
	binary := needs(&conformancev1.Need{What: &conformancev1.Need_Feature{Feature: conformancev1.Feature_FEATURE_BINARY}})
	const getTopic, pull = "tidings.v1.TopicService/GetTopic", "tidings.v1.ConsumerService/Pull"
	for name, test := range map[string]struct {
		features []string // nil: the server doesn't say.
		needs    []*conformancev1.Need
		calls    string
		json     bool
		want     string
	}{
		"nothing needed":                        {features: []string{}, calls: getTopic},
		"a feature":                             {features: []string{"KEY_INDEX"}, needs: with, calls: getTopic},
		"no feature":                            {features: []string{"EXACT_COUNTS"}, needs: with, calls: getTopic, want: "it is needed"},
		"a feature that isn't to be there":      {features: []string{"KEY_INDEX"}, needs: without, calls: getTopic, want: "it is needed"},
		"no feature, as it is to be":            {features: []string{}, needs: without, calls: getTopic},
		"nothing said, a feature":               {needs: with, calls: getTopic},
		"nothing said, a feature less":          {needs: without, calls: getTopic, want: "it is needed"},
		"a call that not every server has":      {features: []string{"SUBSCRIPTIONS"}, calls: pull},
		"a call that this server lacks":         {features: []string{}, calls: pull, want: "the server lacks the feature SUBSCRIPTIONS, and so tidings.v1.ConsumerService/Pull"},
		"nothing said, such a call":             {calls: pull},
		"an encoding":                           {features: []string{}, needs: binary, calls: getTopic},
		"an encoding that the transport hasn't": {features: []string{}, needs: binary, calls: getTopic, json: true, want: "it is needed"},
	} {
		t.Run(name, func(t *testing.T) {
			r := new(runner)
			if test.features != nil {
				r.server.features = map[string]bool{}
			}
			for _, feature := range test.features {
				r.server.features[feature] = true
			}
			rpc := find(t, test.calls)
			j := job{suite.Case{RPC: rpc, Needs: test.needs, Steps: []suite.Step{{Call: rpc}, {}}}, wire.Transport{JSON: test.json}}
			if got := r.unmet(j); got != test.want {
				t.Errorf("unmet is %q, want %q", got, test.want)
			}
		})
	}
}
