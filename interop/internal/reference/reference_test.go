package reference

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

const whole = `language: Ruby
runtime: Ruby 3.1
build: make
run: ruby server.rb
transports: [grpc, connect]
known_failing: known-failing.txt
`

// write makes a directory of a server.
func write(t *testing.T, manifest string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "ruby")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, File), []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestLoadAll(t *testing.T) {
	dir := write(t, whole)
	got, err := LoadAll(filepath.Dir(dir))
	if err != nil {
		t.Fatal(err)
	}
	want := []Server{{
		Language: "Ruby", Runtime: "Ruby 3.1", Build: "make", Run: "ruby server.rb",
		Transports: []string{"grpc", "connect"}, KnownFailing: "known-failing.txt", Name: "ruby", Dir: dir,
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestLoadRefuses changes one line of a file that is in order.
func TestLoadRefuses(t *testing.T) {
	for name, test := range map[string]struct{ line, other, want string }{
		"an unknown field":     {"build: make", "built: make", "line 3: field built not found"},
		"no language":          {"language: Ruby", "", "language: missing"},
		"no runtime":           {"runtime: Ruby 3.1", "runtime: ''", "runtime: missing"},
		"no way to run":        {"run: ruby server.rb", "", "run: missing"},
		"no transport":         {"transports: [grpc, connect]", "", "transports: missing"},
		"an unknown transport": {"transports: [grpc, connect]", "transports: [soap]", `transports: "soap" is not one of`},
		"a list elsewhere":     {"known_failing: known-failing.txt", "known_failing: ../known-failing.txt", "is not in the directory"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, strings.Replace(whole, test.line, test.other, 1))
			_, err := LoadAll(filepath.Dir(dir))
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), File) {
				t.Errorf("error %v, want one with %q and the file's name", err, test.want)
			}
		})
	}
}
