package governance_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"example.com/tidings/server/internal/compat"
	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/engine/local"
	"example.com/tidings/server/internal/governance"
	"example.com/tidings/server/internal/schema"
	"example.com/tidings/server/internal/schema/schematest"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
)

var discard = slog.New(slog.DiscardHandler)

// comparer notes what it is asked to compare: the packages, and the first field
// of the older file.
type comparer struct {
	mu    sync.Mutex
	asked []string
	err   error
	// breaks are the fields of older files that everything newer breaks.
	breaks string
}

func (c *comparer) Compare(_ context.Context, newer, older *schema.Image, packages map[string]bool, _ compat.Reach) ([]compat.Violation, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for pkg := range packages {
		c.asked = append(c.asked, pkg+": "+fieldsIn(older, pkg)+" → "+fieldsIn(newer, pkg))
	}
	for pkg := range packages {
		if c.breaks != "" && fieldsIn(older, pkg) == c.breaks {
			return []compat.Violation{{Rule: "RULE", Message: pkg + " breaks"}}, c.err
		}
	}
	return nil, c.err
}

// take returns what was asked since the last time.
func (c *comparer) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	asked := c.asked
	c.asked = nil
	slices.Sort(asked)
	return asked
}

func fieldsIn(image *schema.Image, pkg string) (names string) {
	for _, file := range image.Files() {
		if file.GetPackage() == pkg {
			for _, field := range file.GetMessageType()[0].GetField() {
				names += field.GetName() + " "
			}
		}
	}
	return names
}

// base is the set of some files and of what describes events.
func base(t *testing.T, files ...*descriptorpb.FileDescriptorProto) *schema.Set {
	t.Helper()
	var all []*descriptorpb.FileDescriptorProto
	seen := make(map[string]bool)
	var add func(file protoreflect.FileDescriptor)
	add = func(file protoreflect.FileDescriptor) {
		if seen[file.Path()] {
			return
		}
		seen[file.Path()] = true
		for i := range file.Imports().Len() {
			add(file.Imports().Get(i))
		}
		all = append(all, protodesc.ToFileDescriptorProto(file))
	}
	add(optionsv1.File_tidings_options_v1_options_proto)
	set, err := schema.Parse(schematest.Image(append(all, files...)...))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func newEngine(t *testing.T) engine.Engine {
	t.Helper()
	e, err := local.Open(t.Context(), local.Config{
		DataDir: t.TempDir(), MaxStoreBytes: 1 << 30, MaxRecordBytes: 1 << 20, Sync: engine.SyncWritten,
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func open(t *testing.T, e engine.Engine, set *schema.Set, c governance.Comparer) *governance.Schemas {
	t.Helper()
	s, err := governance.New(t.Context(), governance.Config{Engine: e, Base: set, Comparer: c, Log: discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func fieldsOf(t *testing.T, s *governance.Schemas, pkg string) string {
	t.Helper()
	return fieldsIn(s.Set().Image(), pkg)
}

func register(t *testing.T, s *governance.Schemas, files ...*descriptorpb.FileDescriptorProto) *governance.Verdict {
	t.Helper()
	verdict, err := s.Register(t.Context(), schematest.Image(files...), "", false)
	if err != nil {
		t.Fatal(err)
	}
	return verdict
}

// Only what changes is compared, with every revision that has some of it.
func TestWhatIsCompared(t *testing.T) {
	t.Parallel()
	c := new(comparer)
	s := open(t, newEngine(t), base(t, schematest.Event("a", "", "one string"), schematest.Event("b", "", "one string")), c)
	for _, step := range []struct {
		files []*descriptorpb.FileDescriptorProto
		want  []string
	}{
		{[]*descriptorpb.FileDescriptorProto{schematest.Event("a", "", "one string")}, nil},
		{[]*descriptorpb.FileDescriptorProto{schematest.Event("c", "", "one string")}, nil},
		{[]*descriptorpb.FileDescriptorProto{schematest.Event("a", "", "one string", "two string")}, []string{"a: one  → one two "}},
		{[]*descriptorpb.FileDescriptorProto{schematest.Event("a", "", "one string", "two string", "three string")},
			[]string{"a: one  → one two three ", "a: one two  → one two three "}},
		{[]*descriptorpb.FileDescriptorProto{schematest.Event("c", "", "one string", "two string")}, []string{"c: one  → one two "}},
	} {
		verdict := register(t, s, step.files...)
		if got := c.take(); !slices.Equal(got, step.want) || verdict.Compared != len(step.want) {
			t.Errorf("compared %q, counted %d, want %q", got, verdict.Compared, step.want)
		}
	}
	// A base that is put in the place of another leaves what was registered.
	if err := s.Replace(t.Context(), base(t, schematest.Event("a", "", "one string"), schematest.Event("b", "", "one string", "two string"))); err != nil {
		t.Fatal(err)
	}
	if got := c.take(); !slices.Equal(got, []string{"b: one  → one two "}) {
		t.Errorf("compared %q", got)
	}
	if got := fieldsOf(t, s, "a") + "/ " + fieldsOf(t, s, "b"); got != "one two three / one two " {
		t.Errorf("in force are %s", got)
	}
}

// Where the comparison comes to no result nothing changes.
func TestComparerFails(t *testing.T) {
	t.Parallel()
	failure := errors.New("no result")
	c := &comparer{err: failure}
	s := open(t, newEngine(t), base(t, schematest.Event("a", "", "one string")), c)
	before := s.Set()
	next := schematest.Event("a", "", "one string", "two string")
	if _, err := s.Register(t.Context(), schematest.Image(next), "", false); !errors.Is(err, failure) {
		t.Errorf("registering: %v", err)
	}
	if err := s.Replace(t.Context(), base(t, next)); !errors.Is(err, failure) {
		t.Errorf("replacing: %v", err)
	}
	if s.Set() != before {
		t.Error("other schemas are in force")
	}
}

// What one registers the others take over, in the order in which it was stored,
// and a server that starts later too.
func TestOthersFollow(t *testing.T) {
	t.Parallel()
	e, set := newEngine(t), base(t, schematest.Event("a", "", "one string"))
	first, second := open(t, e, set, new(comparer)), open(t, e, set, new(comparer))
	for i, s := range []*governance.Schemas{first, second, first, second} {
		fields := []string{"one string", "two string", "three string", "four string", "five string"}[:i+2]
		register(t, s, schematest.Event("a", "", fields...))
	}
	timeout, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, s := range []*governance.Schemas{first, second, open(t, e, set, nil)} {
		for {
			changed := s.Changed()
			if fieldsOf(t, s, "a") == "one two three four five " {
				break
			}
			select {
			case <-changed:
			case <-timeout.Done():
				t.Fatalf("in force is %s", fieldsOf(t, s, "a"))
			}
		}
	}
}

// A caller who gives up doesn't wait for another's change.
func TestGivingUp(t *testing.T) {
	t.Parallel()
	blocked, free := make(chan struct{}), make(chan struct{})
	s := open(t, newEngine(t), base(t, schematest.Event("a", "", "one string")), blocking{blocked, free})
	done := make(chan error, 1)
	go func() {
		_, err := s.Register(t.Context(), schematest.Image(schematest.Event("a", "", "one string", "two string")), "", false)
		done <- err
	}()
	<-blocked
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Register(ctx, schematest.Image(schematest.Event("b", "", "one string")), "", false); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	close(free)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// blocking says that it was asked and waits.
type blocking struct{ blocked, free chan struct{} }

func (b blocking) Compare(context.Context, *schema.Image, *schema.Image, map[string]bool, compat.Reach) ([]compat.Violation, error) {
	close(b.blocked)
	<-b.free
	return nil, nil
}

// An earlier release may have let pass what this one doesn't. What is in force
// then still counts, and can change.
func TestWhatWasLetPass(t *testing.T) {
	t.Parallel()
	c := new(comparer)
	s := open(t, newEngine(t), base(t, schematest.Event("a", "", "one string")), c)
	register(t, s, schematest.Event("a", "", "one string", "two string"))
	c.breaks = "one "
	register(t, s, schematest.Event("a", "", "one string", "two string", "three string"))
	c.breaks = "one two three "
	_, err := s.Register(t.Context(), schematest.Image(schematest.Event("a", "", "four string")), "", false)
	if incompatible, ok := errors.AsType[*governance.IncompatibleError](err); !ok || len(incompatible.Violations) != 1 {
		t.Errorf("%v", err)
	}
}

// What stays and needs what goes is named, with its file.
func TestWhatStaysNeedsWhatGoes(t *testing.T) {
	t.Parallel()
	s := open(t, newEngine(t), base(t, schematest.Event("a", "", "one string")), new(comparer))
	user := schematest.Event("user", "", "one string")
	user.Dependency = append(user.Dependency, "things/a.proto")
	field := user.GetMessageType()[0].GetField()[0]
	field.Type, field.TypeName = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum(), new(".a.Noted")
	register(t, s, schematest.Event("a", "", "one string"), user)
	gone := schematest.Event("a", "", "one string")
	gone.MessageType[0].Name = new("Other")
	_, err := s.Check(t.Context(), schematest.Image(gone))
	const want = "things/user.proto needs a.Noted, which the image no longer declares; the image leaves the file out, so it stays"
	if err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
}

// A start is held to the one before, and a server that compares nothing isn't.
func TestStartIsHeldToTheOneBefore(t *testing.T) {
	t.Parallel()
	e, c := newEngine(t), &comparer{breaks: "one two "}
	for _, step := range []struct {
		comparer governance.Comparer
		fields   []string
		want     string
		loaded   bool
	}{
		{c, []string{"one string"}, "one ", true},
		{c, []string{"one string", "two string"}, "one two ", true},
		{c, []string{"three string"}, "one two ", false},
		{c, []string{"one string", "two string"}, "one two ", true},
		{nil, []string{"three string"}, "three ", true},
		{c, []string{"three string", "four string"}, "three four ", true},
	} {
		s := open(t, e, base(t, schematest.Event("a", "", step.fields...)), step.comparer)
		if got := fieldsOf(t, s, "a"); got != step.want || s.Loaded() != step.loaded {
			t.Errorf("started with %q: in force is %q, loaded %t", step.fields, got, s.Loaded())
		}
	}
}
