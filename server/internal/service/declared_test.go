package service

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/tidings/server/internal/compat"
	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/engine/local"
	"example.com/tidings/server/internal/governance"
	"example.com/tidings/server/internal/schema"
	"example.com/tidings/server/internal/schema/schematest"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	tidingsv1beta1 "example.com/tidings/gen/go/tidings/v1beta1"
)

// declaring is a set with one file, `things/a.proto`, in which the type a.Noted
// goes to the topic `ones`, whose settings are declared unless they are nil.
func declaring(t *testing.T, settings *optionsv1.TopicSettings) *schema.Set {
	t.Helper()
	set, err := schema.Parse(schematest.Image(append(describing(), declaringFile(settings))...))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func declaringFile(settings *optionsv1.TopicSettings) *descriptorpb.FileDescriptorProto {
	file := schematest.Event("a", "ones", "one string")
	if settings != nil {
		schematest.Declaring(file, &optionsv1.TopicOptions{Name: "ones", Settings: settings})
	}
	return file
}

// describing are the files of the options and of what they import.
func describing() (files []*descriptorpb.FileDescriptorProto) {
	seen := make(map[string]bool)
	var add func(file protoreflect.FileDescriptor)
	add = func(file protoreflect.FileDescriptor) {
		if seen[file.Path()] {
			return
		}
		seen[file.Path()] = true
		for i := range file.Imports().Len() {
			add(file.Imports().Get(i).FileDescriptor)
		}
		files = append(files, protodesc.ToFileDescriptorProto(file))
	}
	add(optionsv1.File_tidings_options_v1_options_proto)
	return files
}

// anything finds nothing that breaks.
type anything struct{}

func (anything) Compare(context.Context, *schema.Image, *schema.Image, map[string]bool, compat.Reach) ([]compat.Violation, error) {
	return nil, nil
}

func openEngine(t *testing.T) engine.Engine {
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

func newService(t *testing.T, e engine.Engine, types *schema.Set, comparer governance.Comparer) (*Service, error) {
	t.Helper()
	s, err := New(t.Context(), Config{
		Engine: e, Types: types, Comparer: comparer, Log: slog.New(slog.DiscardHandler),
		Limits: Limits{MaxRequestBytes: 1 << 20, MaxEventBytes: 1 << 20, MaxTopics: 10},
	})
	if err == nil {
		t.Cleanup(func() { s.Close(context.Background()) })
	}
	return s, err
}

func mustServe(t *testing.T, e engine.Engine, types *schema.Set, comparer governance.Comparer) *Service {
	t.Helper()
	s, err := newService(t, e, types, comparer)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func shownTopic(t *testing.T, s *Service) *tidingsv1.Topic {
	t.Helper()
	response, err := s.GetTopic(t.Context(), &tidingsv1.GetTopicRequest{Name: "ones"})
	if err != nil {
		t.Fatal(err)
	}
	return response.GetTopic()
}

var (
	byRequest = &optionsv1.TopicSettings{Owner: "us", Retention: &optionsv1.Retention{MaxBytes: 1 << 20}}
	byEach    = &optionsv1.TopicSettings{Owner: "us", Dedupe: optionsv1.Dedupe_DEDUPE_EVENT}
)

// A start creates topics as they are declared, and changes those that are
// declared otherwise.
func TestStartAppliesTopics(t *testing.T) {
	t.Parallel()
	e := openEngine(t)
	s := mustServe(t, e, declaring(t, nil), nil)
	topic := shownTopic(t, s)
	if topic.GetDeclared() || topic.GetSettings().GetOwner() != "" || topic.GetSettings().GetDedupe() != optionsv1.Dedupe_DEDUPE_REQUEST {
		t.Errorf("named by a type, the topic is %v", topic)
	}
	topic = shownTopic(t, mustServe(t, e, declaring(t, byRequest), nil))
	if !topic.GetDeclared() || !proto.Equal(topic.GetSettings(), withDefaults(byRequest)) {
		t.Errorf("declared, the topic is %v", topic)
	}
	again := shownTopic(t, mustServe(t, e, declaring(t, byRequest), nil))
	if again.GetEtag() != topic.GetEtag() || !again.GetUpdateTime().AsTime().Equal(topic.GetUpdateTime().AsTime()) {
		t.Errorf("with the same declaration the topic became %v", again)
	}
	changed := proto.CloneOf(byRequest)
	changed.Retention, changed.DedupeWindow = nil, durationpb.New(1e9)
	topic = shownTopic(t, mustServe(t, e, declaring(t, changed), nil))
	if !proto.Equal(topic.GetSettings(), withDefaults(changed)) {
		t.Errorf("declared otherwise, the topic is %v", topic)
	}
	// Where nothing is declared any more, the topic stays as it is.
	topic = shownTopic(t, mustServe(t, e, declaring(t, nil), nil))
	if topic.GetDeclared() || !proto.Equal(topic.GetSettings(), withDefaults(changed)) {
		t.Errorf("no longer declared, the topic is %v", topic)
	}
}

// What the topic that exists can't have stops the start, and leaves all as it was.
func TestStartRefusesTopics(t *testing.T) {
	t.Parallel()
	e := openEngine(t)
	mustServe(t, e, declaring(t, nil), nil)
	other := proto.CloneOf(byEach)
	for name, comparer := range map[string]governance.Comparer{"compared": anything{}, "not compared": nil} {
		_, err := newService(t, e, declaring(t, other), comparer)
		conflict, ok := errors.AsType[*governance.ConflictError](err)
		if !ok {
			t.Fatalf("%s: %v", name, err)
		}
		for _, part := range []string{"things/a.proto", `"ones"`, "settings.dedupe", "DEDUPE_EVENT", "DEDUPE_REQUEST"} {
			if !strings.Contains(conflict.Problem, part) {
				t.Errorf("%s: %q, want %q in it", name, conflict.Problem, part)
			}
		}
	}
	set, err := schema.ReadImage(e.SchemaBase().GetImage())
	if err != nil {
		t.Fatal(err)
	}
	kept, err := set.Set()
	if err != nil {
		t.Fatal(err)
	}
	if kept.DeclaredTopic("ones") != nil {
		t.Error("what was refused is kept for the next start")
	}
}

// Registering and replacing do what a start does, and refuse before anything is
// stored.
func TestChangeAppliesTopics(t *testing.T) {
	t.Parallel()
	e := openEngine(t)
	s := mustServe(t, e, declaring(t, nil), anything{})
	ctx := t.Context()
	bad := &tidingsv1beta1.RegisterSchemaRequest{Image: schematest.Image(declaringFile(byEach))}
	_, err := s.RegisterSchema(ctx, bad)
	wantInvalid(t, err)
	_, err = s.CheckCompatibility(ctx, &tidingsv1beta1.CheckCompatibilityRequest{Image: bad.GetImage()})
	wantInvalid(t, err)
	wantInvalid(t, s.ReplaceSchemas(ctx, declaring(t, byEach)))
	if stored, _ := e.SchemaRevisions(); len(stored) != 0 || s.Types().DeclaredTopic("ones") != nil {
		t.Fatalf("%d revisions are stored, declared is %v", len(stored), s.Types().DeclaredTopic("ones"))
	}
	if err := s.ReplaceSchemas(ctx, declaring(t, &optionsv1.TopicSettings{Owner: "first"})); err != nil {
		t.Fatal(err)
	}
	if got := shownTopic(t, s); !got.GetDeclared() || got.GetSettings().GetOwner() != "first" {
		t.Errorf("replaced: %v", got)
	}
	file := declaringFile(&optionsv1.TopicSettings{Owner: "second"})
	schematest.Declaring(file, &optionsv1.TopicOptions{Name: "ones", Settings: &optionsv1.TopicSettings{Owner: "second"}},
		&optionsv1.TopicOptions{Name: "twos", Settings: byEach})
	if _, err := s.RegisterSchema(ctx, &tidingsv1beta1.RegisterSchemaRequest{Image: schematest.Image(file)}); err != nil {
		t.Fatal(err)
	}
	if got := shownTopic(t, s); got.GetSettings().GetOwner() != "second" {
		t.Errorf("registered: %v", got)
	}
	twos, err := s.GetTopic(ctx, &tidingsv1.GetTopicRequest{Name: "twos"})
	if err != nil || !proto.Equal(twos.GetTopic().GetSettings(), withDefaults(byEach)) {
		t.Errorf("a topic without a type: %v, %v", twos, err)
	}
	// The next start has it of the storage.
	if got := shownTopic(t, mustServe(t, e, declaring(t, &optionsv1.TopicSettings{Owner: "first"}), anything{})); got.GetSettings().GetOwner() != "second" {
		t.Errorf("after a start: %v", got)
	}
}

func wantInvalid(t *testing.T, err error) {
	t.Helper()
	refused, ok := errors.AsType[*Error](err)
	if !ok || refused.Reason != tidingsv1beta1.ErrorReason_ERROR_REASON_SCHEMA_INVALID || !strings.Contains(refused.Message, "settings.dedupe") {
		t.Errorf("%v, want SCHEMA_INVALID about settings.dedupe", err)
	}
}

// Whoever applies last applies what is in force.
func TestTopicsAreAppliedInOrder(t *testing.T) {
	t.Parallel()
	s := mustServe(t, openEngine(t), declaring(t, nil), anything{})
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			settings := &optionsv1.TopicSettings{Owner: strings.Repeat("o", i+1)}
			if _, err := s.RegisterSchema(context.Background(), &tidingsv1beta1.RegisterSchemaRequest{Image: schematest.Image(declaringFile(settings))}); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if got, want := shownTopic(t, s).GetSettings().GetOwner(), s.Types().DeclaredTopic("ones").Settings.GetOwner(); got != want {
		t.Errorf("the owner is %q, declared is %q", got, want)
	}
}

// A declared topic is as it is declared, whoever creates it.
func TestCreateDeclaredTopic(t *testing.T) {
	t.Parallel()
	s := mustServe(t, openEngine(t), declaring(t, byEach), nil)
	ctx := t.Context()
	create := func(settings *optionsv1.TopicSettings) error {
		_, err := s.CreateTopic(ctx, &tidingsv1.CreateTopicRequest{Topic: &tidingsv1.Topic{Name: "ones", Settings: settings}})
		return err
	}
	wantReason(t, create(byRequest), tidingsv1.ErrorReason_ERROR_REASON_TOPIC_ALREADY_EXISTS, "")
	for name, settings := range map[string]*optionsv1.TopicSettings{"none": nil, "empty": {}, "the same": byEach, "the same, with defaults": withDefaults(byEach)} {
		if _, err := s.DeleteTopic(ctx, &tidingsv1.DeleteTopicRequest{Name: "ones"}); err != nil {
			t.Fatal(err)
		}
		wantReason(t, create(byRequest), tidingsv1.ErrorReason_ERROR_REASON_TOPIC_DECLARED, "topic.settings.dedupe")
		if err := create(settings); err != nil {
			t.Errorf("settings are %s: %v", name, err)
		}
		if got := shownTopic(t, s); !proto.Equal(got.GetSettings(), withDefaults(byEach)) {
			t.Errorf("settings are %s: created %v", name, got)
		}
	}
}

// An update of a declared topic is refused where it would change something.
func TestUpdateDeclaredTopic(t *testing.T) {
	t.Parallel()
	s := mustServe(t, openEngine(t), declaring(t, byRequest), nil)
	ctx := t.Context()
	update := func(settings *optionsv1.TopicSettings) (*tidingsv1.Topic, error) {
		response, err := s.UpdateTopic(ctx, &tidingsv1.UpdateTopicRequest{Topic: &tidingsv1.Topic{Name: "ones", Settings: settings}})
		return response.GetTopic(), err
	}
	before := shownTopic(t, s)
	for field, settings := range map[string]*optionsv1.TopicSettings{
		"topic.settings.owner":             {Owner: "them"},
		"topic.settings.event_types":       {EventTypes: []string{"a.Noted"}},
		"topic.settings.retention.max_age": {Retention: &optionsv1.Retention{MaxAge: durationpb.New(1e9)}},
	} {
		_, err := update(settings)
		wantReason(t, err, tidingsv1.ErrorReason_ERROR_REASON_TOPIC_DECLARED, field)
	}
	after, err := update(&optionsv1.TopicSettings{Owner: "us"})
	if err != nil || after.GetEtag() != before.GetEtag() || !after.GetDeclared() {
		t.Errorf("an update that changes nothing: %v, %v", after, err)
	}
}

func wantReason(t *testing.T, err error, reason tidingsv1.ErrorReason, field string) {
	t.Helper()
	refused, ok := errors.AsType[*Error](err)
	if !ok || refused.Reason != reason || field != "" && (len(refused.Fields) != 1 || refused.Fields[0].GetField() != field) {
		t.Errorf("%v, want %v at %q", err, reason, field)
	}
}
