package main

import "testing"

func TestReplacePath(t *testing.T) {
	const oldPath, newPath = "a.test/b", "c.test/d"
	tests := map[string]string{
		"a.test/b":                           "c.test/d",
		`import "a.test/b/x"`:                `import "c.test/d/x"`,
		"option go_package = \"a.test/b;b\"": "option go_package = \"c.test/d;b\"",
		"go get a.test/b@v0.1.0":             "go get c.test/d@v0.1.0",
		"https://a.test/b/x":                 "https://c.test/d/x",
		"It is a.test/b. It is a.test/b.":    "It is c.test/d. It is c.test/d.",
		"a.test/b a.test/b,a.test/b":         "c.test/d c.test/d,c.test/d",
		"a.test/better":                      "a.test/better",
		"a.test/b-side":                      "a.test/b-side",
		"a.test/b.git":                       "a.test/b.git",
		"data.test/b":                        "data.test/b",
		"x.a.test/b":                         "x.a.test/b",
	}
	for input, want := range tests {
		if got := string(replacePath([]byte(input), oldPath, newPath)); got != want {
			t.Errorf("%q became %q, want %q", input, got, want)
		}
	}
}

func TestRewriteKeepsCanonicalOrder(t *testing.T) {
	goFile := "package p\n\nimport (\n\t\"a.test/b/x\"\n\t\"b.test/y\"\n)\n"
	want := "package p\n\nimport (\n\t\"b.test/y\"\n\t\"c.test/d/x\"\n)\n"
	if got, err := rewrite("p.go", []byte(goFile), "a.test/b", "c.test/d"); err != nil || string(got) != want {
		t.Errorf("got %v, %s", err, got)
	}
	goMod := "module a.test/b/x\n\nrequire (\n\ta.test/b v0.0.0\n\tb.test/y v1.0.0\n)\n\nreplace a.test/b => ../\n"
	want = "module c.test/d/x\n\nrequire (\n\tb.test/y v1.0.0\n\tc.test/d v0.0.0\n)\n\nreplace c.test/d => ../\n"
	if got, err := rewrite("go.mod", []byte(goMod), "a.test/b", "c.test/d"); err != nil || string(got) != want {
		t.Errorf("got %v, %s", err, got)
	}
}

func TestRewriteRefusesBinaryFiles(t *testing.T) {
	if got, err := rewrite("picture.png", []byte("\x00a.test/b"), "a.test/b", "c.test/d"); err == nil {
		t.Errorf("became %q", got)
	}
}
