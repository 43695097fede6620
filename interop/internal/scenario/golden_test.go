package scenario

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
	"google.golang.org/protobuf/reflect/protoreflect"
)

const root = "../../.."

// load returns the vectors of the checkout.
func load(t *testing.T) []Vector {
	t.Helper()
	vectors, err := LoadVectors(filepath.Join(root, "conformance", "golden"))
	if err != nil {
		t.Fatal(err)
	}
	return vectors
}

// TestVectorsOfReleases decodes every vector with today's code. Loading them wants
// both forms to hold the same; here everything that is in one has to be known.
func TestVectorsOfReleases(t *testing.T) {
	labels := make(map[string]int)
	for _, vector := range load(t) {
		label, _, _ := strings.Cut(vector.Name, "-")
		labels[label]++
		if err := protorange.Range(vector.Message.ProtoReflect(), func(values protopath.Values) error {
			if message, ok := values.Index(-1).Value.Interface().(protoreflect.Message); ok && len(message.GetUnknown()) > 0 {
				t.Errorf("%s: today's code doesn't know all of %s", vector.Name, values.Path)
			}
			return nil
		}); err != nil {
			t.Errorf("%s: %v", vector.Name, err)
		}
		again, err := proto.Marshal(vector.Message)
		if err != nil || len(again) != len(vector.binary) {
			t.Errorf("%s: %d bytes became %d (%v)", vector.Name, len(vector.binary), len(again), err)
		}
	}
	// Which releases have some is tested where they are made.
	if labels["next"] == 0 {
		t.Error("the schemas as they stand have no vectors; make generate writes them")
	}
}

// TestLoadVectorsRefuses changes one file of a vector.
func TestLoadVectorsRefuses(t *testing.T) {
	for name, test := range map[string]struct{ file, content, want string }{
		"forms that differ":  {"tidings.v1.FlowControl.json", `{"maxEvents": 1}`, "in binary it is"},
		"no JSON":            {"tidings.v1.FlowControl.json", `{`, "unexpected"},
		"an unknown field":   {"tidings.v1.FlowControl.json", `{"colour": 1}`, "colour"},
		"no binary":          {"tidings.v1.FlowControl.binpb", "\xff", "cannot parse"},
		"no type of ours":    {"tidings.v1.Curtain.binpb", "", "not found"},
		"one form is absent": {"tidings.v1.FlowControl.json", "", "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "next")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			files := map[string]string{"tidings.v1.FlowControl.binpb": "\x08\x02", "tidings.v1.FlowControl.json": `{"maxEvents": 2}`}
			if strings.Contains(test.file, "Curtain") {
				files["tidings.v1.Curtain.json"] = "{}"
			}
			files[test.file] = test.content
			for file, content := range files {
				if name == "one form is absent" && content == "" {
					continue
				}
				if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := LoadVectors(filepath.Dir(dir)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
	if _, err := LoadVectors(t.TempDir()); err == nil {
		t.Error("a directory without vectors was taken")
	}
}

// TestVerifyGolden writes what a client has to, but for one file.
func TestVerifyGolden(t *testing.T) {
	vectors := load(t)
	i := slices.IndexFunc(vectors, func(v Vector) bool { return v.Name == "next-tidings.v1.FlowControl" })
	if i < 0 {
		t.Fatal("there is no vector of FlowControl")
	}
	window := vectors[i].Name
	for name, test := range map[string]struct {
		file, content string
		step, want    string // None: all is well.
	}{
		"as it should be":        {window + ".json", string(vectors[i].json), "", ""},
		"another value":          {window + ".binpb", "\x08\x07", "golden", "want"},
		"a field more":           {window + ".binpb", string(vectors[i].binary) + "\xf8\x07\x01", "golden", "want"},
		"nothing":                {window + ".binpb", "", "golden", "want"},
		"another value, in JSON": {window + ".json", `{"maxEvents": 7}`, "golden-json", "want"},
		"names that JSON hasn't": {window + ".json", `{"max-events": 7}`, "golden-json", "unknown field"},
		"another from JSON":      {window + ".json.binpb", "\x08\x07", "golden-json", "want"},
		"a file more":            {"Window.binpb", "\x08\x07", "golden", "no vector for the file"},
		"a file less":            {window + ".json", "absent", "golden-json", "was not written"},
	} {
		t.Run(name, func(t *testing.T) {
			out := t.TempDir()
			if err := WriteVectors(out, vectors); err != nil {
				t.Fatal(err)
			}
			for _, vector := range vectors {
				if err := os.WriteFile(filepath.Join(out, vector.Name+".json.binpb"), vector.binary, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			path := filepath.Join(out, test.file)
			if err := os.WriteFile(path, []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if test.content == "absent" {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			}
			outcomes := Outcomes{"golden": {State: OK}, "golden-json": {State: OK}}
			VerifyGolden(out, vectors, outcomes)
			expectFailed(t, outcomes, test.step, test.want)
		})
	}
}

// expectFailed wants one step to have failed with a reason, or none if it is empty.
func expectFailed(t *testing.T, outcomes Outcomes, step, reason string) {
	t.Helper()
	for name, outcome := range outcomes {
		switch failed := outcome.State == Failed; {
		case failed != (name == step):
			t.Errorf("%s: %+v", name, outcome)
		case failed && !strings.Contains(outcome.Reason, reason):
			t.Errorf("%s failed with %q, want %q", name, outcome.Reason, reason)
		}
	}
}
