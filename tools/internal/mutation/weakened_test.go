package mutation

import (
	"errors"
	"slices"
	"testing"
)

// A weakening is a change of buf.yaml that nobody may make unnoticed.
type weakening struct {
	name  string
	edits []configEdit
	// The titles of pairs that have to fail with it. Others may.
	fail []string
	// The title of one that goes on passing, so that the others fail for the
	// reason that is meant. Empty: with this configuration Buf doesn't start.
	hold string
}

// A configEdit replaces a text after another one: see find.
type configEdit struct{ in, replace, with string }

// The parts of the configuration that the cases change.
const (
	pluginEntry = "  - plugin: .cache/bin/buf-plugin-tidings\n"
	ourCategory = "    - TIDINGS\n"
)

func weakenings() []weakening {
	noPlugin := []configEdit{
		{"", "plugins:\n", ""},
		{"", pluginEntry, ""},
	}
	return []weakening{
		{
			"WIRE_JSON instead of FILE",
			[]configEdit{{"breaking:", "    - FILE\n", "    - WIRE_JSON\n"}},
			[]string{"FILE_NO_DELETE", "MESSAGE_NO_DELETE", "RPC_NO_DELETE", "FIELD_SAME_TYPE", "FILE_SAME_GO_PACKAGE"},
			"FIELD_SAME_JSON_NAME",
		},
		{
			"PACKAGE instead of FILE",
			[]configEdit{{"breaking:", "    - FILE\n", "    - PACKAGE\n"}},
			[]string{"MESSAGE_NO_DELETE: an event moves to another file", "FILE_NO_DELETE"},
			"RPC_NO_DELETE",
		},
		{
			"the plugin isn't named",
			noPlugin,
			[]string{"TIDINGS_EVENT_SAME_TOPIC", "TIDINGS_EVENT_TOPIC", "FIELD_SAME_JSON_NAME"},
			"",
		},
		{
			"the plugin isn't named nor used",
			append(slices.Clone(noPlugin),
				configEdit{"lint:", ourCategory, ""}, configEdit{"breaking:", ourCategory, ""}),
			[]string{"TIDINGS_EVENT_SAME_TOPIC", "TIDINGS_EVENT_TOPIC"},
			"FIELD_SAME_JSON_NAME",
		},
		{
			"TIDINGS isn't used for changes",
			[]configEdit{{"breaking:", ourCategory, ""}},
			[]string{"TIDINGS_EVENT_SAME_TOPIC", "TIDINGS_VALIDATION_NO_TIGHTEN: pattern"},
			"TIDINGS_EVENT_TOPIC",
		},
		{
			"TIDINGS isn't used for schemas",
			[]configEdit{{"lint:", ourCategory, ""}},
			[]string{"TIDINGS_EVENT_TOPIC", "TIDINGS_RPC_ERRORS"},
			"TIDINGS_EVENT_SAME_TOPIC",
		},
		{
			"COMMENTS isn't used",
			[]configEdit{{"lint:", "    - COMMENTS\n", ""}},
			[]string{"COMMENT_FIELD", "COMMENT_RPC"},
			"TIDINGS_EVENT_TOPIC",
		},
		{
			"STABLE_PACKAGE_NO_IMPORT_UNSTABLE isn't used",
			[]configEdit{{"lint:", "    - STABLE_PACKAGE_NO_IMPORT_UNSTABLE\n", ""}},
			[]string{"STABLE_PACKAGE_NO_IMPORT_UNSTABLE"},
			"COMMENT_FIELD",
		},
		{
			"MINIMAL instead of STANDARD",
			[]configEdit{{"lint:", "    - STANDARD\n", "    - MINIMAL\n"}},
			[]string{"ENUM_VALUE_PREFIX", "PROTOVALIDATE"},
			"PACKAGE_DEFINED",
		},
		{
			"a breaking rule is excepted",
			[]configEdit{{"", "breaking:\n", "breaking:\n  except: [FIELD_NO_DELETE]\n"}},
			[]string{"FIELD_NO_DELETE"},
			"FIELD_SAME_JSON_NAME",
		},
		{
			"a breaking rule of ours is excepted",
			[]configEdit{{"", "breaking:\n", "breaking:\n  except: [TIDINGS_EVENT_SAME_KEY]\n"}},
			[]string{"TIDINGS_EVENT_SAME_KEY"},
			"TIDINGS_EVENT_SAME_TOPIC",
		},
		{
			"a lint rule is excepted",
			[]configEdit{{"", "lint:\n", "lint:\n  except: [COMMENT_FIELD]\n"}},
			[]string{"COMMENT_FIELD"},
			"COMMENT_MESSAGE",
		},
		{
			"changes of a directory are ignored",
			[]configEdit{{"", "breaking:\n", "breaking:\n  ignore: [proto/shop]\n"}},
			[]string{"TIDINGS_EVENT_SAME_TOPIC", "FIELD_SAME_JSON_NAME"},
			"RPC_NO_DELETE",
		},
		{
			"changes of unstable packages are ignored",
			[]configEdit{{"", "breaking:\n", "breaking:\n  ignore_unstable_packages: true\n"}},
			[]string{"FIELD_NO_DELETE: of an unstable package"},
			"FIELD_NO_DELETE",
		},
		{
			"comments may ignore rules",
			[]configEdit{{"", "  disallow_comment_ignores: true\n", ""}},
			[]string{"COMMENT_FIELD: a comment asks to be left alone"},
			"COMMENT_FIELD",
		},
	}
}

// TestWeakened weakens the configuration and has to see pairs fail: a gate that
// was taken down doesn't go unnoticed.
func TestWeakened(t *testing.T) {
	g := newGround(t)
	byTitle := map[string]pair{}
	for _, p := range readPairs(t) {
		byTitle[p.title()] = p
	}
	try := func(t *testing.T, weakened ground, title string) error {
		t.Helper()
		p, ok := byTitle[title]
		if !ok {
			t.Fatalf("there is no pair %q", title)
		}
		return weakened.try(t.Context(), p, p.Caught, true)
	}
	for _, w := range weakenings() {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			weakened := g
			for _, edit := range w.edits {
				start, err := find("buf.yaml", weakened.config, edit.in, edit.replace)
				if err != nil {
					t.Fatal(err)
				}
				weakened.config = weakened.config[:start] + edit.with + weakened.config[start+len(edit.replace):]
			}
			for _, title := range w.fail {
				// Where Buf doesn't start, there are no findings at all.
				if err := try(t, weakened, title); errors.Is(err, errMismatch) != (w.hold != "") || err == nil {
					t.Errorf("%s should fail for want of its finding: %v", title, err)
				}
			}
			if w.hold != "" {
				if err := try(t, weakened, w.hold); err != nil {
					t.Errorf("%s should hold, and fails: %v", w.hold, err)
				}
			}
		})
	}
}
