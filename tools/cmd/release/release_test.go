package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	sourceWithVersion = "server/internal/daemon/command.go"
	ordersFile        = "examples/events/proto/shop/orders/v1/events.proto"
)

// TestRelease makes a release of this repository as it stands, in a copy.
func TestRelease(t *testing.T) {
	c := newCheckout(t)
	older := c.read(changeLog)
	out, err := c.release(c.future)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"git commit", "make tags", "baseline/v97.0.0.binpb", changeLog} {
		if !strings.Contains(out, want) {
			t.Errorf("it doesn't say %q:\n%s", want, out)
		}
	}
	if got := c.read(versionFile); got != "97.0.0\n" {
		t.Errorf("VERSION holds %q", got)
	}
	if !strings.Contains(c.read(sourceWithVersion), "\nconst Version = \"97.0.0\"\n") {
		t.Error("the program has another version")
	}
	before, after, _ := strings.Cut(older, unreleased)
	if want := before + unreleased + "\n## [97.0.0] - 2030-03-01\n" + after; c.read(changeLog) != want {
		t.Errorf("the change log is\n%s", c.read(changeLog))
	}
	if !strings.Contains(c.read("README.md"), "\nThere since 97.0.0.\n") {
		t.Error("the README doesn't say that it is released")
	}
	if err := agree(c.dir, "97.0.0"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	c.command(c.buf, "build", "--exclude-source-info", "-o", "again.binpb")
	if c.read("again.binpb") != c.read("baseline/v97.0.0.binpb") {
		t.Error("the image is not that of the schemas")
	}
	if err := os.Remove(filepath.Join(c.dir, "again.binpb")); err != nil {
		t.Fatal(err)
	}

	// It is a release that the tests of the repository take, by the commit that
	// brought the image as well as by the tag.
	c.commit("release")
	c.expectRebuild("the commit that added it")
	c.command("git", "tag", "v97.0.0")
	c.expectRebuild("the tag v97.0.0")
	if out, err := c.release("97.0.1"); err == nil || !strings.Contains(err.Error(), "[Unreleased] is empty") {
		t.Errorf("released anew with nothing new: %v\n%s", err, out)
	}

	// An image that isn't that of the tag is found.
	c.write("baseline/v97.0.0.binpb", c.read(imageName(c.present))+" ")
	c.command("git", "tag", "--delete", "v97.0.0")
	if image, origin := rebuild(t, c.dir, c.buf, "baseline/v97.0.0.binpb"); bytes.Equal(image, []byte(c.read("baseline/v97.0.0.binpb"))) {
		t.Errorf("an edited image equals a rebuild from %s", origin)
	}
}

func (c checkout) expectRebuild(from string) {
	c.t.Helper()
	image, origin := rebuild(c.t, c.dir, c.buf, "baseline/v97.0.0.binpb")
	if !strings.HasPrefix(origin, from) {
		c.t.Errorf("it was built from %q, want %s", origin, from)
	}
	if !bytes.Equal(image, []byte(c.read("baseline/v97.0.0.binpb"))) {
		c.t.Errorf("the image differs from a rebuild from %s", origin)
	}
}

// TestReleaseRefuses has a reason each time, and every time all stays as it was.
func TestReleaseRefuses(t *testing.T) {
	c := newCheckout(t)
	first := strings.TrimSpace(c.command("git", "rev-parse", "HEAD"))
	for _, test := range []struct {
		name    string
		version string // Empty: one that could be released.
		change  func()
		commit  bool
		want    string
	}{
		{name: "the present version", version: c.present, want: "is not above the present version, " + c.present},
		{name: "a lower version", version: "0.0.1", want: "is not above the present version"},
		{name: "no version", version: "next", want: "not a version like"},
		{name: "a version with a v", version: "v97.0.0", want: "not a version like"},
		{name: "a pre-release", version: "97.0.0-rc.1", want: "not a version like"},
		{name: "a short version", version: "97.0", want: "not a version like"},
		{name: "a changed file", change: func() { c.write("LICENSE", "") }, want: "not committed:\n M LICENSE"},
		{name: "a new file", change: func() { c.write("note", "") }, want: "not committed:\n?? note"},
		{name: "an image that exists", change: func() { c.write("baseline/v97.0.0.binpb", "") }, commit: true, want: "baseline/v97.0.0.binpb exists"},
		{name: "a tag that exists", change: func() { c.command("git", "tag", "v97.0.0") }, want: "the tag v97.0.0 exists"},
		{
			name: "nothing to tell of", commit: true, want: "[Unreleased] is empty",
			change: func() {
				before, after, _ := strings.Cut(c.read(changeLog), unreleased)
				_, after, _ = strings.Cut(after, "\n## ")
				c.write(changeLog, before+unreleased+"\n### Added\n\n## "+after)
			},
		},
		{
			name: "a place that disagrees", commit: true, want: sourceWithVersion + `: "const Version = \"0.0.9\"", want ` + c.present,
			change: func() { c.replace(sourceWithVersion, `Version = "`+c.present+`"`, `Version = "0.0.9"`) },
		},
		{
			name: "a place that is gone", commit: true, want: sourceWithVersion + ": 0 places hold the version, want 1",
			change: func() { c.replace(sourceWithVersion, "const Version = ", "var Version = ") },
		},
		{
			name: "a place that isn't known", commit: true, want: "clients/package.json: a release wouldn't know",
			change: func() { c.write("clients/package.json", `{"version": "`+c.present+`"}`) },
		},
		{
			name: "schemas that don't compile", commit: true, want: "the gate for breaking changes",
			change: func() { c.replace(ordersFile, "message OrderPlaced {", "message OrderPlaced ") },
		},
		{
			name: "a break", commit: true, want: "the gate for breaking changes",
			change: func() {
				c.replace(ordersFile, "message OrderPlaced {", "message OrderMade {")
				c.tellOfNoBreak()
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			defer c.reset(first)
			c := c
			c.t = t
			if test.version == "" {
				test.version = c.future
			}
			if test.change != nil {
				test.change()
			}
			if test.commit {
				c.commit(test.name)
			}
			before := c.state()
			out, err := c.release(test.version)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q\n%s", err, test.want, out)
			}
			if after := c.state(); after != before {
				t.Errorf("it left behind\n%s\nwhere there was\n%s", after, before)
			}
			if test.name == "a tag that exists" {
				c.command("git", "tag", "--delete", "v97.0.0")
			}
		})
	}
}

// state is all that Git sees of the checkout.
func (c checkout) state() string {
	c.t.Helper()
	return c.command("git", "status", "--porcelain", "--untracked-files=all") + c.command("git", "diff")
}

// tellOfNoBreak takes back what the project tells of breaks of its own, which it
// may have waived.
func (c checkout) tellOfNoBreak() {
	c.t.Helper()
	c.write(changeLog, strings.ReplaceAll(c.read(changeLog), "\n### Breaking\n", "\n### Changed\n"))
}

// TestReleaseWithABreak takes the way that docs/versioning.md leaves until 1.0.0:
// the waiver, and the entry in the change log.
func TestReleaseWithABreak(t *testing.T) {
	c := newCheckout(t)
	if !strings.HasPrefix(c.present, "0.") {
		t.Skipf("NOT CHECKED: from 1.0.0 on there is no such way, and this is %s", c.present)
	}
	c.replace(ordersFile, "message OrderPlaced {", "message OrderMade {")
	c.tellOfNoBreak()
	waivers, err := os.ReadFile(filepath.Join(c.dir, "baseline", "waivers.yaml"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	c.write("baseline/waivers.yaml", string(waivers)+
		"- rule: MESSAGE_NO_DELETE\n  symbol: shop.orders.v1.OrderPlaced\n  reason: a test\n  expires: 2099-12-31\n")
	c.commit("break")
	if out, err := c.release(c.future); err == nil || !strings.Contains(out, "a release promised this") {
		t.Fatalf("released without an entry: %v\n%s", err, out)
	}
	c.replace(changeLog, "\n### Fixed\n", "\n### Breaking\n\n- `OrderPlaced` is gone.\n\n### Fixed\n")
	c.commit("tell of it")
	if out, err := c.release(c.future); err != nil || !strings.Contains(out, "waived until 2099-12-31") {
		t.Errorf("%v\n%s", err, out)
	}
}
