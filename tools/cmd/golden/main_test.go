package main

import (
	"os"
	"path/filepath"
	"testing"

	"example.com/tidings/tools/internal/workspace"
)

// TestRunLeavesReleasesAlone has one release whose vectors are there and one whose
// are not, as after `make release`, and one that a later one broke.
func TestRunLeavesReleasesAlone(t *testing.T) {
	checkout, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	images, err := filepath.Glob(filepath.Join(checkout, "baseline", "v*.binpb"))
	if err != nil || len(images) == 0 {
		t.Fatalf("%d images, %v", len(images), err)
	}
	image, err := os.ReadFile(images[0])
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	for file, content := range map[string][]byte{
		"image":                 image,
		"baseline/v0.1.0.binpb": image,
		"baseline/v1.0.0.binpb": image,
		"baseline/v1.1.0.binpb": image,
		"CHANGELOG.md": []byte("# Changes\n\n## [Unreleased]\n\n### Breaking\n\n## [1.1.0] - 2030-03-01\n\n### Added\n\n- x\n\n" +
			"## [1.0.0] - 2030-02-01\n\n### Breaking\n\n- y is gone.\n\n## [0.1.0] - 2030-01-01\n\n### Breaking\n\n- z is gone.\n"),
		"conformance/golden/v0.1.0/tidings.v1.Gone.json":  []byte("{}"),
		"conformance/golden/v1.0.0/tidings.v1.Event.json": []byte("as it was released"),
		"conformance/golden/next/tidings.v1.Gone.json":    []byte("{}"),
		// What Buf does here is beside the point.
		"buf": []byte("#!/bin/sh\ncat image\n"),
	} {
		path := filepath.Join(root, filepath.FromSlash(file))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := run(t.Context(), root, filepath.Join(root, "buf")); err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join(root, "conformance", "golden")
	released, err := os.ReadDir(filepath.Join(golden, "v1.0.0"))
	if err != nil || len(released) != 1 {
		t.Errorf("the released vectors are %v now (%v)", released, err)
	}
	if data, err := os.ReadFile(filepath.Join(golden, "v1.0.0", "tidings.v1.Event.json")); err != nil || string(data) != "as it was released" {
		t.Errorf("a released vector is %q now (%v)", data, err)
	}
	for _, label := range []string{"v1.1.0", "next"} {
		if data, err := os.ReadFile(filepath.Join(golden, label, "tidings.v1.Event.binpb")); err != nil || len(data) == 0 {
			t.Errorf("%s: %d bytes of a vector, %v", label, len(data), err)
		}
	}
	for _, gone := range []string{"next/tidings.v1.Gone.json", "v0.1.0"} {
		if _, err := os.Stat(filepath.Join(golden, gone)); err == nil {
			t.Errorf("%s is still there", gone)
		}
	}
}

// TestRunWantsEveryReleaseTold has the image of a release of which the change log
// says nothing, so that nobody can say what broke since.
func TestRunWantsEveryReleaseTold(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "baseline"), 0o755); err != nil {
		t.Fatal(err)
	}
	for file, content := range map[string]string{
		"CHANGELOG.md": "# Changes\n\n## [Unreleased]\n", "baseline/v0.1.0.binpb": "", "buf": "#!/bin/sh\n",
	} {
		if err := os.WriteFile(filepath.Join(root, file), []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	err := run(t.Context(), root, filepath.Join(root, "buf"))
	if err == nil || err.Error() != "CHANGELOG.md tells nothing of release v0.1.0" {
		t.Errorf("error %v", err)
	}
}

func TestRunTellsWhatBufSays(t *testing.T) {
	buf := filepath.Join(t.TempDir(), "buf")
	if err := os.WriteFile(buf, []byte("#!/bin/sh\necho syntax error >&2; exit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	if err := run(t.Context(), root, buf); err == nil || err.Error() != "buf build: exit status 1: syntax error\n" {
		t.Errorf("error %v", err)
	}
	if entries, err := os.ReadDir(root); err != nil || len(entries) > 0 {
		t.Errorf("it left %v (%v)", entries, err)
	}
}
