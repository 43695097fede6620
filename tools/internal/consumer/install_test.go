package consumer

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestCommandsInstall installs the commands as somebody does who has nothing of
// this repository but what a module proxy serves.
func TestCommandsInstall(t *testing.T) {
	packed, gopath := pack(t), t.TempDir()
	environ, modules := append(slices.Clip(packed.environ), "GOPATH="+gopath, "GOBIN="), packed.modules
	version := modules[0].Version.Version
	for _, test := range []struct {
		pkg, shows string
		args       []string
	}{
		{"server/cmd/tidings", "--data-dir", []string{"serve", "--help"}},
		{"conformance/cmd/tidings-conformance", "tidings.v1.TopicService/", []string{"list"}},
	} {
		pkg := modules[0].Path + "/" + test.pkg + "@" + version
		command(t, gopath, environ, "go", "install", pkg)
		program := filepath.Join(gopath, "bin", filepath.Base(test.pkg))
		want := filepath.Base(test.pkg) + " " + strings.TrimPrefix(version, "v")
		if got := strings.TrimSpace(command(t, gopath, environ, program, "--version")); got != want && !strings.HasPrefix(got, want+" ") {
			t.Errorf("%s --version prints %q, want %q", program, got, want)
		}
		if got := command(t, gopath, environ, program, test.args...); !strings.Contains(got, test.shows) {
			t.Errorf("%s %s prints nothing of %q:\n%s", program, strings.Join(test.args, " "), test.shows, got)
		}
	}
}
