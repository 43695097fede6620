package main

import (
	"strings"
	"testing"
)

func TestReplace(t *testing.T) {
	r := newRewriter([]string{"b.test/a", "old.test/x/y"}, "c.test/team/d")
	for input, want := range map[string]string{
		"b.test/a":                           "c.test/team/d",
		`import "b.test/a/x"`:                `import "c.test/team/d/x"`,
		"option go_package = \"b.test/a;b\"": "option go_package = \"c.test/team/d;b\"",
		"go get b.test/a@v0.1.0":             "go get c.test/team/d@v0.1.0",
		"https://b.test/a/x":                 "https://c.test/team/d/x",
		"It is b.test/a. It is b.test/a.":    "It is c.test/team/d. It is c.test/team/d.",
		"b.test/a b.test/a,b.test/a":         "c.test/team/d c.test/team/d,c.test/team/d",
		"b.test/about":                       "b.test/about",
		"b.test/a-side":                      "b.test/a-side",
		"b.test/a.git":                       "b.test/a.git",
		"ab.test/a":                          "ab.test/a",
		"x.b.test/a":                         "x.b.test/a",

		"old.test/x/y/z": "c.test/team/d/z",

		"import test.b.tidings.v1.Topic;":     "import test.c.team.tidings.v1.Topic;",
		"<groupId>test.b</groupId>":           "<groupId>test.c.team</groupId>",
		"test.b:tidings":                      "test.c.team:tidings",
		"test.bee.v1":                         "test.bee.v1",
		"latest.b.v1":                         "latest.b.v1",
		"src/main/java/test/b/interop/":       "src/main/java/test/c/team/interop/",
		"test.old.x.v1":                       "test.c.team.v1",
		"mail@test.b":                         "mail@test.c.team",
		`from "@b/tidings/v1"`:                `from "@team/tidings/v1"`,
		"@b/tidings-tools":                    "@b/tidings-tools",
		"ada@b.test":                          "ada@b.test",
		"b-tidings-*.tgz":                     "team-tidings-*.tgz",
		"pip install b_tidings-1.0.whl":       "pip install team_tidings-1.0.whl",
		"use b_tidings::v1;":                  "use team_tidings::v1;",
		"sub-tidings":                         "sub-tidings",
		"name: buf.b.test/b/tidings\n":        "name: buf.c.test/team/tidings\n",
		"buf.b.test/b/tidings-other":          "buf.b.test/b/tidings-other",
		"x_tidings@1 buf.old.test/x/tidings.": "team_tidings@1 buf.c.test/team/tidings.",
	} {
		got, err := r.rewrite("a.txt", []byte(input))
		if err != nil || string(got) != want {
			t.Errorf("%q became %q, %v; want %q", input, got, err, want)
		}
		if again, err := r.rewrite("a.txt", got); err != nil || string(again) != want {
			t.Errorf("%q became %q the second time, %v", want, again, err)
		}
	}
}

// TestReplaceTwice has new names that begin with the old ones, or contain them.
func TestReplaceTwice(t *testing.T) {
	for after, want := range map[string]string{
		"b.test/team/d":     "b.test/team/d test.b.team.v1 test/b/team @team/tidings",
		"b.test.x/test/b/d": "b.test.x/test/b/d x.test.b.test.b.v1 x/test/b/test/b @b/tidings",
	} {
		r := newRewriter([]string{"b.test/a"}, after)
		text := []byte("b.test/a test.b.v1 test/b @b/tidings")
		for range 3 {
			var err error
			if text, err = r.rewrite("a.txt", text); err != nil || string(text) != want {
				t.Errorf("got %q, %v; want %q", text, err, want)
			}
		}
	}
}

func TestMove(t *testing.T) {
	r := newRewriter([]string{"b.test/a"}, "b.test/team/d")
	for before, want := range map[string]string{
		"interop/java/src/test/b/Client.java": "interop/java/src/test/b/team/Client.java",
		"test/b/Client.java":                  "test/b/team/Client.java",
		"test/bee/Client.java":                "test/bee/Client.java",
		"latest/b/Client.java":                "latest/b/Client.java",
	} {
		if got := r.move(before); got != want || r.move(got) != want {
			t.Errorf("%s became %s and then %s, want %s", before, got, r.move(got), want)
		}
	}
}

func TestRewriteKeepsCanonicalOrder(t *testing.T) {
	r := newRewriter([]string{"a.test/b"}, "c.test/d")
	for name, files := range map[string][2]string{
		"p.go": {
			"package p\n\nimport (\n\t\"a.test/b/x\"\n\t\"b.test/y\"\n)\n",
			"package p\n\nimport (\n\t\"b.test/y\"\n\t\"c.test/d/x\"\n)\n",
		},
		"go.mod": {
			"module a.test/b/x\n\nrequire (\n\ta.test/b v0.0.0\n\tb.test/y v1.0.0\n)\n\nreplace a.test/b => ../\n",
			"module c.test/d/x\n\nrequire (\n\tb.test/y v1.0.0\n\tc.test/d v0.0.0\n)\n\nreplace c.test/d => ../\n",
		},
		"Cargo.lock": {
			"version = 4\n\n[[package]]\nname = \"a-tidings\"\nversion = \"1.0.0\"\n\n[[package]]\nname = \"b\"\nversion = \"1.0.0\"\ndependencies = [\n \"a-tidings\",\n \"b-1\",\n]\n",
			"version = 4\n\n[[package]]\nname = \"b\"\nversion = \"1.0.0\"\ndependencies = [\n \"b-1\",\n \"c-tidings\",\n]\n\n[[package]]\nname = \"c-tidings\"\nversion = \"1.0.0\"\n",
		},
	} {
		if got, err := r.rewrite(name, []byte(files[0])); err != nil || string(got) != files[1] {
			t.Errorf("%s became, with %v,\n%s", name, err, got)
		}
	}
}

func TestPlaceholdersAreRemoved(t *testing.T) {
	r := newRewriter([]string{"a.test/b"}, "c.test/d")
	const kept = "# Use\n\nIt is a.test/b.\n\n"
	want := strings.Replace(kept, "a.test/b", "c.test/d", 1) + "End.\n"
	for _, text := range []string{
		kept + placeholder + "It stands for\nyours.\n\nEnd.\n",
		kept + placeholder + "One.\n\n" + placeholder + "Two.\n\nEnd.\n",
		kept + "End.\n",
	} {
		if got, err := r.rewrite("README.md", []byte(text)); err != nil || string(got) != want {
			t.Errorf("%q became %q, %v; want %q", text, got, err, want)
		}
	}
	want = "# Use\n\nIt is c.test/d.\n"
	if got, err := r.rewrite("a.md", []byte(kept+placeholder+"At the end.\n")); err != nil || string(got) != want {
		t.Errorf("without its last paragraph it is %q, %v; want %q", got, err, want)
	}
}

func TestRewriteRefusesBinaryFiles(t *testing.T) {
	r := newRewriter([]string{"a.test/b"}, "c.test/d")
	if got, err := r.rewrite("picture.png", []byte("\x00a.test/b")); err == nil {
		t.Errorf("became %q", got)
	}
}
