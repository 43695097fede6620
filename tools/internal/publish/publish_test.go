package publish

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"example.com/tidings/tools/internal/workspace"
)

// The modules of the test: a root, a library, a command that needs both, and one
// that isn't published. The path ends in .git, so that the go command asks Git
// without asking the host first.
const modulePath = "example.org/a.git"

const hello = `package main

import (
	"fmt"

	"example.org/a.git"
	"example.org/a.git/lib"
)

func main() { fmt.Println(a.Hello, lib.World) }
`

// files are the files of the repository. Nothing requires a version that exists.
func files() map[string]string {
	const require, replace = " v0.0.0-00010101000000-000000000000", "\nreplace " + modulePath
	return map[string]string{
		"LICENSE":         "Free.\n",
		"go.mod":          "module " + modulePath + "\n\ngo 1.26.0\n",
		"a.go":            "package a\n\n// Hello is said.\nconst Hello = \"hello\"\n",
		"lib/go.mod":      "module " + modulePath + "/lib\n\ngo 1.26.0\n\nrequire " + modulePath + require + "\n" + replace + " => ../\n",
		"lib/lib.go":      "package lib\n\nimport \"" + modulePath + "\"\n\n// World hears it.\nconst World = a.Hello + \", world\"\n",
		"app/go.mod":      "module " + modulePath + "/app\n\ngo 1.26.0\n\nrequire (\n\t" + modulePath + require + "\n\t" + modulePath + "/lib" + require + "\n)\n" + replace + " => ../\n" + replace + "/lib => ../lib\n",
		"app/hello/a.go":  hello,
		"interop/go.mod":  "module " + modulePath + "/interop\n\ngo 1.26.0\n\nrequire " + modulePath + "/app" + require + "\n" + replace + "/app => ../app\n",
		"interop/main.go": "package main\n\nfunc main() {}\n",
	}
}

// newRepository returns a repository with one commit of the files.
func newRepository(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command(t, dir, nil, "git", "init", "--quiet", "--initial-branch=main")
	command(t, dir, nil, "git", "add", "--all")
	command(t, dir, nil, "git", "commit", "--quiet", "--message", "release")
	return dir
}

func command(t *testing.T, dir string, environ []string, name string, args ...string) string {
	t.Helper()
	var stderr strings.Builder
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Stderr = dir, &stderr
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_SYSTEM="+os.DevNull,
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.org")
	cmd.Env = append(cmd.Env, environ...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s%s", cmd, err, out, &stderr)
	}
	return strings.TrimSpace(string(out))
}

// TestGoTakesWhatIsPublished has the go command itself fetch the modules from the
// repository, by their tags, and check their sums.
func TestGoTakesWhatIsPublished(t *testing.T) {
	repository := newRepository(t, files())
	head := command(t, repository, nil, "git", "rev-parse", "HEAD")
	published, err := Make(t.Context(), repository, "HEAD", "v1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	var tags []string
	for _, m := range published.Modules {
		tags = append(tags, m.Tag())
		commit := published.Commit
		if m.Dir == "" {
			commit = head
		}
		command(t, repository, nil, "git", "tag", m.Tag(), commit)
	}
	if want := []string{"v1.2.3", "lib/v1.2.3", "app/v1.2.3"}; !slices.Equal(tags, want) {
		t.Errorf("published are %q, want %q", tags, want)
	}
	if now := command(t, repository, nil, "git", "rev-parse", "HEAD"); now != head {
		t.Error("the branch moved")
	}
	if status := command(t, repository, nil, "git", "status", "--porcelain"); status != "" {
		t.Errorf("the working tree changed: %s", status)
	}

	gitConfig := filepath.Join(t.TempDir(), "gitconfig")
	config := "[url \"file://" + filepath.ToSlash(repository) + "\"]\n\tinsteadOf = https://" + strings.TrimSuffix(modulePath, ".git") + "\n"
	if err := os.WriteFile(gitConfig, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	gopath := t.TempDir()
	environ := []string{
		"GOPATH=" + gopath, "GOBIN=", "GOMODCACHE=", "GOPROXY=direct", "GONOSUMDB=" + modulePath, "GOFLAGS=-modcacherw", "GOWORK=off",
		"GIT_CONFIG_GLOBAL=" + gitConfig,
	}
	command(t, gopath, environ, "go", "install", modulePath+"/app/hello@v1.2.3")
	if got := command(t, gopath, environ, filepath.Join(gopath, "bin", "hello")); got != "hello hello, world" {
		t.Errorf("it prints %q", got)
	}

	// The sums are complete and right, also for those who clone what is tagged.
	clone := filepath.Join(t.TempDir(), "clone")
	command(t, repository, nil, "git", "clone", "--quiet", "--branch", "app/v1.2.3", ".", clone)
	for _, dir := range []string{"lib", "app"} {
		module := filepath.Join(clone, dir)
		command(t, module, append(environ, "GOFLAGS=-modcacherw -mod=readonly"), "go", "build", "-o", os.DevNull, "./...")
		command(t, module, environ, "go", "mod", "tidy", "-diff")
	}
	if again, err := Make(t.Context(), clone, head, "v1.2.3"); err != nil || again.Commit != published.Commit {
		t.Errorf("made again it is %s, %v; want %s", again.Commit, err, published.Commit)
	}
}

func TestWhatCannotBePublished(t *testing.T) {
	for name, test := range map[string]struct{ file, before, after, want string }{
		"requires a private module": {
			"lib/go.mod", "\nreplace", "\nrequire " + modulePath + "/interop v0.0.0\n\nreplace",
			"the module in lib requires that in interop, which isn't published",
		},
		"replaces another's": {
			"lib/go.mod", "\nreplace", "\nreplace example.net/b => example.net/c v1.0.0\n\nreplace",
			"lib/go.mod replaces example.net/b",
		},
		"lies elsewhere": {
			"lib/go.mod", modulePath + "/lib", modulePath + "/library",
			"the go command looks for " + modulePath + "/lib there",
		},
		"requires itself": {
			"lib/go.mod", "\nreplace", "\nrequire " + modulePath + "/app v0.0.0\n\nreplace",
			"requires itself by way of others",
		},
	} {
		t.Run(name, func(t *testing.T) {
			changed := files()
			text := strings.Replace(changed[test.file], test.before, test.after, 1)
			if text == changed[test.file] {
				t.Fatal("nothing changed")
			}
			changed[test.file] = text
			_, err := Make(t.Context(), newRepository(t, changed), "HEAD", "v1.2.3")
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// TestPrivateModules holds the list to what is there.
func TestPrivateModules(t *testing.T) {
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	dirs, err := workspace.GoModules(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range private {
		if !slices.Contains(dirs, filepath.FromSlash(dir)) {
			t.Errorf("%s is no module", dir)
		}
	}
	modules, err := Modules(root, "v1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	if len(modules)+len(private) != len(dirs) || modules[0].Dir != "" {
		t.Errorf("published are %v, private %v, of %v", modules, private, dirs)
	}
}
