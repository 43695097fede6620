package schema

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"example.com/tidings/server/internal/guard"
)

// maxMistakes bounds the mistakes that a RulesError names.
const maxMistakes = 10

// RulesError says which rules of protovalidate have a mistake. Without it the
// first event with the message would show that.
type RulesError struct {
	// Mistakes are at least one, and the first that there are. They are ordered by
	// event type, and within a message as its fields are.
	Mistakes []Mistake
	// More says that there are others.
	More bool
}

// Mistake is what is wrong with the rules of an element.
type Mistake struct {
	// Element is the full name of a field or, for a rule of its own, a message.
	Element protoreflect.FullName
	// Problem is a sentence without its subject, on one line.
	Problem string
}

func (e *RulesError) Error() string {
	var texts []string
	for _, mistake := range e.Mistakes {
		texts = append(texts, fmt.Sprintf("rules of %s: %s", mistake.Element, mistake.Problem))
	}
	if e.More {
		texts = append(texts, "and more")
	}
	return strings.Join(texts, "; ")
}

// CheckRules returns a *RulesError where a rule of protovalidate has a mistake, or
// loops in it nest too deep: on one of the messages that an image declares, in
// whichever others, and on those whose files import the image's. It uses so many
// processors, and ends with the context.
func (s *Set) CheckRules(ctx context.Context, image *Image, processors int) error {
	loops, err := s.rules()
	if err != nil {
		return err
	}
	if loops.predefined > maxRuleLoops {
		return fmt.Errorf("predefined rules: %w", errTooManyLoops)
	}
	// Many at once, since a validator copies what it has for each type that comes
	// later. It isn't kept: most types of a large set are never published.
	const atOnce = 200
	parts := slices.Collect(slices.Chunk(s.reached(image), atOnce))
	found := make([][]Mistake, len(parts))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(processors)
	for i, part := range parts {
		group.Go(guard.Func(func() (err error) {
			found[i], err = s.mistakes(ctx, part, loops)
			return err
		}))
	}
	if err := group.Wait(); err != nil {
		return err
	}
	mistakes := slices.Concat(found...)
	if len(mistakes) == 0 {
		return nil
	}
	return &RulesError{mistakes[:min(len(mistakes), maxMistakes)], len(mistakes) > maxMistakes}
}

// reached returns the messages of the files that an image has, and of those that
// import one of them.
func (s *Set) reached(image *Image) (messages []protoreflect.MessageDescriptor) {
	known := make(map[string]bool)
	var reaches func(file protoreflect.FileDescriptor) bool
	reaches = func(file protoreflect.FileDescriptor) bool {
		if Describes(file.Package()) {
			return false
		}
		if reached, ok := known[file.Path()]; ok {
			return reached
		}
		reached := image.Has(file.Path())
		for i := 0; !reached && i < file.Imports().Len(); i++ {
			reached = reaches(file.Imports().Get(i))
		}
		known[file.Path()] = reached
		return reached
	}
	for _, name := range s.names {
		if message := s.types[name].descriptor; reaches(message.ParentFile()) {
			messages = appendDeclared(messages, message)
		}
	}
	return messages
}

// appendDeclared adds a message and those that are declared in it.
func appendDeclared(messages []protoreflect.MessageDescriptor, message protoreflect.MessageDescriptor) []protoreflect.MessageDescriptor {
	if !message.IsMapEntry() {
		messages = append(messages, message)
	}
	for i := range message.Messages().Len() {
		messages = appendDeclared(messages, message.Messages().Get(i))
	}
	return messages
}

// mistakes returns what is wrong with the rules of some messages: of more than are
// named, some.
func (s *Set) mistakes(ctx context.Context, messages []protoreflect.MessageDescriptor, loops *ruleLoops) (found []Mistake, err error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	validator, err := protovalidate.New(protovalidate.WithExtensionTypeResolver(s.Types), protovalidate.WithMessageDescriptors(messages...))
	if err != nil {
		return nil, fmt.Errorf("validator: %w", err)
	}
	for _, message := range messages {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		found = loops.tooMany(message, found)
		if found = mistakesIn(ctx, validator, message, found); len(found) > maxMistakes {
			break
		}
	}
	return found, nil
}

// mistakesIn adds what a validator finds wrong with the rules of a message. An
// empty message is given to those of the message itself, and then to those of its
// fields, which are looked at in their order: each time that they end with an
// error, which may as well be about the empty message, from the next one on.
func mistakesIn(ctx context.Context, validator protovalidate.Validator, message protoreflect.MessageDescriptor, found []Mistake) []Mistake {
	empty := dynamicpb.NewMessage(message)
	next := -1 // The index of a field; -1: the message itself.
	for ctx.Err() == nil && len(found) <= maxMistakes {
		at, last := protoreflect.Descriptor(message), next
		err := validator.Validate(empty, protovalidate.WithFilter(protovalidate.FilterFunc(
			func(_ protoreflect.Message, element protoreflect.Descriptor) bool {
				if field, ok := element.(protoreflect.FieldDescriptor); ok && next >= 0 && field.Index() >= next {
					at, last = field, field.Index()
					return true
				}
				return next < 0 && element == at
			})))
		if mistake, ok := errors.AsType[*protovalidate.CompilationError](err); ok {
			found = append(found, Mistake{at.FullName(), compilerText(mistake)})
		}
		if _, invalid := errors.AsType[*protovalidate.ValidationError](err); next >= 0 && (err == nil || invalid) {
			break // It got to the last field.
		}
		next = last + 1
	}
	return found
}

// compilerText is what protovalidate says of a mistake, without the expression
// that CEL draws below its own text, and without places that say nothing.
func compilerText(mistake error) string {
	var lines []string
	for line := range strings.Lines(mistake.Error()) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "|") {
			lines = append(lines, line)
		}
	}
	return strings.NewReplacer("compilation error: ", "", "ERROR: <input>:", "").Replace(strings.Join(lines, "; "))
}

// tooMany adds the elements of a message that have rules whose loops nest too deep.
func (l *ruleLoops) tooMany(message protoreflect.MessageDescriptor, found []Mistake) []Mistake {
	if l.ofMessage(message) <= maxRuleLoops {
		return found
	}
	own, _ := proto.GetExtension(message.Options(), validate.E_Message).(*validate.MessageRules)
	if l.of(own.GetCel(), own.GetCelExpression()) > maxRuleLoops {
		found = append(found, Mistake{message.FullName(), errTooManyLoops.Error()})
	}
	for i := range message.Fields().Len() {
		field := message.Fields().Get(i)
		rules, _ := proto.GetExtension(field.Options(), validate.E_Field).(*validate.FieldRules)
		if l.ofField(rules) > maxRuleLoops {
			found = append(found, Mistake{field.FullName(), errTooManyLoops.Error()})
		}
	}
	return found
}
