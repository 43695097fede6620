package schemarules

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"buf.build/go/bufplugin/check"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// The catalogues of errors: the one of tidings.v1 and those that other packages of
// the contract add to it.
const (
	reasonsName  = "ErrorReason"
	reasonPrefix = "ERROR_REASON_"
)

// isReasons reports whether an enum is a catalogue of errors.
func isReasons(enum protoreflect.Descriptor) bool {
	return enum.Name() == reasonsName && contractPackage.MatchString(string(enum.ParentFile().Package()))
}

// contractPackage is the name of a package whose RPCs have the errors of the
// catalogue. Others, such as those between the server's replicas, have their own.
var contractPackage = regexp.MustCompile(`^tidings\.v\d+((alpha|beta)\d+)?$`)

func rpcErrors() *check.RuleSpec {
	return lint("TIDINGS_RPC_ERRORS",
		"Checks that the comment of every RPC of Tidings names its error reasons, and that they exist.",
		onState(func(s subject) error {
			words := s.words()
			for method := range of[protoreflect.MethodDescriptor](s.files) {
				if !contractPackage.MatchString(string(method.ParentFile().Package())) {
					continue
				}
				for _, problem := range errorProblems(method, words) {
					s.AddAnnotation(check.WithMessagef("%s %s.", describe(method), problem), check.WithDescriptor(method))
				}
			}
			return nil
		}))
}

// words are the names in capitals that may occur where errors are named.
type words struct {
	// reasons are the names of the catalogues, without their prefix, and the
	// packages that have them.
	reasons map[string][]protoreflect.FullName
	// values are those of other enums, whole and without the name of the enum.
	values map[string]bool
}

func (s state) words() words {
	w := words{reasons: make(map[string][]protoreflect.FullName), values: make(map[string]bool)}
	for value := range of[protoreflect.EnumValueDescriptor](s.all) {
		name := string(value.Name())
		if isReasons(value.Parent()) {
			if value.Number() != 0 {
				reason := strings.TrimPrefix(name, reasonPrefix)
				w.reasons[reason] = append(w.reasons[reason], value.ParentFile().Package())
			}
			continue
		}
		// SETTLEMENT_STATUS_LEASE_LOST is LEASE_LOST too.
		for rest := name; rest != ""; _, rest, _ = strings.Cut(rest, "_") {
			w.values[rest] = true
		}
	}
	return w
}

// isReason reports whether a name is that of a reason that an RPC may end with: one of
// its own package, or of one that no longer changes.
func (w words) isReason(method protoreflect.MethodDescriptor, name string) bool {
	return slices.ContainsFunc(w.reasons[name], func(pkg protoreflect.FullName) bool {
		return pkg == method.ParentFile().Package() || stableContract.MatchString(string(pkg))
	})
}

// stableContract is the name of a package of the contract that no longer changes.
var stableContract = regexp.MustCompile(`^tidings\.v\d+$`)

var (
	errorsMark = regexp.MustCompile(`\bErrors: `)
	// sentenceEnd ends the sentence that names the errors.
	sentenceEnd = regexp.MustCompile(`\.( |$)`)
	inCapitals  = regexp.MustCompile(`\b[A-Z][A-Z0-9]*(_[A-Z0-9]+)+\b`)
	thoseOf     = regexp.MustCompile(`\bthose of ([A-Za-z]+)\b`)
)

// errorProblems returns what is wrong with the part of an RPC's comment that
// begins with "Errors:". Its first sentence names the reasons, or another RPC that
// has the same, or says that there are none.
func errorProblems(method protoreflect.MethodDescriptor, w words) []string {
	text := comment(method)
	mark := errorsMark.FindStringIndex(text)
	if mark == nil {
		return []string{`names no errors: its comment lacks "Errors: REASON, REASON." or "Errors: none of its own."`}
	}
	text = text[mark[1]:]
	sentence := text
	if end := sentenceEnd.FindStringIndex(text); end != nil {
		sentence = text[:end[0]]
	}
	var problems []string
	named := sentence == "none of its own"
	for _, name := range inCapitals.FindAllString(text, -1) {
		if !w.isReason(method, name) && !w.values[name] {
			problems = append(problems, fmt.Sprintf("names the error %s, which no %s has that it may use", name, reasonsName))
		}
	}
	for _, name := range inCapitals.FindAllString(sentence, -1) {
		named = named || w.isReason(method, name)
	}
	for _, match := range thoseOf.FindAllStringSubmatch(sentence, -1) {
		service, _ := method.Parent().(protoreflect.ServiceDescriptor)
		if other := service.Methods().ByName(protoreflect.Name(match[1])); other == nil || other == method {
			problems = append(problems, fmt.Sprintf("has the errors of %s, which %s doesn't have", match[1], service.FullName()))
		}
		named = true
	}
	if !named && len(problems) == 0 {
		problems = append(problems, `names no errors after "Errors:"`)
	}
	return problems
}

func errorReasonOption() *check.RuleSpec {
	return lint("TIDINGS_ERROR_REASON_OPTION",
		"Checks that every error reason says its code and whether to retry.",
		onState(func(s subject) error {
			for value := range of[protoreflect.EnumValueDescriptor](s.files) {
				if !isReasons(value.Parent()) || value.Number() == 0 {
					continue
				}
				unsaid, ok, err := s.options.Reason(value)
				switch {
				case err != nil:
					return err
				case !ok:
					s.AddAnnotation(check.WithMessagef("%s lacks the option tidings.v1.error.", describe(value)),
						check.WithDescriptor(value))
				case len(unsaid) > 0:
					s.AddAnnotation(check.WithMessagef("%s doesn't say its %v.", describe(value), unsaid),
						check.WithDescriptor(value))
				}
			}
			return nil
		}))
}
