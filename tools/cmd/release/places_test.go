package main

import (
	"strings"
	"testing"

	"example.com/tidings/tools/internal/workspace"
)

// TestRepositoryAgreesOnItsVersion holds this repository, as it stands, to what
// VERSION says: the newest entry of the change log, the newest image, the program
// and the documents.
func TestRepositoryAgreesOnItsVersion(t *testing.T) {
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	version, err := presentVersion(root)
	if err != nil {
		t.Fatal(err)
	}
	if err := agree(root, version); err != nil {
		t.Error(err)
	}
	// That nothing disagrees shows something only if the places are found.
	if err := agree(root, "98.7.6"); err == nil {
		t.Error("the repository agrees on any version")
	} else {
		for _, place := range []string{
			"VERSION: ", "CHANGELOG.md: ", "newest image", "server/internal/daemon/command.go: ",
			"README.md: ", "docs/versioning.md: ", "docs/operations.md: ", "docs/schemas.md: ",
		} {
			if !strings.Contains(err.Error(), place) {
				t.Errorf("no disagreement of %q in:\n%v", place, err)
			}
		}
	}
}

func TestReleaseDocument(t *testing.T) {
	for before, want := range map[string]string{
		`"msg":"serving","version":"0.1.0"`:        `"msg":"serving","version":"0.2.0"`,
		"msg=serving version=0.1.0 http=…":         "msg=serving version=0.2.0 http=…",
		"version:               0.1.0":             "version:               0.2.0",
		"tidings 0.1.0 …":                          "tidings 0.2.0 …",
		"<tidings.version>0.1.0</tidings.version>": "<tidings.version>0.2.0</tidings.version>",
		"| part | state in 0.1.0 |":                "| part | state in 0.2.0 |",
		"baseline/v0.1.0.binpb":                    "baseline/v0.2.0.binpb",

		"there since 0.1.0, not in a release yet": "there since 0.2.0",
		"| there since 0.1.0 |":                   "| there since 0.1.0 |",
		"until 1.0.0":                             "until 1.0.0",
		"a release (`2.0.0`)":                     "a release (`2.0.0`)",
		"specversion 1.0":                         "specversion 1.0",
	} {
		if got := releaseDocument(before, "0.2.0"); got != want {
			t.Errorf("%q became %q, want %q", before, got, want)
		}
		if problems := disagreements("README.md", want, "0.2.0"); len(problems) > 0 {
			t.Errorf("%q: %q", want, problems)
		}
	}
}

func TestUnknownMentionsAreFound(t *testing.T) {
	for text, found := range map[string]bool{
		"Tidings 1.2.3.":         true,
		"it is v1.2.3":           true,
		"(1.2.3)":                true,
		"since 1.2.3":            false,
		"from 1.2.3 on":          false,
		"go run a.test/b@v1.2.3": false,
		"git tag v1.2.3":         false,
		"tag: v1.2.3":            false,
		"events.git#tag=v1.2.3":  false,
		"stage: v1.2.3":          true,
		"1.2.3.4":                false,
		"11.2.3":                 false,
		"1.2.34":                 false,
	} {
		for _, name := range []string{"docs/page.md", "server/file.go"} {
			if problems := disagreements(name, text+"\n", "1.2.3"); len(problems) > 0 != found {
				t.Errorf("%s with %q: %q", name, text, problems)
			}
		}
	}
}
