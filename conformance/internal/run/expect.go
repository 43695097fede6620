package run

import (
	"errors"
	"fmt"
	"maps"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/structpb"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"

	"example.com/tidings/conformance/internal/contract"
	"example.com/tidings/conformance/internal/match"
	"example.com/tidings/conformance/internal/suite"
	"example.com/tidings/conformance/internal/wire"

	conformancev1 "example.com/tidings/conformance/gen/go/tidings/conformance/v1"
)

// expect receives what a step expects and compares it.
func (s *session) expect(c *call, step suite.Step) error {
	wants, err := s.wantsOf(step)
	if err != nil {
		return err
	}
	if step.GetAnyOrder() {
		if err := s.expectAnyOrder(c, step, wants); err != nil {
			return err
		}
	} else if err := s.expectInOrder(c, step, wants); err != nil {
		return err
	}
	whole := step.GetCall() == ""
	switch {
	case step.GetError() != nil:
		return s.expectFailure(c, step)
	case whole && len(wants) == 0:
		return drain(c)
	case whole || step.GetEnds():
		return expectEnd(c, step)
	default:
		return nil
	}
}

// wantsOf returns the frames that a step expects, those of batches one by one.
func (s *session) wantsOf(step suite.Step) ([]frame, error) {
	responses := step.GetResponses()
	if step.GetResponse() != nil {
		responses = []*structpb.Struct{step.GetResponse()}
	}
	var wants []frame
	for _, response := range responses {
		repeated, err := s.values.Repeat(response.AsMap())
		if err != nil {
			return nil, err
		}
		message, _ := repeated.(map[string]any)
		frames := []frame{{content: message}}
		for _, kind := range contract.Frames(step.Call) {
			if _, ok := message[kind]; ok {
				frames = split(message, kind, contract.BatchOf(step.Call, kind))
			}
		}
		wants = append(wants, frames...)
	}
	return wants, nil
}

func (s *session) expectInOrder(c *call, step suite.Step, wants []frame) error {
	for i, want := range wants {
		got, err := c.next([]string{want.kind}, step.GetIgnore())
		if err != nil {
			return fmt.Errorf("%w, want %s", endOf(err), match.Show(want.content))
		}
		saved, err := match.Match(want.content, got.content, s.values)
		if err != nil {
			if len(wants) > 1 {
				return fmt.Errorf("message %d of %d: %w", i+1, len(wants), err)
			}
			return err
		}
		maps.Copy(s.values, saved)
	}
	return nil
}

func (s *session) expectAnyOrder(c *call, step suite.Step, wants []frame) error {
	want, kinds := []any{"$any order"}, []string{}
	for _, frame := range wants {
		want, kinds = append(want, frame.content), append(kinds, frame.kind)
	}
	var got []any
	for range wants {
		frame, err := c.next(kinds, step.GetIgnore())
		if err != nil {
			return fmt.Errorf("%w after %d messages, want %d: %s", endOf(err), len(got), len(wants), match.Show(want[1:]))
		}
		got = append(got, frame.content)
	}
	saved, err := match.Match(want, got, s.values)
	maps.Copy(s.values, saved)
	return err
}

// endOf says how a call ended that should have gone on.
func endOf(err error) error {
	failure := new(wire.CallError)
	switch {
	case ended(err):
		return errors.New("the call ended")
	case errors.As(err, &failure) && failure.Unimplemented():
		return fmt.Errorf("the server doesn't implement it: %w", failure)
	case errors.As(err, &failure):
		return fmt.Errorf("the call failed with %w", failure)
	default:
		return err
	}
}

func expectEnd(c *call, step suite.Step) error {
	got, err := c.next(nil, step.GetIgnore())
	switch {
	case err == nil:
		return fmt.Errorf("another message came: %s, want the end of the call", match.Show(got.content))
	case ended(err):
		return nil
	default:
		return fmt.Errorf("%w, want its end without an error", endOf(err))
	}
}

// drain receives up to the end, whatever comes. The call has to give something
// unless it is a stream.
func drain(c *call) error {
	for count := 0; ; count++ {
		_, err := c.receive()
		if ended(err) && (count > 0 || c.spec.RPC.IsStreamingServer()) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w, want no error", endOf(err))
		}
	}
}

func (s *session) expectFailure(c *call, step suite.Step) error {
	want := step.GetError()
	got, err := c.next(nil, step.GetIgnore())
	failure := new(wire.CallError)
	switch {
	case err == nil:
		return fmt.Errorf("a message came: %s, want the error %s", match.Show(got.content), nameOf(want))
	case errors.As(err, &failure) && failure.Unimplemented():
		return fmt.Errorf("%w, want %s", endOf(err), nameOf(want))
	case errors.As(err, &failure):
		return s.matchFailure(want, failure)
	default:
		return fmt.Errorf("%w, want the error %s", endOf(err), nameOf(want))
	}
}

func nameOf(want *conformancev1.ExpectedError) string {
	if want.GetReason() != "" {
		return want.GetReason()
	}
	return codes.Code(want.GetCode()).String()
}

// matchFailure compares how a call failed with how it should have.
func (s *session) matchFailure(want *conformancev1.ExpectedError, got *wire.CallError) error {
	code := want.GetCode()
	if want.GetReason() != "" {
		code, _ = contract.CodeOf(want.GetReason())
	}
	if got.Code != codes.Code(code) {
		return fmt.Errorf("the code is %s, want %s: %w", got.Code, codes.Code(code), got)
	}
	if len(got.Undecoded) > 0 {
		return fmt.Errorf("a detail of the error can't be decoded: %w", errors.Join(got.Undecoded...))
	}
	if want.GetReason() == "" {
		return nil
	}
	info := got.Info()
	if info == nil {
		return fmt.Errorf("the error has no google.rpc.ErrorInfo, want the reason %s: %w", want.GetReason(), got)
	}
	wanted := map[string]any{
		"reason": want.GetReason(), "domain": "tidings", "metadata": textMap(want.GetMetadata()),
	}
	came := map[string]any{"reason": info.GetReason(), "domain": info.GetDomain(), "metadata": textMap(info.GetMetadata())}
	if want.GetFields() != nil {
		wanted["fields"], came["fields"] = texts(want.GetFields()), fieldsOf(got)
	}
	if want.GetRules() != nil {
		wanted["rules"], came["rules"] = texts(want.GetRules()), rulesOf(got)
	}
	saved, err := match.Match(wanted, came, s.values)
	maps.Copy(s.values, saved)
	if err != nil {
		return fmt.Errorf("the error's %w: %w", err, got)
	}
	return nil
}

// fieldsOf are the fields that BadRequest names.
func fieldsOf(f *wire.CallError) []any {
	var list []any
	for _, detail := range f.Details {
		if bad, ok := detail.(*errdetails.BadRequest); ok {
			for _, violation := range bad.GetFieldViolations() {
				list = append(list, violation.GetField())
			}
		}
	}
	return list
}

// rulesOf are the ids of the rules that Violations names.
func rulesOf(f *wire.CallError) []any {
	var list []any
	for _, detail := range f.Details {
		if violations, ok := detail.(*validate.Violations); ok {
			for _, violation := range violations.GetViolations() {
				list = append(list, violation.GetRuleId())
			}
		}
	}
	return list
}

func textMap(texts map[string]string) map[string]any {
	result := map[string]any{}
	for key, value := range texts {
		result[key] = value
	}
	return result
}

func texts(list []string) []any {
	result := make([]any, len(list))
	for i, text := range list {
		result[i] = text
	}
	return result
}
