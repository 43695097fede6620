package fuzz

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"

	"example.com/tidings/server/internal/schema"
)

// watchdog is far more than any check takes.
const watchdog = 10 * time.Second

// What the server takes as content of an event, Go's own libraries take too: it
// parses, obeys the rules, and is the same after a way through JSON. And no schema
// and no content end the process or keep it busy.
func TestContents(t *testing.T) {
	duration, seed := settings(t)
	outcomes, faults := make(map[string]int), new(counts)
	end := time.Now().Add(duration / 4)
	for i := uint64(0); time.Now().Before(end); i++ {
		g := newGenerator(seed, 1<<32+i)
		encoded := image(g.schema("fuzz.contents", "fuzz", g.one(2)))
		set, err := checkedSchema(encoded)
		if err != nil {
			outcomes["schemas refused"]++
			continue
		}
		outcomes["schemas taken"]++
		if g.types, err = newUniverse(encoded); err != nil {
			t.Fatal(err)
		}
		validator, err := protovalidate.New(protovalidate.WithExtensionTypeResolver(g.types.Types))
		if err != nil {
			t.Fatal(err)
		}
		reference := &reference{g.types, validator}
		for range 60 {
			g.wild = pick(g, 0, 0, 40, 6)
			of := pick(g, g.types.messages...)
			payload := encode(g.message(of))
			if g.one(2) {
				payload = g.damage(payload)
			}
			known, err := set.Type(string(of.FullName()))
			if err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			_, err = known.Check(t.Context(), payload)
			if took := time.Since(begin); took > watchdog {
				t.Errorf("a check took %v\n%x\n%s", took, payload, describe(encoded))
			}
			outcome, problem := reference.compare(dynamicpb.NewMessage(of), payload, err)
			outcomes[outcome]++
			if problem != "" && faults.first(kindOfProblem.ReplaceAllString(problem, "")) {
				t.Errorf("schema %d of the seed, %s: %s\n%x\n%s", i, of.FullName(), problem, payload, describe(encoded))
			}
		}
	}
	t.Log(summary(outcomes))
}

// kindOfProblem finds what differs between problems of the same kind.
var kindOfProblem = regexp.MustCompile(`"[^"]*"|[a-z]+\.\S*|\d+|\n[\s\S]*`)

// checkedSchema reads an image as the server does.
func checkedSchema(image []byte) (*schema.Set, error) {
	set, err := schema.Parse(image)
	if err == nil {
		err = set.CheckRules(context.Background(), set.Image(), 1)
	}
	return set, err
}

func usable(file *fileProto) bool {
	_, err := checkedSchema(image(file))
	return err == nil
}

// summary lists counts by what was counted.
func summary(outcomes map[string]int) string {
	var b strings.Builder
	for _, outcome := range slices.Sorted(maps.Keys(outcomes)) {
		fmt.Fprintf(&b, ", %d %s", outcomes[outcome], outcome)
	}
	return strings.TrimPrefix(b.String(), ", ")
}

// reference is what Go's own libraries say of contents.
type reference struct {
	types     *universe
	validator protovalidate.Validator
}

// compare holds what a check said against the libraries.
func (r *reference) compare(m *dynamicpb.Message, payload []byte, checked error) (outcome, problem string) {
	err := r.judge(m, payload)
	_, failed := errors.AsType[*protovalidate.RuntimeError](checked)
	switch invalid, ok := errors.AsType[*schema.InvalidError](checked); {
	case checked == nil && err == nil:
		return "taken", ""
	case checked == nil:
		return "taken wrongly", "it is taken, and yet: " + err.Error()
	case ok && err == nil:
		return "refused although a library takes it: " + invalid.Violations.GetViolations()[0].GetRuleId(), ""
	case errors.Is(checked, schema.ErrMalformed) && err == nil:
		return "refused although a library takes it: malformed", ""
	case ok || errors.Is(checked, schema.ErrMalformed):
		return "refused", ""
	case failed && err != nil:
		return "refused because a rule fails", ""
	default:
		return "a fault of the server", "the server takes the fault upon itself: " + checked.Error()
	}
}

func (r *reference) judge(m *dynamicpb.Message, payload []byte) (err error) {
	defer func() {
		if recovered := recover(); recovered != nil {
			err = fmt.Errorf("a panic: %v", recovered) // Protobuf's parser has one on some maps.
		}
	}()
	if err := (proto.UnmarshalOptions{Resolver: r.types}).Unmarshal(payload, m); err != nil {
		return fmt.Errorf("unmarshal: %w", err)
	}
	text, err := protojson.MarshalOptions{Resolver: r.types}.Marshal(m)
	if err != nil {
		return fmt.Errorf("to JSON: %w", err)
	}
	again := dynamicpb.NewMessage(m.Descriptor())
	if err := (protojson.UnmarshalOptions{Resolver: r.types}).Unmarshal(text, again); err != nil {
		return fmt.Errorf("from JSON: %w\n%s", err, text)
	}
	second, err := protojson.MarshalOptions{Resolver: r.types}.Marshal(again)
	if err != nil || string(second) != string(text) {
		return fmt.Errorf("to JSON again: %w\n%s\n%s", err, text, second)
	}
	if err := r.validator.Validate(m); err != nil {
		return fmt.Errorf("validate: %w", err)
	}
	return nil
}

// describe shows the last file of an image.
func describe(image []byte) string {
	set := new(fileSet)
	if err := proto.Unmarshal(image, set); err != nil {
		return err.Error()
	}
	file := set.GetFile()[len(set.GetFile())-1]
	return protojson.MarshalOptions{}.Format(file)
}
