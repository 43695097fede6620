package buftest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Build compiles sources, by their paths, and returns the image. They may import
// google/protobuf. It skips a test with -short, as Need does.
func Build(t testing.TB, sources map[string]string) []byte {
	t.Helper()
	buf, dir := Need(t), t.TempDir()
	for path, source := range sources {
		name := filepath.Join(dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), buf, "build", dir, "-o", "-")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	image, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, errs.Bytes())
	}
	return image
}
