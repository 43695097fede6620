package publish

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/dirhash"
	"golang.org/x/mod/zip"
)

// Published is what is published of a release.
type Published struct {
	// Commit is the commit to tag for all modules but the root, whose files are the
	// same in the release itself.
	Commit string
	// Modules are in the order in which they require each other; the root is first.
	Modules []Module

	repository string
}

// Make adds to a repository the commit that is published of a release, which has a
// version such as v1.2.3. Nothing refers to it yet. The same release always gives
// the same commit.
func Make(ctx context.Context, repository, release, version string) (Published, error) {
	temp, err := os.MkdirTemp("", "publish-*")
	if err != nil {
		return Published{}, err
	}
	defer os.RemoveAll(temp) //nolint:errcheck // A temporary directory.
	m := maker{dir: filepath.Join(temp, "clone"), temp: temp}
	repository, err = filepath.Abs(repository)
	if err != nil {
		return Published{}, err
	}
	if _, err := git(ctx, repository, "clone", "--quiet", "--no-checkout", "--shared", ".", m.dir); err != nil {
		return Published{}, err
	}
	if _, err := git(ctx, m.dir, "-c", "advice.detachedHead=false", "checkout", "--quiet", "--detach", release); err != nil {
		return Published{}, err
	}
	modules, err := m.edit(ctx, version)
	if err != nil {
		return Published{}, err
	}
	commit, err := m.commit(ctx, release, version)
	if err != nil {
		return Published{}, err
	}
	if _, err := git(ctx, m.dir, "branch", "published", commit); err != nil {
		return Published{}, err
	}
	_, err = git(ctx, repository, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", m.dir, "published")
	return Published{Commit: commit, Modules: modules, repository: repository}, err
}

// Zip writes the file with which a proxy serves a module.
func (p Published) Zip(w io.Writer, m Module) error {
	return zip.CreateFromVCS(w, m.Version, p.repository, p.Commit, m.Dir)
}

// GoMod returns the go.mod of a module.
func (p Published) GoMod(ctx context.Context, m Module) ([]byte, error) {
	text, err := git(ctx, p.repository, "show", p.Commit+":"+path.Join(m.Dir, "go.mod"))
	return []byte(text + "\n"), err
}

// A maker works in a clone of the repository.
type maker struct {
	dir, temp string
}

// edit writes all go.mod and go.sum files, and stages them.
func (m maker) edit(ctx context.Context, version string) ([]Module, error) {
	sources, err := read(m.dir, version)
	if err != nil {
		return nil, err
	}
	var modules []Module
	sums := make(map[string]sum)
	for _, s := range sources {
		if err := s.edit(m.dir, sums); err != nil {
			return nil, err
		}
		if sums[s.Path], err = m.sum(ctx, s.Module); err != nil {
			return nil, err
		}
		modules = append(modules, s.Module)
	}
	return modules, nil
}

// sum returns what go.sum says of a module as it stands in the clone. The zip file
// is that which the go command makes of a tag.
func (m maker) sum(ctx context.Context, mod Module) (sum, error) {
	if _, err := git(ctx, m.dir, "add", "--all"); err != nil {
		return sum{}, err
	}
	tree, err := git(ctx, m.dir, "write-tree")
	if err != nil {
		return sum{}, err
	}
	var content bytes.Buffer
	if err := zip.CreateFromVCS(&content, mod.Version, m.dir, tree, mod.Dir); err != nil {
		return sum{}, err
	}
	name := filepath.Join(m.temp, "module.zip")
	if err := os.WriteFile(name, content.Bytes(), 0o600); err != nil {
		return sum{}, err
	}
	files, err := dirhash.HashZip(name, dirhash.DefaultHash)
	if err != nil {
		return sum{}, err
	}
	gomod, err := dirhash.DefaultHash([]string{"go.mod"}, func(string) (io.ReadCloser, error) {
		return os.Open(filepath.Join(m.dir, filepath.FromSlash(mod.Dir), "go.mod"))
	})
	return sum{zip: files, mod: gomod}, err
}

// commit makes a commit of what is staged, by whom and when the release was made.
func (m maker) commit(ctx context.Context, release, version string) (string, error) {
	tree, err := git(ctx, m.dir, "write-tree")
	if err != nil {
		return "", err
	}
	who, err := git(ctx, m.dir, "show", "--no-patch", "--format=%an%n%ae%n%aI%n%cn%n%ce%n%cI", release)
	if err != nil {
		return "", err
	}
	values := strings.Split(who, "\n")
	args := []string{"commit-tree", tree, "-p", release, "-m", "Require each other at " + version +
		" in what is published\n\nOnly tags lead here: the branch keeps its replace lines."}
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Env = os.Environ()
	for i, name := range []string{
		"GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_AUTHOR_DATE", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "GIT_COMMITTER_DATE",
	} {
		cmd.Env = append(cmd.Env, name+"="+values[i])
	}
	return output(cmd, m.dir)
}

func git(ctx context.Context, dir string, args ...string) (string, error) {
	return output(exec.CommandContext(ctx, "git", args...), dir)
}

// output runs a command and returns what it printed, without the last line break.
func output(cmd *exec.Cmd, dir string) (string, error) {
	var stderr bytes.Buffer
	cmd.Dir, cmd.Stderr = dir, &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, &stderr)
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}
