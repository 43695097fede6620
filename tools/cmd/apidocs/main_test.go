package main

import (
	"bytes"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"example.com/tidings/tools/internal/buftest"
	"example.com/tidings/tools/internal/markdown"
	"example.com/tidings/tools/internal/schemaimage"
)

func TestPagesAreWhatTheContractSays(t *testing.T) {
	root, binary := buftest.Need(t)
	output := t.TempDir()
	if err := run(t.Context(), []string{"-root", root, "-buf", binary, "-o", output}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"errors.md", "reference/tidings.options.v1.md", "reference/tidings.v1.md", "reference/tidings.v1beta1.md",
		"openapi.yaml",
	} {
		generated, err := os.ReadFile(filepath.Join(output, name))
		if err != nil {
			t.Fatal(err)
		}
		committed, err := os.ReadFile(filepath.Join(root, "docs", name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(generated, committed) {
			t.Errorf("docs/%s is not what the contract says: run make generate", name)
		}
	}
	for name, row := range map[string]string{
		"errors.md":               "| `TOPIC_NOT_FOUND` | NOT_FOUND | never | The topic doesn't exist. | `topic` |\n",
		"reference/tidings.v1.md": "| takes | stream of [ConsumeRequest](#consumerequest) |\n",
	} {
		if page, err := os.ReadFile(filepath.Join(output, name)); err != nil || !strings.Contains(string(page), row) {
			t.Errorf("%s lacks the row %q (%v)", name, row, err)
		}
	}
}

// TestLinksOfReference follows every link between and within the pages.
func TestLinksOfReference(t *testing.T) {
	root, binary := buftest.Need(t)
	pages := generated(t, root, binary)
	heading := regexp.MustCompile(`(?m)^#+ (.+)$`)
	anchors := make(map[string]bool)
	for name, page := range pages {
		anchors[name] = true
		for _, match := range heading.FindAllSubmatch(page, -1) {
			anchor := name + "#" + anchor(string(match[1]))
			if anchors[anchor] {
				t.Errorf("two headings give the anchor %s", anchor)
			}
			anchors[anchor] = true
		}
	}
	links := 0
	for name, page := range pages {
		document, err := markdown.Parse(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range document.Links {
			if !strings.HasPrefix(name, "reference/") {
				continue
			}
			links++
			file, fragment, _ := strings.Cut(link, "#")
			target := name
			if file != "" {
				target = path.Join(path.Dir(name), file)
			}
			if fragment != "" {
				target += "#" + fragment
			}
			if !anchors[target] {
				t.Errorf("%s: no such place: %s", name, link)
			}
		}
	}
	if links < 100 {
		t.Errorf("the pages have %d links", links)
	}
}

// TestOpenAPINamesErrors has an RPC whose comment refers to that of another.
func TestOpenAPINamesErrors(t *testing.T) {
	root, binary := buftest.Need(t)
	var document struct {
		Paths map[string]map[string]struct {
			Responses map[string]struct{ Description string }
		}
	}
	if err := yaml.Unmarshal(generated(t, root, binary)["openapi.yaml"], &document); err != nil {
		t.Fatal(err)
	}
	described := document.Paths["/tidings.v1.ConsumerService/Pull"]["post"].Responses["404"].Description
	if !strings.Contains(described, "`SUBSCRIPTION_NOT_FOUND`") {
		t.Errorf("404 of Pull is described by %q", described)
	}
}

// generated returns what the contract gives.
func generated(t *testing.T, root, binary string) map[string][]byte {
	t.Helper()
	image, err := schemaimage.Contract(t.Context(), binary, root)
	if err != nil {
		t.Fatal(err)
	}
	files, err := generate(image)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestIncompleteReasonsAreRefused takes something away from one reason of the
// real catalogue.
func TestIncompleteReasonsAreRefused(t *testing.T) {
	root, binary := buftest.Need(t)
	image, err := schemaimage.Contract(t.Context(), binary, root)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := generate(image); err != nil {
		t.Fatalf("before anything is taken away: %v", err)
	}
	for name, test := range map[string]struct {
		spoil func(file *descriptorpb.FileDescriptorProto, value *descriptorpb.EnumValueDescriptorProto)
		want  string
	}{
		"no option": {func(_ *descriptorpb.FileDescriptorProto, value *descriptorpb.EnumValueDescriptorProto) {
			value.Options = nil
		}, "no option"},
		"an empty option": {func(_ *descriptorpb.FileDescriptorProto, value *descriptorpb.EnumValueDescriptorProto) {
			unknown := value.GetOptions().ProtoReflect().GetUnknown()
			tag := unknown[:len(unknown)-5] // The length and two fields of two bytes follow it.
			value.GetOptions().ProtoReflect().SetUnknown(append(bytes.Clone(tag), 0))
		}, "says no code"},
		"no comment": {func(file *descriptorpb.FileDescriptorProto, _ *descriptorpb.EnumValueDescriptorProto) {
			file.SourceCodeInfo = nil
		}, "no comment"},
	} {
		t.Run(name, func(t *testing.T) {
			set, err := schemaimage.Parse(image)
			if err != nil {
				t.Fatal(err)
			}
			spoiled := ""
			for _, file := range set.GetFile() {
				for _, enum := range file.GetEnumType() {
					if file.GetPackage() == "tidings.v1" && enum.GetName() == reasonsName {
						spoiled = enum.GetValue()[1].GetName()
						test.spoil(file, enum.GetValue()[1])
					}
				}
			}
			changed, err := proto.Marshal(set)
			if err != nil {
				t.Fatal(err)
			}
			_, err = generate(changed)
			if err == nil || !strings.HasPrefix(err.Error(), spoiled+": ") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s was spoiled and the error is %v, want one with %q", spoiled, err, test.want)
			}
		})
	}
}

func TestCellsKeepTheTable(t *testing.T) {
	page, err := render("errors.md.tmpl", []catalogue{{Reasons: []reason{{Name: "A", Code: "B", Retry: "NEVER", Meaning: "one | two"}}}})
	if err != nil {
		t.Fatal(err)
	}
	if want := "| `A` | B | never | one \\| two |  |\n"; !strings.HasSuffix(string(page), want) {
		t.Errorf("the page ends with %q, want %q", string(page[max(0, len(page)-len(want)):]), want)
	}
}

// TestCommentsBecomeMarkdown has what Markdown would take for something else.
func TestCommentsBecomeMarkdown(t *testing.T) {
	comment := []string{"A <b> and a `<b>`.", "    message A {\n      string b = 1;\n    }"}
	if got, want := prose(comment), "A &lt;b> and a `<b>`.\n\n```proto\nmessage A {\n  string b = 1;\n}\n```"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := cellProse(comment), "A &lt;b> and a `<b>`.<br>`message A { string b = 1; }`"; got != want {
		t.Errorf("in a cell: %q, want %q", got, want)
	}
}
