package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"example.com/tidings/tools/internal/contract"
)

// The names in the contract that this program reads.
const (
	reasonsName = "ErrorReason"
	optionName  = "tidings.v1.error"

	reasonPrefix = "ERROR_REASON_"
	codePrefix   = "STATUS_CODE_"
	retryPrefix  = "RETRY_"

	// metadataMark begins the part of a reason's comment that tells of metadata.
	metadataMark = "Metadata: "
)

// catalogue is the errors of a package: those of all calls, or those that a beta
// adds.
type catalogue struct {
	Package protoreflect.FullName
	Reasons []reason
	// General are the names of those that every call may end with.
	General []string
}

// reason is one error of a catalogue.
type reason struct {
	Name     string // Without its prefix, as clients see it.
	Code     string
	Retry    string
	Meaning  string
	Metadata string // Empty: none.
	// Conditional: not every server sends it.
	Conditional bool
}

// names are those of the errors.
func names(catalogues []catalogue) []string {
	var all []string
	for _, c := range catalogues {
		for _, r := range c.Reasons {
			all = append(all, r.Name)
		}
	}
	return all
}

// codes are those of the errors, by their names.
func codes(catalogues []catalogue) map[string]string {
	all := make(map[string]string)
	for _, c := range catalogues {
		for _, r := range c.Reasons {
			all[r.Name] = r.Code
		}
	}
	return all
}

// general are the names of the errors that every call may end with.
func general(catalogues []catalogue) []string {
	var all []string
	for _, c := range catalogues {
		all = append(all, c.General...)
	}
	return all
}

// readCatalogues returns the errors that the packages of the contract declare, in
// their order. Each has to have a comment, a code and a word on retries.
func readCatalogues(files *protoregistry.Files) ([]catalogue, error) {
	var all []catalogue
	for _, name := range slices.Sorted(maps.Keys(contract.Files(files))) {
		found, err := files.FindDescriptorByName(name.Append(reasonsName))
		if errors.Is(err, protoregistry.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		enum, ok := found.(protoreflect.EnumDescriptor)
		if !ok {
			return nil, fmt.Errorf("%s is not an enum", found.FullName())
		}
		c := catalogue{Package: name}
		for i := range enum.Values().Len() {
			value := enum.Values().Get(i)
			if value.Number() == 0 { // Unspecified: never sent.
				continue
			}
			r, err := readReason(files, value)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", value.Name(), err)
			}
			c.Reasons = append(c.Reasons, r)
		}
		c.General = contract.General(enum, names([]catalogue{c}))
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no package has an enum %s", reasonsName)
	}
	return all, nil
}

func readReason(files *protoregistry.Files, value protoreflect.EnumValueDescriptor) (reason, error) {
	options, err := errorOptions(files, value)
	if err != nil {
		return reason{}, err
	}
	r := reason{Name: strings.TrimPrefix(string(value.Name()), reasonPrefix)}
	if r.Code, err = enumField(options, "code", codePrefix); err != nil {
		return reason{}, err
	}
	if r.Retry, err = enumField(options, "retry", retryPrefix); err != nil {
		return reason{}, err
	}
	if field := options.Descriptor().Fields().ByName("conditional"); field != nil {
		r.Conditional = options.Get(field).Bool()
	}
	comment := value.ParentFile().SourceLocations().ByDescriptor(value).LeadingComments
	r.Meaning, r.Metadata, _ = strings.Cut(strings.Join(strings.Fields(comment), " "), metadataMark)
	r.Meaning, r.Metadata = strings.TrimSpace(r.Meaning), strings.TrimSuffix(r.Metadata, ".")
	if r.Meaning == "" {
		return reason{}, errors.New("it has no comment that says what it means")
	}
	return r, nil
}

// errorOptions returns what the option says of a reason.
func errorOptions(files *protoregistry.Files, value protoreflect.EnumValueDescriptor) (protoreflect.Message, error) {
	types := dynamicpb.NewTypes(files)
	extension, err := types.FindExtensionByName(optionName)
	if err != nil {
		return nil, fmt.Errorf("option %s: %w", optionName, err)
	}
	// Parse left the option unknown: this program has no generated code of the
	// contract. The image has all that is needed to read it.
	encoded, err := proto.Marshal(value.Options())
	if err != nil {
		return nil, err
	}
	field := extension.TypeDescriptor()
	options := dynamicpb.NewMessage(field.ContainingMessage())
	if err := (proto.UnmarshalOptions{Resolver: types}).Unmarshal(encoded, options); err != nil {
		return nil, err
	}
	if !options.Has(field) {
		return nil, fmt.Errorf("it has no option %s", optionName)
	}
	return options.Get(field).Message(), nil
}

// enumField returns the name of the value of an enum field, without its prefix.
func enumField(message protoreflect.Message, name protoreflect.Name, prefix string) (string, error) {
	field := message.Descriptor().Fields().ByName(name)
	if field == nil || field.Enum() == nil {
		return "", fmt.Errorf("option %s has no enum field %s", optionName, name)
	}
	number := message.Get(field).Enum()
	value := field.Enum().Values().ByNumber(number)
	if value == nil || number == 0 {
		return "", fmt.Errorf("option %s says no %s", optionName, name)
	}
	return strings.TrimPrefix(string(value.Name()), prefix), nil
}
