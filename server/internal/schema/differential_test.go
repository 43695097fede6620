package schema

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/types/descriptorpb"

	"example.com/tidings/server/internal/guard"
)

// The variables that `make fuzz` sets: for how long, and the seed of a run that is to
// be repeated.
const (
	fuzzVariable     = "TIDINGS_FUZZ"
	fuzzSeedVariable = "TIDINGS_FUZZ_SEED"
)

// comparison are those of a comparison of the check in one pass with the one that parses.
type comparison struct {
	schemas, payloads, valid, trusted int
}

// fuzzing returns the seed of a run, and whether there are to be more schemas than so
// many.
func fuzzing(t *testing.T) (seed uint64, more func(schemas int) bool) {
	t.Helper()
	seed = rand.Uint64() //nolint:gosec // It is printed, to be repeated.
	if text := os.Getenv(fuzzSeedVariable); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	more = func(schemas int) bool { return schemas < 40 }
	if text := os.Getenv(fuzzVariable); text != "" {
		length, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		more = func(int) bool { return time.Since(begun) < length }
	}
	return seed, more
}

// What the check in one pass takes, the one that parses takes too, with the same
// partition key, whatever the schema, its rules and the payload.
func TestOnePassAgreesWithParsing(t *testing.T) {
	seed, more := fuzzing(t)
	var c comparison
	for c.schemas = 0; more(c.schemas) && !t.Failed(); c.schemas++ {
		i := &inventor{Rand: rand.New(rand.NewPCG(seed, uint64(c.schemas)))} //nolint:gosec // It is to be repeated.
		c.compare(t, i)
	}
	t.Logf("%s=%d: %d schemas, %d payloads, of which %d are valid, %d of them in one pass", fuzzSeedVariable, seed, c.schemas, c.payloads, c.valid, c.trusted)
	if c.trusted*3 < c.valid || c.valid*20 < c.payloads {
		t.Errorf("too few are trusted, or valid")
	}
}

// So it is of the example events, none of which is always in doubt.
func TestOnePassAgreesOnExamples(t *testing.T) {
	types := examples(t)
	i := &inventor{Rand: rand.New(rand.NewPCG(1, 1))} //nolint:gosec // It is to be repeated.
	var c comparison
	for _, name := range types.Names(true) {
		checked, err := types.Type(name)
		if err != nil {
			t.Fatal(err)
		}
		if checked.program() == nil {
			t.Errorf("%s is always in doubt", name)
		}
		for range 20 {
			payload := i.payload(checked.Descriptor(), 3)
			if i.one(5) {
				payload = i.damage(payload)
			}
			if text := c.add(checked, payload); text != "" {
				t.Fatalf("%s\npayload %x", text, payload)
			}
		}
	}
	t.Logf("%d payloads, of which %d are valid, %d of them in one pass", c.payloads, c.valid, c.trusted)
	if c.trusted*4 < c.valid*3 || c.trusted < 100 {
		t.Error("too few are trusted")
	}
}

func (c *comparison) compare(t *testing.T, i *inventor) {
	t.Helper()
	file := i.file()
	set, err := Parse(image(t, file))
	if err != nil {
		t.Fatalf("%v\n%s", err, prototext.Format(file))
	}
	for _, name := range set.Names(true) {
		checked, err := set.Type(name)
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			payload := i.payload(checked.Descriptor(), 3)
			if i.one(5) {
				payload = i.damage(payload)
			}
			if text := c.add(checked, payload); text != "" {
				t.Errorf("schema %d: %s\npayload %x\n%s", c.schemas, text, payload, describe(file))
				return
			}
		}
	}
}

// add compares the ways for a payload, and says what is wrong.
func (c *comparison) add(checked *Type, payload []byte) string {
	var key []byte
	trusted := false
	if program := checked.program(); program != nil {
		key, trusted = program.Check(payload, nil)
	}
	want, err := parsedOrPanic(checked, payload)
	c.payloads++
	if err == nil {
		c.valid++
	}
	if !trusted {
		return ""
	}
	c.trusted++
	if err != nil {
		invalid, ok := errors.AsType[*InvalidError](err)
		if ok {
			return fmt.Sprintf("%s is trusted, but: %v", checked.Name, invalid.Violations)
		}
		return fmt.Sprintf("%s is trusted, but: %v", checked.Name, err)
	}
	if string(key) != want {
		return fmt.Sprintf("%s: the key is %q, want %q", checked.Name, key, want)
	}
	return ""
}

// parsedOrPanic is checkParsed as the server calls it.
func parsedOrPanic(checked *Type, payload []byte) (key string, err error) {
	defer guard.Recover(&err)
	return checked.checkParsed(context.Background(), payload)
}

func describe(file *descriptorpb.FileDescriptorProto) string { return prototext.Format(file) }
