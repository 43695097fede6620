package architecture

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"example.com/tidings/tools/internal/workspace"
)

// A pin says how a line that fetches something from outside has to name it.
type pin struct {
	fetches *regexp.Regexp
	wants   *regexp.Regexp
	why     string
}

var (
	// workflowPins are for the workflows of CI.
	workflowPins = []pin{
		{regexp.MustCompile(`\buses:`), regexp.MustCompile(`uses: [\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`), "an action is named by its commit, with its version behind it"},
		{regexp.MustCompile(`\b(?:container|image):`), regexp.MustCompile(`@sha256:[0-9a-f]{64}$`), "an image is named by its digest"},
	}
	// commandPins are for what builds packages and clients.
	commandPins = []pin{
		{regexp.MustCompile(`\bpip"? (?:install|download)\b`), regexp.MustCompile(`--only-binary :all: --require-hashes|--no-deps \S+/\.cache/packages/python/\*\.whl`), "pip takes wheels by their hashes, or the package that was built here"},
		{regexp.MustCompile(`\bnpm (?:install|i|add|exec)\b|\bnpx\b`), regexp.MustCompile(`\binstall --no-save --offline\b`), "npm ci takes what the lock file pins"},
		{regexp.MustCompile(`\bcargo (?:build|run|test|package|check)\b`), regexp.MustCompile(`--locked|"\$\{flags\[@\]\}"`), "Cargo takes what the lock file pins"},
	}
	// requirementPin is for a list of Python's packages, its continued lines joined.
	requirementPin = pin{regexp.MustCompile(`^[^#\s]`), regexp.MustCompile(`==\S+ .*--hash=sha256:[0-9a-f]{64}`), "a requirement has a version and hashes"}
)

// unpinned returns the lines that fetch something by less than wanted.
func unpinned(text string, pins ...pin) []string {
	var problems []string
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		line = strings.TrimRight(line, "\n")
		if code := strings.TrimSpace(line); strings.HasPrefix(code, "#") || strings.HasPrefix(code, "install:") {
			continue // A comment, or what a user types.
		}
		for _, p := range pins {
			if p.fetches.MatchString(line) && !p.wants.MatchString(line) {
				problems = append(problems, strings.TrimSpace(line)+": "+p.why)
			}
		}
	}
	return problems
}

// pinsOf returns what is asked of a file.
func pinsOf(name string) []pin {
	base := path.Base(name)
	switch {
	// Also those that are written into the repositories of others.
	case strings.Contains("/"+name, "/.github/workflows/"):
		return slices.Concat(workflowPins, commandPins)
	case base == "requirements.txt" || base == "googleapis.txt":
		return []pin{requirementPin}
	case base == "Makefile" || base == "interop.yaml" || base == "server.yaml" || strings.HasSuffix(base, ".sh"),
		strings.HasPrefix(name, ".ci/"), path.Dir(path.Dir(name)) == "packages" && path.Ext(base) == "":
		return commandPins
	default:
		return nil
	}
}

func TestWhatIsFetchedIsPinned(t *testing.T) {
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	files, err := workspace.Files(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		pins := pinsOf(name)
		if pins == nil {
			continue
		}
		data, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		for _, problem := range unpinned(string(data), pins...) {
			t.Errorf("%s: %s", name, problem)
		}
	}
}

func TestUnpinnedLinesAreFound(t *testing.T) {
	hash := strings.Repeat("0f", 32)
	for line, ok := range map[string]bool{
		"- uses: actions/checkout@v6.0.0":                               false,
		"- uses: actions/checkout@" + hash[:40]:                         false,
		"- uses: actions/checkout@" + hash[:40] + " # v6.0.0":           true,
		"container: rust:1.95.0":                                        false,
		"container: rust:1.95.0@sha256:" + hash:                         true,
		"pip install --no-deps six==1.16.0":                             false,
		"pip install \\\n --only-binary :all: --require-hashes -r a.in": true,
		"npm install --no-save left-pad":                                false,
		"npm ci && npx tsc":                                             false,
		"npm ci":                                                        true,
		"cargo build":                                                   false,
		"cargo build --locked":                                          true,
		"# cargo build":                                                 true,
	} {
		if got := unpinned(line, slices.Concat(workflowPins, commandPins)...); (len(got) == 0) != ok {
			t.Errorf("%q: got %q", line, got)
		}
	}
	for line, ok := range map[string]bool{
		"six==1.16.0": false,
		"six>=1.16.0 \\\n    --hash=sha256:" + hash: false,
		"six==1.16.0 \\\n    --hash=sha256:" + hash: true,
		"# six": true,
	} {
		if got := unpinned(line, requirementPin); (len(got) == 0) != ok {
			t.Errorf("%q: got %q", line, got)
		}
	}
}
