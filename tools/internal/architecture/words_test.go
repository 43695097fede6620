package architecture

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"example.com/tidings/tools/internal/workspace"
)

// words are phrases that stand for a term which the field has already: the term is in
// the glossary of docs/contract.md.
var words = map[*regexp.Regexp]string{
	regexp.MustCompile(`\bon (its|their) way\b`):                                        "in flight, unsettled or in transit",
	regexp.MustCompile(`\b(is|are|be|was|were|what it has) in hand\b|^in hand:`):        "in flight",
	regexp.MustCompile(`\bfor ever\b`):                                                  "forever",
	regexp.MustCompile(`\bfor good\b`):                                                  "permanently",
	regexp.MustCompile(`\bserver (has|was|had)( not been| never been| never)? given\b`): "unknown, or registered",
}

// goWords are those of comments in Go alone.
var goWords = map[*regexp.Regexp]string{
	regexp.MustCompile(`^\s*// \w+ (says|tells|returns) whether\b`): "reports whether",
}

// wordless are files of what others say, and this one.
var wordless = regexp.MustCompile(`(^|/)(THIRD_PARTY_LICENSES\.txt|words_test\.go)$|\.pb\.go$|\.connect\.go$|(^|/)gen/|^examples/events/proto/github/`)

// TestWords holds the sources to the field's own terms, one for each thing.
func TestWords(t *testing.T) {
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "*.go", "*.proto", "*.md", "*.yaml")
	cmd.Dir = root
	listed, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for name := range strings.SplitSeq(strings.TrimSuffix(string(listed), "\x00"), "\x00") {
		if wordless.MatchString(name) {
			continue
		}
		data, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			continue // It is being removed.
		}
		checked++
		lists := []map[*regexp.Regexp]string{words}
		if strings.HasSuffix(name, ".go") {
			lists = append(lists, goWords)
		}
		number := 0
		for line := range strings.Lines(string(data)) {
			number++
			for _, list := range lists {
				for phrase, term := range list {
					if found := phrase.FindString(line); found != "" {
						t.Errorf("%s:%d: %q: say %s", name, number, strings.TrimSpace(found), term)
					}
				}
			}
		}
	}
	if checked < 500 {
		t.Errorf("%d files were checked", checked)
	}
}
