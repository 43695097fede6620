package mutation

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// An event is sent across a change of the schemas.
type event struct {
	// The full name of its message.
	Type string `yaml:"type"`
	// What a program with the schemas before the change writes, as text of
	// Protocol Buffers, where (a)*3 is aaa. It is valid by those.
	Before string `yaml:"before"`
	// What a program with the changed schemas writes. Empty: the same text;
	// otherwise it is valid by the changed schemas.
	After string `yaml:"after"`
}

var repetition = regexp.MustCompile(`\(([^()]+)\)\*(\d+)`)

// repeat writes out what an event has many times.
func repeat(text string) string {
	return repetition.ReplaceAllStringFunc(text, func(found string) string {
		part := repetition.FindStringSubmatch(found)
		times, _ := strconv.Atoi(part[2])
		return strings.Repeat(part[1], times)
	})
}

// An effect is what becomes of an event that is sent across a change, in the words
// of docs/compatibility.md.
type effect struct {
	// Of the event of a program with the old schemas, at a server with the new
	// ones.
	producers string
	// Of the event of a program with the new schemas, for one with the old ones.
	consumers string
	// Of an event that is stored, for a program with the new schemas.
	stored string
}

// The words for what can become of an event, the worst last.
const (
	asBefore   = "as before"
	fieldEmpty = "field empty" // A field that the writer doesn't know.
	notValid   = "no longer valid"
	nameless   = "unknown number" // Of an enum.
	notSeen    = "value not seen"
	otherValue = "other value"
	unreadable = "can't be read"
	refused    = "refused"
	noneCome   = "none come"
)

// outcomes are all of them.
var outcomes = []string{asBefore, fieldEmpty, notValid, nameless, notSeen, otherValue, unreadable, refused, noneCome}

// worst returns the index in outcomes that is the highest.
func worst(a, b string) string {
	for i := len(outcomes) - 1; i > 0; i-- {
		if outcomes[i] == a || outcomes[i] == b {
			return outcomes[i]
		}
	}
	return asBefore
}

// inBoth says what becomes of an event in its two forms.
func inBoth(binary, json string) string {
	switch {
	case binary == json:
		return binary
	case binary == asBefore:
		return json + " in JSON"
	case json == asBefore:
		return binary + " in binary"
	default:
		return binary + " in binary, " + json + " in JSON"
	}
}

// schemas are those before or after a change.
type schemas struct {
	files     *protoregistry.Files
	validator protovalidate.Validator
}

// readSchemas reads an image that Buf built.
func readSchemas(image string) (schemas, error) {
	data, err := os.ReadFile(image)
	if err != nil {
		return schemas{}, err
	}
	set := &descriptorpb.FileDescriptorSet{}
	if err := proto.Unmarshal(data, set); err != nil {
		return schemas{}, err
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		return schemas{}, err
	}
	validator, err := protovalidate.New()
	return schemas{files, validator}, err
}

// message returns the type with a name. Not found: protoregistry.NotFound.
func (s schemas) message(name string) (protoreflect.MessageType, error) {
	descriptor, err := s.files.FindDescriptorByName(protoreflect.FullName(name))
	if err != nil {
		return nil, err
	}
	message, ok := descriptor.(protoreflect.MessageDescriptor)
	if !ok {
		return nil, fmt.Errorf("%s is no message", name)
	}
	return dynamicpb.NewMessageType(message), nil
}

// effect makes a change and sends its event across.
func (g ground) effect(ctx context.Context, before schemas, p pair, s side) (effect, error) {
	dir, err := g.schemas(p.command)
	if err != nil {
		return effect{}, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // The test's own directory goes in the end.
	if err := s.apply(filepath.Join(dir, schemaDir)); err != nil {
		return effect{}, err
	}
	image := filepath.Join(dir, "after.binpb")
	cmd := exec.CommandContext(ctx, g.buf, "build", dir, "-o", image)
	cmd.Dir = g.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return effect{}, fmt.Errorf("the changed schemas don't compile: %w: %s", err, out)
	}
	after, err := readSchemas(image)
	if err != nil {
		return effect{}, err
	}
	return s.Event.send(before, after)
}

// send sends an event from each side of a change to the other.
func (e event) send(before, after schemas) (effect, error) {
	older, err := before.message(e.Type)
	if err != nil {
		return effect{}, err
	}
	written := older.New().Interface()
	if err := prototext.Unmarshal([]byte(repeat(e.Before)), written); err != nil {
		return effect{}, fmt.Errorf("the event before: %w", err)
	}
	if err := before.validator.Validate(written); err != nil {
		return effect{}, fmt.Errorf("the event before: %w", err)
	}

	newer, err := after.message(e.Type)
	if errors.Is(err, protoregistry.NotFound) {
		return effect{producers: refused, consumers: noneCome, stored: unreadable}, nil
	} else if err != nil {
		return effect{}, err
	}
	sent := newer.New().Interface()
	text := e.Before
	if e.After != "" {
		text = e.After
	}
	if err := (prototext.UnmarshalOptions{AllowPartial: true, DiscardUnknown: e.After == ""}).Unmarshal([]byte(repeat(text)), sent); err != nil {
		return effect{}, fmt.Errorf("the event after: %w", err)
	}
	if err := after.validator.Validate(sent); err != nil && e.After != "" {
		return effect{}, fmt.Errorf("the event after: %w", err)
	}
	return effect{
		producers: inBoth(taken(written, newer, inBinary, after), taken(written, newer, inJSON, after)),
		consumers: inBoth(seen(sent, older, inBinary), seen(sent, older, inJSON)),
		stored:    worst(seen(written, newer, inBinary), valid(written, newer, after)),
	}, nil
}

// taken says what a server with the schemas of a type makes of an event.
func taken(written proto.Message, by protoreflect.MessageType, f form, schemas schemas) string {
	read, err := f.read(written, by, false)
	if err != nil || schemas.validator.Validate(read) != nil {
		return refused
	}
	outcome := f.compare(written.ProtoReflect(), read.ProtoReflect())
	if outcome == fieldEmpty {
		return asBefore // The producer never meant to fill it.
	}
	return outcome
}

// seen says what a program with a type sees of an event.
func seen(written proto.Message, by protoreflect.MessageType, f form) string {
	read, err := f.read(written, by, true)
	if err != nil {
		return unreadable
	}
	return f.compare(written.ProtoReflect(), read.ProtoReflect())
}

// valid reports whether an event that is stored is valid by the schemas of a type.
func valid(written proto.Message, by protoreflect.MessageType, schemas schemas) string {
	read, err := inBinary.read(written, by, true)
	if err != nil {
		return unreadable
	}
	if err := schemas.validator.Validate(read); err != nil {
		return notValid
	}
	return asBefore
}
