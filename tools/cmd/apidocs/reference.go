package main

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"example.com/tidings/tools/internal/contract"
	"example.com/tidings/tools/internal/ruletext"
)

// reference is the page of a package.
type reference struct {
	Package protoreflect.FullName
	Comment string
	Files   []file
}

type file struct {
	Name       string
	Services   []service
	Messages   []message
	Enums      []enum
	Extensions []field
}

type service struct {
	Name, Comment string
	Methods       []method
}

type method struct {
	Name, Path, Takes, Gives, Repeat, Comment, Errors string
}

type message struct {
	Name, Comment string
	// Rules are what the message has to be as a whole, a sentence each.
	Rules  []string
	Fields []field
}

type field struct {
	Name, Type, Comment string
	Number              protoreflect.FieldNumber
	// Rules are what the value has to be.
	Rules string
}

type enum struct {
	Name, Comment string
	Values        []value
}

type value struct {
	Name, Comment string
	Number        protoreflect.EnumNumber
}

// writer says what descriptors declare, in Markdown.
type writer struct {
	// page is the package whose page it is.
	page protoreflect.FullName
	// options reads those of the contract.
	options contract.Options
	// reasons are the names of the catalogues.
	reasons []string
	err     error
}

// newReference returns the page of the files of a package.
func newReference(files []protoreflect.FileDescriptor, options contract.Options, reasons []string) (reference, error) {
	w := &writer{page: files[0].Package(), options: options, reasons: reasons}
	r := reference{Package: w.page}
	for _, descriptor := range files {
		if r.Comment == "" {
			r.Comment = prose(contract.Comment(descriptor))
		}
		f := file{Name: filepath.Base(descriptor.Path())}
		for i := range descriptor.Services().Len() {
			f.Services = append(f.Services, w.service(descriptor.Services().Get(i)))
		}
		f.Extensions = w.extensions(descriptor.Extensions())
		w.declared(descriptor, &f)
		r.Files = append(r.Files, f)
	}
	return r, w.err
}

// declares is a file or a message.
type declares interface {
	Messages() protoreflect.MessageDescriptors
	Enums() protoreflect.EnumDescriptors
}

// declared adds the messages and enums of a file or a message, and what is in them.
func (w *writer) declared(in declares, f *file) {
	for i := range in.Messages().Len() {
		if m := in.Messages().Get(i); !m.IsMapEntry() {
			f.Messages = append(f.Messages, w.message(m))
			w.declared(m, f)
		}
	}
	for i := range in.Enums().Len() {
		f.Enums = append(f.Enums, w.enum(in.Enums().Get(i)))
	}
}

func (w *writer) service(d protoreflect.ServiceDescriptor) service {
	s := service{Name: string(d.Name()), Comment: prose(contract.Comment(d))}
	for i := range d.Methods().Len() {
		s.Methods = append(s.Methods, w.method(d.Methods().Get(i)))
	}
	return s
}

func (w *writer) method(d protoreflect.MethodDescriptor) method {
	m := method{
		Name:   string(d.Parent().Name() + "." + d.Name()),
		Path:   "/" + string(d.Parent().FullName()) + "/" + string(d.Name()),
		Takes:  streamed(d.IsStreamingClient(), w.link(d.Input())),
		Gives:  streamed(d.IsStreamingServer(), w.link(d.Output())),
		Repeat: repeat(d),
	}
	var comment []string
	for _, paragraph := range contract.Comment(d) {
		if text, ok := strings.CutPrefix(paragraph, "Errors: "); ok {
			m.Errors = w.errors(text)
			continue
		}
		comment = append(comment, paragraph)
	}
	m.Comment = prose(comment)
	return m
}

func streamed(yes bool, of string) string {
	if yes {
		return "stream of " + of
	}
	return of
}

// repeat says what the option of an RPC says of sending a request again.
func repeat(d protoreflect.MethodDescriptor) string {
	options, _ := d.Options().(*descriptorpb.MethodOptions)
	switch level := options.GetIdempotencyLevel(); {
	case level == descriptorpb.MethodOptions_IDEMPOTENT:
		return "`IDEMPOTENT`: again is the same as once"
	case level != descriptorpb.MethodOptions_NO_SIDE_EFFECTS:
		return "not declared: see the comment"
	case d.IsStreamingClient() || d.IsStreamingServer():
		return "`NO_SIDE_EFFECTS`"
	default:
		return "`NO_SIDE_EFFECTS`: can be HTTP GET"
	}
}

var inCapitals = regexp.MustCompile(`\b[A-Z][A-Z0-9]*(_[A-Z0-9]+)*\b`)

// errors sets the names of reasons in the type of code.
func (w *writer) errors(text string) string {
	known := make(map[string]bool)
	for _, reason := range w.reasons {
		known[reason] = true
	}
	return escape(inCapitals.ReplaceAllStringFunc(text, func(name string) string {
		if known[name] {
			return "`" + name + "`"
		}
		return name
	}))
}

func (w *writer) message(d protoreflect.MessageDescriptor) message {
	m := message{Name: w.local(d), Comment: prose(contract.Comment(d))}
	for i := range d.Oneofs().Len() {
		if oneof := d.Oneofs().Get(i); !oneof.IsSynthetic() {
			phrase, err := ruletext.Oneof(oneof)
			w.fail(err)
			m.Rules = append(m.Rules, strings.TrimSpace(cellProse(contract.Comment(oneof))+" "+sentence(phrase)))
		}
	}
	phrases, err := ruletext.Message(d)
	w.fail(err)
	for _, phrase := range phrases {
		m.Rules = append(m.Rules, sentence(phrase))
	}
	for i := range d.Fields().Len() {
		m.Fields = append(m.Fields, w.field(d.Fields().Get(i)))
	}
	return m
}

// sentence makes a sentence of a phrase.
func sentence(phrase string) string { return strings.ToUpper(phrase[:1]) + phrase[1:] + "." }

func (w *writer) extensions(list protoreflect.ExtensionDescriptors) []field {
	var fields []field
	for i := range list.Len() {
		f := w.field(list.Get(i))
		f.Name = "(" + string(list.Get(i).FullName()) + ")"
		f.Type += ", of " + w.link(list.Get(i).ContainingMessage())
		fields = append(fields, f)
	}
	return fields
}

func (w *writer) field(d protoreflect.FieldDescriptor) field {
	f := field{Name: string(d.Name()), Number: d.Number(), Type: w.typeOf(d), Comment: cellProse(contract.Comment(d))}
	rules, err := ruletext.Field(d)
	w.fail(err)
	behavior, err := w.options.Behavior(d)
	w.fail(err)
	if behavior != "" {
		rules = append([]string{strings.ToLower(strings.ReplaceAll(behavior, "_", " "))}, rules...)
	}
	f.Rules = strings.Join(rules, "; ")
	return f
}

// typeOf says the type of a field.
func (w *writer) typeOf(d protoreflect.FieldDescriptor) string {
	switch {
	case d.IsMap():
		return "map of " + w.typeOf(d.MapKey()) + " to " + w.typeOf(d.MapValue())
	case d.IsList():
		return "repeated " + w.single(d)
	case d.HasOptionalKeyword():
		return "optional " + w.single(d)
	default:
		return w.single(d)
	}
}

func (w *writer) single(d protoreflect.FieldDescriptor) string {
	switch {
	case d.Message() != nil:
		return w.link(d.Message())
	case d.Enum() != nil:
		return w.link(d.Enum())
	default:
		return d.Kind().String()
	}
}

func (w *writer) enum(d protoreflect.EnumDescriptor) enum {
	e := enum{Name: w.local(d), Comment: prose(contract.Comment(d))}
	for i := range d.Values().Len() {
		v := d.Values().Get(i)
		e.Values = append(e.Values, value{Name: string(v.Name()), Number: v.Number(), Comment: cellProse(contract.Comment(v))})
	}
	return e
}

// local is the name of a message or an enum in its package.
func (w *writer) local(d protoreflect.Descriptor) string {
	return strings.TrimPrefix(string(d.FullName()), string(d.ParentFile().Package())+".")
}

// link names a message or an enum, and leads to where it is described.
func (w *writer) link(d protoreflect.Descriptor) string {
	name, in := w.local(d), d.ParentFile().Package()
	switch {
	case in == w.page:
		return fmt.Sprintf("[%s](#%s)", name, anchor(name))
	case strings.HasPrefix(string(in), "tidings."):
		return fmt.Sprintf("[%s](%s.md#%s)", d.FullName(), in, anchor(name))
	default:
		return "`" + string(d.FullName()) + "`"
	}
}

// anchor is what GitHub makes of a heading.
func anchor(heading string) string {
	return strings.ReplaceAll(strings.ToLower(heading), ".", "")
}

// fail keeps the first error.
func (w *writer) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}
