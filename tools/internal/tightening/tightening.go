// Package tightening reports whether rules of protovalidate refuse, after a change,
// what they took before it. Such a change makes stored events invalid, and
// producers that were right are refused.
//
// A change passes only if the new rules can be shown to take everything that the
// old ones took. What can't be compared, such as an expression with another text,
// is a finding as well, and says so.
package tightening

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// A Finding is a rule that refuses what was valid before, or that may.
type Finding struct {
	// Incomparable is set where nobody knows whether the rule refuses more.
	Incomparable bool
	// Path leads from the options of the element to the rule, as far as there is
	// one: an empty path stands for the element itself.
	Path protoreflect.SourcePath
	// Rule names the rule as a schema would: `repeated.items.string.max_len`.
	Rule string
	// Text says what became of it.
	Text string
}

// String joins the rule and what became of it.
func (f Finding) String() string { return strings.TrimSpace(f.Rule + " " + f.Text) }

// A place is where in the options a rule stands.
type place struct {
	path  protoreflect.SourcePath
	names []string
}

// optionPlace is where an option stands among the options of an element.
func optionPlace(option protoreflect.ExtensionType) place {
	return place{path: protoreflect.SourcePath{int32(option.TypeDescriptor().Number())}}
}

func (p place) field(field protoreflect.FieldDescriptor) place {
	return p.step(int32(field.Number()), string(field.Name()))
}

func (p place) index(i int) place {
	return place{path: append(slices.Clone(p.path), int32(i)), names: p.names}
}

func (p place) step(number int32, name string) place {
	return place{path: append(slices.Clone(p.path), number), names: append(slices.Clone(p.names), name)}
}

// A report collects findings.
type report struct {
	findings []Finding
}

// addf takes a rule that refuses what was valid.
func (r *report) addf(at place, format string, args ...any) {
	r.add(Finding{Path: at.path, Rule: strings.Join(at.names, "."), Text: fmt.Sprintf(format, args...)})
}

// unknownf takes a rule that can't be compared.
func (r *report) unknownf(at place, format string, args ...any) {
	r.add(Finding{Path: at.path, Rule: strings.Join(at.names, "."), Text: fmt.Sprintf(format, args...), Incomparable: true})
}

// add takes one finding of each rule, the first.
func (r *report) add(f Finding) {
	same := func(other Finding) bool { return f.Rule == other.Rule && slices.Equal(f.Path, other.Path) }
	if !slices.ContainsFunc(r.findings, same) {
		r.findings = append(r.findings, f)
	}
}
