package doctest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"example.com/tidings/internal/testserver"
)

// exempt are the commands that documents show and that aren't run here, each
// with the reason. All are targets of make: what they do is run by CI, and here
// it is checked that there is such a target. Every other command is run.
var exempt = map[string]string{
	"make test":     "it would run this test again",
	"make check":    "CI runs it beside the tests; it takes minutes",
	"make demo":     "CI runs it beside the tests; it fetches a package",
	"make bench":    "it measures, which needs a machine that does nothing else",
	"make breaking": "it needs the history of the checkout; CI runs it",
}

// checkExempt checks what can be checked of a command that isn't run.
func checkExempt(t *testing.T, root, command string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-c", command+" --dry-run")
	cmd.Dir, cmd.Env = root, testserver.Environ()
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v: %s", command, err, output)
	}
}

// TestExemptCommandsAreTargets keeps the list from outliving the Makefile.
func TestExemptCommandsAreTargets(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(checkout(t), "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	for command := range exempt {
		target := regexp.MustCompile(`^make ([a-z-]+)`).FindStringSubmatch(command)
		if len(target) != 2 || !hasTarget(makefile, target[1]) {
			t.Errorf("%s: the Makefile has no such target", command)
		}
	}
}

// hasTarget reports whether a Makefile has a target that its help lists.
func hasTarget(makefile []byte, target string) bool {
	return regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(target) + `:.*## `).Match(makefile)
}
