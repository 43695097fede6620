package convert

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	webhooksv1 "example.com/tidings/examples/events/gen/github/webhooks/v1"
	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
)

// fixture gives the kind and the content of a file of testdata.
func fixture(tb testing.TB, file string) (kind string, payload []byte) {
	tb.Helper()
	payload, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	return strings.TrimSuffix(filepath.Base(file), ".json"), payload
}

func fixtures(tb testing.TB) []string {
	tb.Helper()
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		tb.Fatalf("no fixtures: %v", err)
	}
	return files
}

// decode decodes a fixture to an event of a known type.
func decode[E proto.Message](t *testing.T, kind string) E {
	t.Helper()
	_, payload := fixture(t, "testdata/"+kind+".json")
	message, err := Decode(kind, payload)
	if err != nil {
		t.Fatal(err)
	}
	event, ok := message.(E)
	if !ok {
		t.Fatalf("%s became %T", kind, message)
	}
	return event
}

func TestPayloadsComeBackAsTheyWere(t *testing.T) {
	for _, file := range fixtures(t) {
		kind, payload := fixture(t, file)
		t.Run(kind, func(t *testing.T) {
			event, err := Decode(kind, payload)
			if err != nil {
				t.Fatal(err)
			}
			// Through the wire, as a server stores it.
			wire, err := proto.Marshal(event)
			if err != nil {
				t.Fatal(err)
			}
			stored := event.ProtoReflect().New().Interface()
			if err := proto.Unmarshal(wire, stored); err != nil {
				t.Fatal(err)
			}
			made, err := Encode(stored)
			if err != nil {
				t.Fatal(err)
			}
			differences, err := Compare(payload, made)
			if err != nil {
				t.Fatal(err)
			}
			for _, difference := range differences {
				t.Error(difference)
			}
		})
	}
}

func TestDecodeTellsEmptyFromAbsent(t *testing.T) {
	push := decode[*webhooksv1.PushEvent](t, "push")
	repository := push.GetRepository()
	for name, set := range map[string]bool{
		`repository.description, ""`:       repository.Description != nil,
		"repository.private, false":        repository.Private != nil,
		"repository.stargazers, 0":         repository.Stargazers != nil,
		`sender.gravatar_id, ""`:           push.GetSender().GravatarId != nil,
		"issues.changes, {}":               decode[*webhooksv1.IssuesEvent](t, "issues").GetChanges() != nil,
		"check_run.app.permissions, {}":    decode[*webhooksv1.CheckRunEvent](t, "check_run").GetCheckRun().GetApp().GetPermissions() != nil,
		"pull_request.additions, 0":        decode[*webhooksv1.PullRequestEvent](t, "pull_request").GetPullRequest().Additions != nil,
		"not repository.homepage, absent":  repository.Homepage == nil,
		"not base_ref, null":               push.BaseRef == nil,
		"not head_commit, null":            push.GetHeadCommit() == nil,
		"not forced, absent":               push.Forced == nil,
		"not repository.license, absent":   repository.GetLicense() == nil,
		"not pull_request.mergeable, null": decode[*webhooksv1.PullRequestEvent](t, "pull_request").GetPullRequest().Mergeable == nil,
	} {
		if !set {
			t.Errorf("%s: set wrongly", name)
		}
	}
}

func TestDecodeKeepsValues(t *testing.T) {
	push := decode[*webhooksv1.PushEvent](t, "push")
	if got := push.GetRepository().GetId(); got != 4611686018427387905 {
		t.Errorf("an id beyond 2^53 became %d", got)
	}
	if got := push.GetRepository().GetCreatedAt().AsTime(); !got.Equal(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("1767225600 became %v", got)
	}
	if got := push.GetCommits()[0].GetTimestamp(); got != "2026-03-01T09:30:00+05:30" {
		t.Errorf("the commit's offset is gone: %s", got)
	}
	if got := push.GetRepository().GetCustomProperties().GetFields()["team"].GetStringValue(); got != "boilers" {
		t.Errorf("custom property team is %q", got)
	}
	reactions := decode[*webhooksv1.IssuesEvent](t, "issues").GetIssue().GetReactions()
	if reactions.GetPlusOne() != 2 || reactions.GetMinusOne() != 1 {
		t.Errorf("+1 and -1 became %d and %d", reactions.GetPlusOne(), reactions.GetMinusOne())
	}
	links := decode[*webhooksv1.PullRequestEvent](t, "pull_request").GetPullRequest().GetLinks()
	if got := links.GetSelf().GetHref(); got != "https://api.example/pulls/8" {
		t.Errorf("_links.self.href is %q", got)
	}
	if got := decode[*webhooksv1.DeploymentEvent](t, "deployment").GetDeployment().GetPayload().GetStringValue(); got != "keep the lid on" {
		t.Errorf("a deployment's payload that is text became %q", got)
	}
}

func TestDecodeReadsEveryFormOfTime(t *testing.T) {
	want := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	for _, form := range []string{
		`"2026-05-04T03:02:01Z"`,
		`"2026-05-04T03:02:01.000Z"`,
		`"2026-05-03T23:02:01-04:00"`,
		`"2026-05-03T23:02:01.000-04:00"`,
		`"2026-05-04 03:02:01"`,
		`1777863721`,
	} {
		message, err := Decode("star", []byte(`{"action": "created", "starred_at": `+form+`}`))
		if err != nil {
			t.Errorf("%s: %v", form, err)
			continue
		}
		star, ok := message.(*webhooksv1.StarEvent)
		if got := star.GetStarredAt().AsTime(); !ok || !got.Equal(want) {
			t.Errorf("%s became %v", form, got)
		}
	}
}

func TestDecodeNamesWhatItCannotHold(t *testing.T) {
	tests := []struct {
		name, kind, payload string
		want                []string // path and a piece of the problem, in order
	}{
		{"unknown field", "star", `{"acton": "created"}`, []string{"acton: unknown field"}},
		{"unknown field further down", "issues", `{"issue": {"labels": [{"name": "a"}, {"colour": "b"}]}}`, []string{"issue.labels[1].colour: unknown field"}},
		{"all of several", "star", `{"b": 1, "a": 1, "repository": {"c": 1}}`, []string{"a: unknown field", "b: unknown field", "repository.c: unknown field"}},
		{"protobuf's spelling", "push", `{"baseRef": "x"}`, []string{"baseRef: unknown field"}},
		{"a renamed field by its protobuf name", "pull_request", `{"pull_request": {"links": {}}}`, []string{"pull_request.links: unknown field"}},
		{"a renamed field where there is none", "push", `{"_links": {}}`, []string{"_links: unknown field"}},
		{"number for text", "star", `{"action": 1}`, []string{"action: is a number, not text"}},
		{"text for number", "ping", `{"hook_id": "1"}`, []string{"hook_id: is text, not a number"}},
		{"text for truth", "push", `{"forced": "no"}`, []string{"forced: is text, not true or false"}},
		{"text for an object", "push", `{"repository": "a/b"}`, []string{"repository: is text, not an object"}},
		{"list for an object", "workflow_dispatch", `{"inputs": []}`, []string{"inputs: is a list, not an object"}},
		{"object for a list", "push", `{"commits": {}}`, []string{"commits: is an object, not a list"}},
		{"null in a list", "push", `{"commits": [null]}`, []string{"commits[0]: is null, not an object"}},
		{"null in a list of texts", "push", `{"commits": [{"added": ["a", null]}]}`, []string{"commits[0].added[1]: is null, not text"}},
		{"fraction", "ping", `{"hook_id": 1.5}`, []string{"hook_id: is 1.5, not a whole number"}},
		{"more than 64 bits", "ping", `{"hook_id": 9223372036854775808}`, []string{"hook_id: is 9223372036854775808, not a whole number of 64 bits"}},
		{"more than 32 bits", "pull_request", `{"number": 2147483648}`, []string{"number: is 2147483648, not a whole number of 32 bits"}},
		{"more than a free-form number holds", "workflow_dispatch", `{"inputs": {"n": [9007199254740993]}}`, []string{"inputs.n[0]: is 9007199254740993, a number too large"}},
		{"empty where there is no telling", "push", `{"ref": ""}`, []string{"ref: is empty"}},
		{"not a time", "star", `{"starred_at": "yesterday"}`, []string{`starred_at: is "yesterday", not a time`}},
		{"truth for a time", "star", `{"starred_at": true}`, []string{"starred_at: is true or false, not a time"}},
		{"a part of a second since 1970", "star", `{"starred_at": 1.5}`, []string{"starred_at: is 1.5, not a time"}},
		{"too fine a time", "star", `{"starred_at": "2026-05-04T03:02:01.1234567891Z"}`, []string{`starred_at: is "2026-05-04T03:02:01.1234567891Z", finer`}},
		{"a time out of range", "star", `{"starred_at": 253402300800}`, []string{"starred_at: is 253402300800,"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			event, err := Decode(test.kind, []byte(test.payload))
			if err == nil {
				t.Fatalf("decoded to %v", event)
			}
			if _, ok := errors.AsType[*FieldError](err); !ok {
				t.Fatalf("%T: %v", err, err)
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(test.want) {
				t.Fatalf("got %q, want %q", lines, test.want)
			}
			for i, want := range test.want {
				if !strings.HasPrefix(lines[i], want) {
					t.Errorf("got %q, want %q…", lines[i], want)
				}
			}
		})
	}
}

func TestDecodeRefusesWhatIsNotAPayload(t *testing.T) {
	for name, payload := range map[string]string{
		"nothing":            ``,
		"truncated":          `{"action": "cre`,
		"not an object":      `["action"]`,
		"null":               `null`,
		"two documents":      `{} {}`,
		"a name twice":       `{"action": "created", "action": "deleted"}`,
		"a name twice below": `{"sender": {"id": 1, "id": 2}}`,
		"not UTF-8":          "{\"action\": \"\xff\"}",
		"half a surrogate":   `{"action": "\ud800"}`,
		"deeply nested":      strings.Repeat("[", 1_000_000),
	} {
		t.Run(name, func(t *testing.T) {
			if event, err := Decode("star", []byte(payload)); err == nil {
				t.Errorf("decoded to %v", event)
			}
		})
	}
}

func TestDecodeUnknownKind(t *testing.T) {
	if _, err := Decode("sponsorship", []byte(`{}`)); !errors.Is(err, ErrUnknownKind) {
		t.Errorf("got %v", err)
	}
}

// Every event that the package declares has a kind, by a name that follows from
// its own, and goes where the demo reads it.
func TestKindsAreTheEventsOfThePackage(t *testing.T) {
	declared := make(map[protoreflect.FullName]bool)
	for _, prototype := range kinds {
		declared[prototype.ProtoReflect().Descriptor().FullName()] = true
	}
	for _, file := range webhooksFiles(t) {
		messages := file.Messages()
		for i := range messages.Len() {
			message := messages.Get(i)
			if proto.HasExtension(message.Options(), optionsv1.E_Event) && !declared[message.FullName()] {
				t.Errorf("%s is an event and no kind has it", message.FullName())
			}
		}
	}
	for kind, prototype := range kinds {
		message := prototype.ProtoReflect().Descriptor()
		name := strings.ReplaceAll(kind, "_", "") + "event"
		if strings.ToLower(string(message.Name())) != name {
			t.Errorf("%s has the event %s", kind, message.Name())
		}
		options, ok := proto.GetExtension(message.Options(), optionsv1.E_Event).(*optionsv1.EventOptions)
		if !ok || options.GetTopic() != "github-webhooks" || options.GetKey() != "repository.full_name" {
			t.Errorf("%s is declared as %v", message.Name(), options)
		}
	}
}

// The converter knows every form of field that the package uses, and no field
// has a name that githubNames takes away from it.
func TestConverterKnowsEveryField(t *testing.T) {
	for _, file := range webhooksFiles(t) {
		if file.Enums().Len() > 0 {
			t.Errorf("%s has an enum", file.Path())
		}
		messages := file.Messages()
		for i := range messages.Len() {
			fields := messages.Get(i).Fields()
			for j := range fields.Len() {
				field := fields.Get(j)
				switch field.Kind() {
				case protoreflect.StringKind, protoreflect.BoolKind, protoreflect.Int32Kind,
					protoreflect.Int64Kind, protoreflect.MessageKind:
				default:
					t.Errorf("%s is a %v", field.FullName(), field.Kind())
				}
				if field.IsMap() {
					t.Errorf("%s is a map", field.FullName())
				}
				if got := fieldByGithubName(messages.Get(i), githubName(field)); got != field {
					t.Errorf("%s is found as %v", field.FullName(), got)
				}
			}
		}
	}
}

// webhooksFiles lists the files of github.webhooks.v1.
func webhooksFiles(t *testing.T) []protoreflect.FileDescriptor {
	t.Helper()
	var files []protoreflect.FileDescriptor
	seen := make(map[string]bool)
	var visit func(protoreflect.FileDescriptor)
	visit = func(file protoreflect.FileDescriptor) {
		if seen[file.Path()] || file.Package() != "github.webhooks.v1" {
			return
		}
		seen[file.Path()] = true
		files = append(files, file)
		imports := file.Imports()
		for i := range imports.Len() {
			visit(imports.Get(i).FileDescriptor)
		}
	}
	for _, prototype := range kinds {
		visit(prototype.ProtoReflect().Descriptor().ParentFile())
	}
	return files
}

// Whatever decodes comes back as it was.
func FuzzDecode(f *testing.F) {
	for _, file := range fixtures(f) {
		kind, payload := fixture(f, file)
		f.Add(kind, payload)
	}
	f.Add("star", []byte(`{"starred_at": 1}`))
	f.Fuzz(func(t *testing.T, kind string, payload []byte) {
		event, err := Decode(kind, payload)
		if err != nil {
			return
		}
		made, err := Encode(event)
		if err != nil {
			t.Fatal(err)
		}
		differences, err := Compare(payload, made)
		if err != nil {
			t.Fatal(err)
		}
		if len(differences) > 0 {
			t.Errorf("%s: %q", kind, differences)
		}
	})
}
