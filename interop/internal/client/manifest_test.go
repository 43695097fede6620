package client

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

const whole = `language: Ruby
runtime: Ruby 3.1
package: generated
install: apt install ruby-grpc
debian: [ruby, g++]
build: make
run: ruby client.rb
transports: [grpc, connect-json]
example: client.rb
not_applicable:
  tail: it has no streams
`

// write makes a directory of a client.
func write(t *testing.T, name, manifest string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, File), []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestLoad(t *testing.T) {
	dir := write(t, "ruby", whole)
	got, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := Client{
		Language: "Ruby", Runtime: "Ruby 3.1", Package: "generated", Install: "apt install ruby-grpc",
		Debian: []string{"ruby", "g++"}, Build: "make", Run: "ruby client.rb",
		Transports: []string{"grpc", "connect-json"}, Example: "client.rb",
		NotApplicable: map[string]string{"tail": "it has no streams"},
		Name:          "ruby", Dir: dir,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestLoadRefuses changes one line of a file that is in order.
func TestLoadRefuses(t *testing.T) {
	for name, test := range map[string]struct{ line, other, want string }{
		"an unknown field":          {"build: make", "built: make", "line 6: field built not found"},
		"a field twice":             {"build: make", "run: make", "line 7: mapping key \"run\" already defined"},
		"another kind of value":     {"transports: [grpc, connect-json]", "transports: {grpc: 1}", "line 8: cannot unmarshal"},
		"no YAML":                   {"build: make", "build: [make", "did not find expected"},
		"a second document":         {"build: make", "---\nbuild: make", "more than one document"},
		"no language":               {"language: Ruby", "", "language: missing"},
		"no way to run":             {"run: ruby client.rb", "run: ' '", "run: missing"},
		"no transport":              {"transports: [grpc, connect-json]", "transports: []", "transports: missing"},
		"an unknown transport":      {"transports: [grpc, connect-json]", "transports: [grpc, soap]", `transports: "soap" is not one of`},
		"a transport twice":         {"transports: [grpc, connect-json]", "transports: [grpc, grpc]", `transports: "grpc"`},
		"an unknown step":           {"  tail: it has no streams", "  tale: it has no streams", `not_applicable: "tale" is not one of`},
		"no reason":                 {"  tail: it has no streams", "  tail: ' '", "not_applicable: tail: no reason"},
		"an option for apt-get":     {"debian: [ruby, g++]", "debian: [--purge]", `debian: "--purge" is not the name of a package`},
		"an example from elsewhere": {"example: client.rb", "example: ../go/main.go", "is not in the directory"},
		"half of an access":         {"build: make", "access: {run: make}", "access: run and example are of no use without each other"},
		"an access from elsewhere":  {"build: make", "access: {run: make, example: ../go/main.go}", "access.example"},
		"what breaks a table":       {"package: generated", "package: a|b", `package: "a|b" has a |`},
	} {
		t.Run(name, func(t *testing.T) {
			if strings.Count(whole, test.line+"\n") != 1 {
				t.Fatalf("the file has no line %q", test.line)
			}
			_, err := Load(write(t, "ruby", strings.Replace(whole, test.line+"\n", test.other+"\n", 1)))
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), filepath.Join("ruby", File)) {
				t.Errorf("error %v, want one with %q that names the file", err, test.want)
			}
		})
	}
	if _, err := Load(write(t, "Ruby on Rails", whole)); err == nil {
		t.Error("a directory that no topic can be named after was taken")
	}
}

func TestLoadAll(t *testing.T) {
	root := filepath.Dir(write(t, "ruby", whole))
	for _, name := range []string{"values", "jruby"} {
		if err := os.Mkdir(filepath.Join(root, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	clients, err := LoadAll(root)
	if err != nil || len(clients) != 1 || clients[0].Name != "ruby" {
		t.Fatalf("%+v, %v; want the one with a file", clients, err)
	}
	if err := os.WriteFile(filepath.Join(root, "jruby", File), []byte(whole), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadAll(root); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("two clients of one language: %v", err)
	}
}

func TestExampleLines(t *testing.T) {
	for name, test := range map[string]struct {
		file, text, language string
		want                 []string // None: it is refused.
	}{
		"indented":     {"a.py", "x\n  # docs:begin\n    a\n\n      b  \n  # docs:end\ny\n", "py", []string{"a", "", "  b"}},
		"Go":           {"a.go", "// docs:begin\n\ta\n// docs:end\n", "golang", []string{"a"}},
		"shell":        {"a.sh", "# docs:begin\na\n# docs:end", "bash", []string{"a"}},
		"from Windows": {"a.cs", "// docs:begin\r\n  a\r\n  b\r\n// docs:end\r\n", "cs", []string{"a", "b"}},
		"no marks":     {"a.py", "a\n", "", nil},
		"no end":       {"a.py", "# docs:begin\na\n", "", nil},
		"end first":    {"a.py", "# docs:end\na\n# docs:begin\n", "", nil},
		"two":          {"a.py", "# docs:begin\na\n# docs:end\n# docs:begin\na\n# docs:end\n", "", nil},
		"nothing":      {"a.py", "# docs:begin\n# docs:end\n", "", nil},
		"too much":     {"a.py", "# docs:begin\n" + strings.Repeat("a\n", 41) + "# docs:end\n", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			c := Client{Dir: t.TempDir(), Example: test.file}
			if err := os.WriteFile(filepath.Join(c.Dir, test.file), []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			lines, language, err := c.ExampleLines()
			if !reflect.DeepEqual(lines, test.want) || language != test.language || (err != nil) != (test.want == nil) {
				t.Errorf("%q in %q, %v; want %q in %q", lines, language, err, test.want, test.language)
			}
		})
	}
}
