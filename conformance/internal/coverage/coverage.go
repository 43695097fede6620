// Package coverage counts what the cases are about, and finds what the contract
// has and no case is about.
package coverage

import (
	"fmt"
	"io/fs"
	"slices"

	"buf.build/go/protovalidate"
	"buf.build/go/protoyaml"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"example.com/tidings/conformance/internal/contract"
	"example.com/tidings/conformance/internal/suite"

	conformancev1 "example.com/tidings/conformance/gen/go/tidings/conformance/v1"
)

// Coverage is how many cases there are, for each thing of the contract.
type Coverage struct {
	// RPCs are the cases that are about an RPC, by its name.
	RPCs map[string]int
	// Reasons are the cases that expect an error reason, by its name.
	Reasons map[string]int
	// Frames are the cases that expect a frame, by RPC and kind:
	// `tidings.v1.ReaderService/Read gap`.
	Frames map[string]int
}

// Count counts.
func Count(cases []suite.Case) Coverage {
	c := Coverage{map[string]int{}, map[string]int{}, map[string]int{}}
	for _, rpc := range contract.RPCs() {
		c.RPCs[contract.Name(rpc)] = 0
		for _, frame := range contract.Frames(rpc) {
			c.Frames[frameName(rpc, frame)] = 0
		}
	}
	for _, reason := range contract.Reasons() {
		c.Reasons[reason] = 0
	}
	for _, one := range cases {
		c.RPCs[contract.Name(one.RPC)]++
		reasons, frames := map[string]bool{}, map[string]bool{}
		for _, step := range one.Steps {
			if reason := step.GetError().GetReason(); reason != "" {
				reasons[reason] = true
			}
			for _, response := range append(step.GetResponses(), step.GetResponse()) {
				expected := response.AsMap()
				inResponse(expected, reasons)
				for kind := range expected {
					if step.Call.IsStreamingServer() {
						frames[frameName(step.Call, kind)] = true
					}
				}
			}
		}
		for reason := range reasons {
			c.Reasons[reason]++
		}
		for frame := range frames {
			if _, ok := c.Frames[frame]; ok {
				c.Frames[frame]++
			}
		}
	}
	return c
}

func frameName(rpc protoreflect.MethodDescriptor, kind string) string {
	return contract.Name(rpc) + " " + kind
}

// inResponse finds the reasons of errors inside of responses.
func inResponse(expected any, reasons map[string]bool) {
	switch expected := expected.(type) {
	case map[string]any:
		if value, ok := expected["reason"].(string); ok {
			if reason, ok := contract.ReasonOf(value); ok {
				reasons[reason] = true
			}
		}
		for _, element := range expected {
			inResponse(element, reasons)
		}
	case []any:
		for _, element := range expected {
			inResponse(element, reasons)
		}
	}
}

// Missing returns what has no case: RPCs, frames, and the reasons that aren't
// exempt.
func (c Coverage) Missing(exempt []string) []string {
	var missing []string
	for kind, counts := range map[string]map[string]int{"RPC": c.RPCs, "frame": c.Frames, "error reason": c.Reasons} {
		for name, count := range counts {
			if count == 0 && (kind != "error reason" || !slices.Contains(exempt, name)) {
				missing = append(missing, fmt.Sprintf("no case for the %s %s", kind, name))
			}
		}
	}
	slices.Sort(missing)
	return missing
}

// Exempt reads the file that lists the reasons that no case can provoke.
func Exempt(dir fs.FS, name string) ([]string, error) {
	data, err := fs.ReadFile(dir, name)
	if err != nil {
		return nil, err
	}
	file := new(conformancev1.ExemptionFile)
	options := protoyaml.UnmarshalOptions{Path: name, Validator: validator{}}
	if err := options.Unmarshal(data, file); err != nil {
		return nil, err
	}
	var reasons []string
	for _, exemption := range file.GetReasons() {
		if _, ok := contract.CodeOf(exemption.GetReason()); !ok {
			return nil, fmt.Errorf("%s: the catalogue has no reason %q", name, exemption.GetReason())
		}
		reasons = append(reasons, exemption.GetReason())
	}
	return reasons, nil
}

type validator struct{}

func (validator) Validate(message proto.Message) error { return protovalidate.Validate(message) }
