package suite

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"

	"example.com/tidings/conformance/internal/contract"
	"example.com/tidings/conformance/internal/image"
	"example.com/tidings/conformance/internal/match"

	conformancev1 "example.com/tidings/conformance/gen/go/tidings/conformance/v1"
)

// Provided are the names of the values that every case has without saying so.
var Provided = slices.Concat(
	// Names that no other run of a case has.
	[]string{"topic", "subscription", "unique"},
	// The type URLs of the events of the suite.
	[]string{"every_kind", "part"},
	// What GetServerInfo says.
	slices.Sorted(maps.Keys(contract.Limits())),
)

// check says what is wrong with a case, and finds the RPCs of its steps.
func (c *Case) check(lines places) error {
	k := &checker{Case: c, lines: lines, known: map[string]bool{}, calls: map[string]protoreflect.MethodDescriptor{}}
	for _, name := range Provided {
		k.known[name] = true
	}
	for name := range c.Values {
		if k.known[name] {
			k.fail(c.Place, fmt.Errorf("values.%s: every case has a value of this name", name))
		}
		k.known[name] = true
	}
	for name, source := range c.Schemas {
		k.known["image."+name] = true
		if _, err := image.Compile(strings.ReplaceAll(source, "${unique}", "unique")); err != nil {
			k.fail(c.Place, fmt.Errorf("schemas.%s: %w", name, err))
		}
	}
	for i := range c.Steps {
		k.step(&c.Steps[i])
	}
	return errors.Join(k.mistakes...)
}

// checker checks the steps of a case, one after the other.
type checker struct {
	*Case
	lines    places
	known    map[string]bool // The values that there are so far.
	calls    map[string]protoreflect.MethodDescriptor
	mistakes []error
}

func (k *checker) fail(place string, err error) {
	k.mistakes = append(k.mistakes, fmt.Errorf("%s: %s: %w", place, k.Name, err))
}

func (k *checker) step(step *Step) {
	if step.GetStopServer() {
		k.needs(step, conformancev1.Feature_FEATURE_STOP, "stop_server")
	}
	switch {
	case step.GetRpc() != "":
		rpc, err := contract.Find(step.GetRpc())
		if err != nil {
			k.fail(step.Place, err)
			return
		}
		step.Call = rpc
		if step.GetCall() != "" {
			k.calls[step.GetCall()] = rpc
		}
	case step.GetCall() != "":
		if step.Call = k.calls[step.GetCall()]; step.Call == nil {
			k.fail(step.Place, fmt.Errorf("no step before opened a call %q", step.GetCall()))
			return
		}
	case step.GetStopServer():
		return
	default:
		k.fail(step.Place, errors.New("the step has neither rpc nor call"))
		return
	}
	k.shape(step)
	for _, request := range requestsOf(step) {
		k.message(request, step.Call.Input(), false)
	}
	for _, response := range responsesOf(step) {
		k.message(response, step.Call.Output(), true)
	}
	for _, frame := range step.GetIgnore() {
		if !slices.Contains(contract.Frames(step.Call), frame) {
			k.fail(step.Place, fmt.Errorf("ignore: %s has no frame %q", contract.Name(step.Call), frame))
		}
	}
	k.expectedError(step)
}

// shape checks which fields a step has, and what they need.
func (k *checker) shape(step *Step) {
	begins, whole := step.GetRpc() != "", step.GetCall() == ""
	for _, rule := range []struct {
		broken bool
		text   string
	}{
		{step.GetRequest() != nil && len(step.GetRequests()) > 0, "request and requests exclude each other"},
		{step.GetResponse() != nil && len(step.GetResponses()) > 0, "response and responses exclude each other"},
		{step.GetRaw() != nil && len(requestsOf(step)) > 0, "raw and request exclude each other"},
		{!begins && step.GetDeadline() != nil, "deadline is for the step that begins the call"},
		{step.GetError() != nil && step.GetEnds(), "error and ends exclude each other"},
		{whole && (step.GetCancel() || step.GetHalfClose() || step.GetEnds()), "cancel, half_close and ends are for a call with a name"},
		{step.GetEventually() && (!begins || !whole), "eventually is for a call that is made as a whole"},
		{!step.Call.IsStreamingClient() && (len(step.GetRequests()) > 0 || !begins && step.GetRequest() != nil), "the RPC takes one request"},
		{!step.Call.IsStreamingServer() && len(step.GetResponses()) > 0, "the RPC gives one response"},
	} {
		if rule.broken {
			k.fail(step.Place, errors.New(rule.text))
		}
	}
	if contract.FullDuplex(step.Call) {
		k.needs(step, conformancev1.Feature_FEATURE_FULL_DUPLEX, contract.Name(step.Call))
	}
	switch step.GetRaw().GetForm().(type) {
	case *conformancev1.RawMessage_Json:
		k.needs(step, conformancev1.Feature_FEATURE_JSON, "raw.json")
	case *conformancev1.RawMessage_Proto:
		k.needs(step, conformancev1.Feature_FEATURE_BINARY, "raw.proto")
	}
}

// needs checks that the case states what a step needs.
func (k *checker) needs(step *Step, feature conformancev1.Feature, what string) {
	if !slices.ContainsFunc(k.Needs, func(need *conformancev1.Need) bool { return need.GetFeature() == feature }) {
		k.fail(step.Place, fmt.Errorf("%s needs %s, which the case doesn't say", what, feature))
	}
}

func (k *checker) expectedError(step *Step) {
	want := step.GetError()
	if want == nil {
		return
	}
	if _, ok := contract.CodeOf(want.GetReason()); !ok && want.GetReason() != "" {
		k.fail(k.lines.of(want), fmt.Errorf("error: the catalogue has no reason %q", want.GetReason()))
	}
	if (want.GetReason() == "") == (want.GetCode() == 0) {
		k.fail(k.lines.of(want), errors.New("error: either a reason or, without one, a code"))
	}
	for _, value := range want.GetMetadata() {
		k.text(k.lines.of(want), value, true)
	}
}

func requestsOf(step *Step) []*structpb.Struct {
	if step.GetRequest() != nil {
		return []*structpb.Struct{step.GetRequest()}
	}
	return step.GetRequests()
}

func responsesOf(step *Step) []*structpb.Struct {
	if step.GetResponse() != nil {
		return []*structpb.Struct{step.GetResponse()}
	}
	return step.GetResponses()
}

// text checks the values that a text uses, and the matcher that it is.
func (k *checker) text(place, text string, expected bool) {
	for _, name := range match.Uses(text) {
		if !k.known[name] {
			k.fail(place, fmt.Errorf("nothing gives ${%s} a value before this step", name))
		}
	}
	if !expected {
		return
	}
	if err := match.Check(text); err != nil {
		k.fail(place, err)
	}
	if name, ok := match.Saves(text); ok {
		k.known[name] = true
	}
}
