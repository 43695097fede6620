package run

import (
	"context"
	"fmt"
	"slices"

	"example.com/tidings/conformance/internal/contract"
	"example.com/tidings/conformance/internal/match"
	"example.com/tidings/conformance/internal/suite"

	conformancev1 "example.com/tidings/conformance/gen/go/tidings/conformance/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// traits are what a server says of itself.
type traits struct {
	// limits are its Limits, by the names of the schema.
	limits match.Values
	// features are the names of its features. nil: it has no GetServerInfo.
	features map[string]bool
}

// learn asks for what the server says of itself. A server that can't be asked
// fails the cases that need it, and no others.
func (r *runner) learn(ctx context.Context) traits {
	t := traits{limits: match.Values{}}
	info, err := r.ask(ctx, r.Transports[0], "tidings.v1.ServerService/GetServerInfo", nil)
	if err != nil {
		return t
	}
	limits, _ := info["limits"].(map[string]any)
	for name, field := range contract.Limits() {
		t.limits[name] = limits[field]
	}
	t.features = map[string]bool{}
	features, _ := info["features"].([]any)
	for _, feature := range features {
		if name, ok := feature.(string); ok {
			t.features[name] = true
		}
	}
	return t
}

// lacks reports whether the server says that it doesn't have a feature.
func (t traits) lacks(feature tidingsv1.Feature) bool {
	return t.features != nil && feature != 0 && !t.features[contract.FeatureName(feature)]
}

// unmet returns why a case isn't run over a transport, or nothing.
func (r *runner) unmet(j job) string {
	if j.transport.Get && !contract.NoSideEffects(j.RPC) {
		return "GET is for unary calls without side effects"
	}
	for _, step := range j.Steps {
		if step.Call == nil {
			continue
		}
		if feature := contract.FeatureOf(step.Call); r.server.lacks(feature) {
			return fmt.Sprintf("the server lacks the feature %s, and so %s", contract.FeatureName(feature), contract.Name(step.Call))
		}
	}
	for _, need := range j.Needs {
		if !r.meets(j, need) {
			return need.GetBecause()
		}
	}
	return ""
}

func (r *runner) meets(j job, need *conformancev1.Need) bool {
	switch what := need.GetWhat().(type) {
	case *conformancev1.Need_Server:
		return !r.server.lacks(what.Server)
	case *conformancev1.Need_ServerWithout:
		return r.server.lacks(what.ServerWithout)
	}
	switch need.GetFeature() {
	case conformancev1.Feature_FEATURE_FULL_DUPLEX:
		return j.transport.HTTP2
	case conformancev1.Feature_FEATURE_BINARY:
		return !j.transport.JSON
	case conformancev1.Feature_FEATURE_JSON:
		return j.transport.JSON
	case conformancev1.Feature_FEATURE_SERVER_DEADLINE:
		return !j.transport.Native
	case conformancev1.Feature_FEATURE_STOP:
		return r.Stop != nil
	default:
		return true
	}
}

func needs(c suite.Case, feature conformancev1.Feature) bool {
	return slices.ContainsFunc(c.Needs, func(need *conformancev1.Need) bool { return need.GetFeature() == feature })
}
