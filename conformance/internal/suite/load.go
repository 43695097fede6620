// Package suite reads the cases of the suite.
package suite

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"buf.build/go/protoyaml"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"buf.build/go/protovalidate"

	"example.com/tidings/conformance/internal/contract"

	conformancev1 "example.com/tidings/conformance/gen/go/tidings/conformance/v1"
)

// Case is a case with what its file adds.
type Case struct {
	// Name is that of the RPC and the case's own:
	// `tidings.v1.TopicService/GetTopic/not-found`.
	Name string
	// RPC is what the case is about.
	RPC   protoreflect.MethodDescriptor
	Says  string
	Needs []*conformancev1.Need
	// Values are for `${name}`.
	Values map[string]any
	// Schemas are the sources for `${image.name}`.
	Schemas map[string]string
	Alone   bool
	Steps   []Step
	// Place is the file and the line, `topics.yaml:12`.
	Place string
}

// Step is a step with what it says in few words made plain.
type Step struct {
	*conformancev1.Step
	// Call is the RPC that the step calls or goes on with.
	Call  protoreflect.MethodDescriptor
	Place string
}

// Calls returns the names of the RPCs that a case calls.
func (c *Case) Calls() []string {
	var names []string
	for _, step := range c.Steps {
		if step.Call != nil && !slices.Contains(names, contract.Name(step.Call)) {
			names = append(names, contract.Name(step.Call))
		}
	}
	return names
}

// Load reads all files *.yaml of a directory. Every mistake is in the error, with
// its file and line.
func Load(dir fs.FS) ([]Case, error) {
	names, err := fs.Glob(dir, "*.yaml")
	if err != nil {
		return nil, err
	}
	var cases []Case
	var mistakes []error
	taken := map[string]string{}
	for _, name := range names {
		data, err := fs.ReadFile(dir, name)
		if err != nil {
			return nil, err
		}
		found, err := parse(name, data)
		if err != nil {
			mistakes = append(mistakes, err)
		}
		for _, c := range found {
			if before, ok := taken[c.Name]; ok {
				mistakes = append(mistakes, fmt.Errorf("%s: a case of the name %s is at %s", c.Place, c.Name, before))
			}
			taken[c.Name] = c.Place
		}
		cases = append(cases, found...)
	}
	slices.SortFunc(cases, func(a, b Case) int { return strings.Compare(a.Name, b.Name) })
	return cases, errors.Join(mistakes...)
}

// parse reads one file.
func parse(name string, data []byte) ([]Case, error) {
	file := new(conformancev1.CaseFile)
	lines := places{name: name, lines: map[proto.Message]int{}}
	options := protoyaml.UnmarshalOptions{Path: name, CustomUnmarshaler: lines, Validator: validator{}}
	if err := options.Unmarshal(data, file); err != nil {
		return nil, err
	}
	rpc, err := contract.Find(file.GetRpc())
	if err != nil {
		return nil, fmt.Errorf("%s: rpc: %w", lines.of(file), err)
	}
	values := map[string]any{}
	for name, value := range file.GetValues() {
		values[name] = value.AsInterface()
	}
	var cases []Case
	var mistakes []error
	for _, c := range file.GetCases() {
		result := Case{
			Name:    contract.Name(rpc) + "/" + c.GetName(),
			RPC:     rpc,
			Says:    c.GetSays(),
			Needs:   slices.Concat(file.GetNeeds(), c.GetNeeds()),
			Values:  values,
			Schemas: c.GetSchemas(),
			Alone:   c.GetAlone(),
			Place:   lines.of(c),
		}
		for _, step := range slices.Concat(file.GetSetup(), c.GetSteps()) {
			result.Steps = append(result.Steps, Step{Step: step, Place: lines.of(step)})
		}
		if err := result.check(lines); err != nil {
			mistakes = append(mistakes, err)
		}
		cases = append(cases, result)
	}
	return cases, errors.Join(mistakes...)
}

// validator applies the rules of the schema of case files.
type validator struct{}

func (validator) Validate(message proto.Message) error { return protovalidate.Validate(message) }

// places remembers in which line a message begins.
type places struct {
	name  string
	lines map[proto.Message]int
}

// Unmarshal implements protoyaml.CustomUnmarshaler, for the sake of the lines: it
// leaves the reading to protoyaml.
func (p places) Unmarshal(node *yaml.Node, message proto.Message) (bool, error) {
	p.lines[message] = node.Line
	return false, nil
}

func (p places) of(message proto.Message) string {
	return fmt.Sprintf("%s:%d", p.name, max(1, p.lines[message]))
}

// The type URLs of the events that the suite publishes.
const (
	EveryKindURL = "type.googleapis.com/tidings.conformance.v1.EveryKind"
	PartURL      = "type.googleapis.com/tidings.conformance.v1.Part"
)
