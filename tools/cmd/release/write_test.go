package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWriteAllWritesAll(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "script")
	if err := os.WriteFile(script, []byte("before"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := writeAll(dir, []content{{"script", []byte("after")}, {"new", []byte("there")}}); err != nil {
		t.Fatal(err)
	}
	expectFiles(t, dir, map[string]string{"script": "after", "new": "there"})
	if info, err := os.Stat(script); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("the mode of a file that was there is %v now (%v)", info.Mode(), err)
	}
}

func TestWriteAllLeavesNothingHalfWritten(t *testing.T) {
	for name, last := range map[string]string{
		// What fails is the preparation, and nothing took its place yet.
		"preparing fails": "missing/file",
		"not a file":      "directory",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "old"), []byte("before"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(filepath.Join(dir, "directory"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := writeAll(dir, []content{{"old", []byte("after")}, {"new", nil}, {last, nil}}); err == nil {
				t.Fatal("it passed")
			}
			expectFiles(t, dir, map[string]string{"old": "before", "directory": ""})
		})
	}
}

// TestRenameThatFailsIsTakenBack has a rename fail after others were done: a
// directory came to be where a file was prepared for.
func TestRenameThatFailsIsTakenBack(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "old"), []byte("before"), 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := stageAll(dir, []content{{"old", []byte("after")}, {"new", []byte("there")}, {"third", nil}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "third"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := replaceAll(list); err == nil {
		t.Fatal("it passed")
	}
	expectFiles(t, dir, map[string]string{"old": "before", "third": ""})
}

// expectFiles wants a directory to hold files with these contents, or directories,
// and nothing else.
func expectFiles(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		text, ok := want[entry.Name()]
		if !ok {
			t.Errorf("%s is left", entry.Name())
		}
		if entry.IsDir() {
			continue
		}
		if data, err := os.ReadFile(filepath.Join(dir, entry.Name())); err != nil || string(data) != text {
			t.Errorf("%s holds %q, want %q (%v)", entry.Name(), data, text, err)
		}
	}
	if len(entries) != len(want) {
		t.Errorf("%d entries, want %d", len(entries), len(want))
	}
}
