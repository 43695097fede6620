package governance_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"google.golang.org/protobuf/types/descriptorpb"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/governance"
	"example.com/tidings/server/internal/schema"
	"example.com/tidings/server/internal/schema/schematest"

	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// notingEngine notes what is stored of event types, or refuses it.
type notingEngine struct {
	engine.Engine

	mu      sync.Mutex
	refusal error
	types   []string
	files   int
}

func (e *notingEngine) AddTypeRevisions(ctx context.Context, after int64, revisions *storagev1.TypeRevisions, contents map[string][]byte) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.refusal != nil {
		return e.refusal
	}
	for _, one := range revisions.GetTypes() {
		e.types = append(e.types, one.GetName())
	}
	e.files += len(contents)
	return e.Engine.AddTypeRevisions(ctx, after, revisions, contents)
}

func (e *notingEngine) refuse(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.refusal = err
}

// take returns what was stored since the last time.
func (e *notingEngine) take() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	text := fmt.Sprintf("%q with %d files", e.types, e.files)
	e.types, e.files = nil, 0
	return text
}

// revisionOf returns the revision that a type has in a set.
func revisionOf(t *testing.T, set *schema.Set, name string) string {
	t.Helper()
	found, err := set.Type(name)
	if err != nil {
		t.Fatal(err)
	}
	revision := found.Revision()
	return schema.FormatRevision(revision[:])
}

// closure is the number of files that a type needs, with its own.
func closure(t *testing.T, set *schema.Set, name string) int {
	t.Helper()
	found, err := set.Type(name)
	if err != nil {
		t.Fatal(err)
	}
	return len(set.FileDescriptorSet(found).GetFile())
}

// wantRevisions wants a type to have revisions, the newest first, and each to lead
// to the fields that the type had then.
func wantRevisions(t *testing.T, s *governance.Schemas, name string, fields map[string]string, want ...string) {
	t.Helper()
	list, err := s.TypeRevisions(t.Context(), name)
	if err != nil || len(list) != len(want) {
		t.Fatalf("the revisions of %s are %v, %v, want %q", name, list, err, want)
	}
	for i, one := range list {
		if one.Revision != want[i] || one.CreateTime.IsZero() {
			t.Errorf("revision %d of %s is %+v, want %s", i, name, one, want[i])
		}
		for range 2 { // The second time from what is kept.
			set, err := s.SetAt(t.Context(), name, want[i])
			if err != nil {
				t.Fatal(err)
			}
			if got := fieldsIn(set.Image(), name[:1]); got != fields[want[i]] || revisionOf(t, set, name) != want[i] {
				t.Errorf("revision %s of %s leads to %q with %s, want %q", want[i], name, got, revisionOf(t, set, name), fields[want[i]])
			}
		}
	}
}

// Whatever was in force can be looked up forever, by every server on the storage,
// and is stored once.
func TestRevisionsLeadSomewhere(t *testing.T) {
	t.Parallel()
	e := &notingEngine{Engine: newEngine(t)}
	one, two := schematest.Event("a", "", "one string"), schematest.Event("a", "", "one string", "two string")
	first := open(t, e, base(t, one, schematest.Event("b", "", "one string")), new(comparer))
	if got, want := e.take(), fmt.Sprintf(`["a.Noted" "b.Noted"] with %d files`, 1+closure(t, first.Set(), "a.Noted")); got != want {
		t.Errorf("at the start %s, want %s", got, want)
	}
	before := revisionOf(t, first.Set(), "a.Noted")
	other := open(t, e, base(t, one, schematest.Event("b", "", "one string")), new(comparer))
	register(t, first, two)
	after := revisionOf(t, first.Set(), "a.Noted")
	if got := e.take(); got != `["a.Noted"] with 1 files` {
		t.Errorf("with another field %s", got)
	}
	fields := map[string]string{before: "one ", after: "one two "}
	wantRevisions(t, first, "a.Noted", fields, after, before)
	wantRevisions(t, other, "a.Noted", fields, after, before)
	if list, err := other.TypeRevisions(t.Context(), "b.Noted"); err != nil || len(list) != 1 {
		t.Errorf("what didn't change has the revisions %v, %v", list, err)
	}

	// A start without it, and with comments.
	c := schematest.Event("b", "", "one string")
	c.SourceCodeInfo = &descriptorpb.SourceCodeInfo{Location: []*descriptorpb.SourceCodeInfo_Location{
		{Path: []int32{4, 0}, Span: []int32{1, 0, 1}, LeadingComments: new(" Noted.")},
	}}
	bare := open(t, e, base(t, c), nil)
	wantRevisions(t, bare, "a.Noted", fields, after, before)
	if got := e.take(); got != `[] with 0 files` {
		t.Errorf("with nothing new %s", got)
	}
	for _, unknown := range [][2]string{{"a.Noted", "0123456789abcdef"}, {"c.Noted", before}} {
		if _, err := bare.SetAt(t.Context(), unknown[0], unknown[1]); !errors.Is(err, governance.ErrNoRevision) {
			t.Errorf("%q leads to %v", unknown, err)
		}
	}
}

// Comments are kept with what they are about.
func TestRevisionsHaveComments(t *testing.T) {
	t.Parallel()
	file := schematest.Event("a", "", "one string")
	file.SourceCodeInfo = &descriptorpb.SourceCodeInfo{Location: []*descriptorpb.SourceCodeInfo_Location{
		{Path: []int32{4, 0}, Span: []int32{1, 0, 1}, LeadingComments: new(" Noted was noted.")},
		{Path: []int32{4, 0, 1}, Span: []int32{1, 8, 13}},
	}}
	s := open(t, newEngine(t), base(t, file), nil)
	set, err := s.SetAt(t.Context(), "a.Noted", revisionOf(t, s.Set(), "a.Noted"))
	if err != nil {
		t.Fatal(err)
	}
	found, err := set.Type("a.Noted")
	if err != nil || found.Description != "Noted was noted." {
		t.Errorf("the type is %+v, %v", found, err)
	}
	if places := set.Image().File("things/a.proto").GetSourceCodeInfo().GetLocation(); len(places) != 1 {
		t.Errorf("kept are %v", places)
	}
}

// Many types are stored in several parts, none of them twice.
func TestManyTypes(t *testing.T) {
	t.Parallel()
	file := schematest.Event("a", "", "one string")
	for i := range 1200 {
		file.MessageType = append(file.MessageType, &descriptorpb.DescriptorProto{Name: new(fmt.Sprintf("M%04d", i))})
	}
	e := &notingEngine{Engine: newEngine(t)}
	s := open(t, e, base(t, file), nil)
	if len(e.types) != 1201 || e.files != closure(t, s.Set(), "a.Noted") {
		t.Errorf("stored are %d types and %d files", len(e.types), e.files)
	}
	if records, err := e.TypeRevisions(t.Context()); err != nil || len(records) != 3 {
		t.Errorf("there are %d records, %v", len(records), err)
	}
	if _, err := s.SetAt(t.Context(), "a.M1199", revisionOf(t, s.Set(), "a.M1199")); err != nil {
		t.Error(err)
	}
}

// Types whose revisions can't be stored aren't put in force: an event would name
// what can't be looked up.
func TestStorageRefusesRevisions(t *testing.T) {
	t.Parallel()
	e := &notingEngine{Engine: newEngine(t), refusal: engine.ErrFull}
	one, two := schematest.Event("a", "", "one string"), schematest.Event("a", "", "one string", "two string")
	_, err := governance.New(t.Context(), governance.Config{Engine: e, Base: base(t, one), Log: discard})
	if !errors.Is(err, engine.ErrFull) {
		t.Fatalf("the start ends with %v", err)
	}
	e.refuse(nil)
	s := open(t, e, base(t, one), new(comparer))
	e.refuse(engine.ErrUnavailable)
	if err := s.Replace(t.Context(), base(t, two)); !errors.Is(err, engine.ErrUnavailable) || fieldsOf(t, s, "a") != "one " {
		t.Errorf("a reload ends with %v, and %q is in force", err, fieldsOf(t, s, "a"))
	}
	if _, err := s.Register(t.Context(), schematest.Image(two), "", false); !errors.Is(err, engine.ErrUnavailable) || fieldsOf(t, s, "a") != "one " {
		t.Errorf("registering ends with %v, and %q is in force", err, fieldsOf(t, s, "a"))
	}
	if list, _ := e.SchemaRevisions(); len(list) != 0 {
		t.Errorf("registered is %v", list)
	}
	// What is known already needs no room, whoever starts with it; what isn't
	// leaves that of the start before in force.
	open(t, e, base(t, one), nil)
	later := open(t, e, base(t, two), new(comparer))
	if later.Loaded() || fieldsOf(t, later, "a") != "one " {
		t.Errorf("in force is %q", fieldsOf(t, later, "a"))
	}
	e.refuse(nil)
	if err := later.Replace(t.Context(), base(t, two)); err != nil || fieldsOf(t, later, "a") != "one two " {
		t.Errorf("afterwards a reload ends with %v, and %q is in force", err, fieldsOf(t, later, "a"))
	}
}
