package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"

	"example.com/tidings/tools/internal/schemaimage"
	"example.com/tidings/tools/internal/workspace"
)

// TestNewestImageIsThatOfItsRelease builds the newest image again from what Git
// has: its tag, or, where that isn't here, the commit that added the image.
func TestNewestImageIsThatOfItsRelease(t *testing.T) {
	root := repositoryRoot(t)
	name, err := newestImage(root)
	if err != nil {
		t.Fatal(err)
	}
	image, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	again, origin := rebuild(t, root, pinnedBuf(t, root), name)
	switch {
	case again == nil:
		t.Logf("NOT CHECKED: %s can't be built again: %s", name, origin)
	case !bytes.Equal(image, again):
		t.Errorf("%s differs from what %s gives", name, origin)
	default:
		t.Logf("%s is what %s gives", name, origin)
	}
}

// rebuild builds the image of a release again, and says from what. It returns no
// image, and why, where Git has neither the tag nor the commit.
func rebuild(t *testing.T, root, buf, name string) (image []byte, origin string) {
	t.Helper()
	commit, origin := releaseCommit(t, root, name)
	if commit == "" {
		return nil, origin
	}
	gitDir := gitOutput(t, root, "rev-parse", "--path-format=absolute", "--git-common-dir")
	image, err := buildImage(t.Context(), root, buf, gitDir+"#format=git,commit="+commit)
	if err != nil {
		t.Fatal(err)
	}
	// Whoever adopts the project under a path of their own renames the images too.
	before := modfile.ModulePath([]byte(gitOutput(t, root, "show", commit+":go.mod")))
	now, err := workspace.ModulePath(root)
	if err != nil {
		t.Fatal(err)
	}
	if before != now {
		if image, err = schemaimage.RenameModule(image, before, now); err != nil {
			t.Fatal(err)
		}
	}
	return image, origin
}

// releaseCommit returns the commit of the release that an image is of.
func releaseCommit(t *testing.T, root, name string) (commit, origin string) {
	t.Helper()
	if _, err := git(t.Context(), root, "rev-parse", "--git-dir"); err != nil {
		return "", "this is no repository of Git"
	}
	tag := strings.TrimSuffix(filepath.Base(name), imageExtension)
	if gitOutput(t, root, "tag", "--list", tag) != "" {
		return gitOutput(t, root, "rev-parse", "refs/tags/"+tag+"^{commit}"), "the tag " + tag
	}
	// In a shallow clone the oldest commit seems to have added everything.
	if gitOutput(t, root, "rev-parse", "--is-shallow-repository") != "false" {
		return "", "there is no tag " + tag + ", and a shallow clone doesn't know which commit added it"
	}
	added := gitOutput(t, root, "log", "-1", "--diff-filter=A", "--format=%H", "--", name)
	if added == "" {
		return "", "there is no tag " + tag + ", and no commit has added it yet"
	}
	return added, "the commit that added it, " + added
}

func gitOutput(t *testing.T, root string, args ...string) string {
	t.Helper()
	out, err := git(t.Context(), root, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
