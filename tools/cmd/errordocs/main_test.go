package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"example.com/tidings/tools/internal/bufcache"
	"example.com/tidings/tools/internal/schemaimage"
	"example.com/tidings/tools/internal/workspace"
)

// buf returns the checkout and the Buf to use in it, with its cache filled.
func buf(t *testing.T) (root, binary string) {
	t.Helper()
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	if binary, err = workspace.Buf(t.Context(), root); err != nil {
		t.Fatal(err)
	}
	if err := bufcache.FillDefault(t.Context(), filepath.Join(root, "buf.lock"), io.Discard); err != nil {
		t.Fatal(err)
	}
	return root, binary
}

func TestPageIsWhatTheContractSays(t *testing.T) {
	root, binary := buf(t)
	output := filepath.Join(t.TempDir(), "errors.md")
	if err := run(t.Context(), []string{"-root", root, "-buf", binary, "-o", output}); err != nil {
		t.Fatal(err)
	}
	generated, err := os.ReadFile(output)
	if err != nil {
		t.Fatal(err)
	}
	committed, err := os.ReadFile(filepath.Join(root, "docs", "errors.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(generated, committed) {
		t.Error("docs/errors.md is not what proto/tidings/v1/error.proto says: run make generate")
	}
	row := "| `TOPIC_NOT_FOUND` | NOT_FOUND | never | The topic doesn't exist. | `topic` |\n"
	if !strings.Contains(string(generated), row) {
		t.Errorf("the page lacks the row %q", row)
	}
}

// TestIncompleteReasonsAreRefused takes something away from one reason of the
// real catalogue.
func TestIncompleteReasonsAreRefused(t *testing.T) {
	root, binary := buf(t)
	image, err := buildImage(t.Context(), binary, root)
	if err != nil {
		t.Fatal(err)
	}
	if whole, err := readCatalogue(image); err != nil || len(whole) == 0 {
		t.Fatalf("%d reasons before anything is taken away (%v)", len(whole), err)
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
					if file.GetPackage()+"."+enum.GetName() == reasonsName {
						spoiled = enum.GetValue()[1].GetName()
						test.spoil(file, enum.GetValue()[1])
					}
				}
			}
			changed, err := proto.Marshal(set)
			if err != nil {
				t.Fatal(err)
			}
			_, err = readCatalogue(changed)
			if err == nil || !strings.HasPrefix(err.Error(), spoiled+": ") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s was spoiled and the error is %v, want one with %q", spoiled, err, test.want)
			}
		})
	}
}

func TestCellsKeepTheTable(t *testing.T) {
	page, err := render([]reason{{Name: "A", Code: "B", Retry: "NEVER", Meaning: "one | two"}})
	if err != nil {
		t.Fatal(err)
	}
	if want := "| `A` | B | never | one \\| two |  |\n"; !strings.HasSuffix(string(page), want) {
		t.Errorf("the page ends with %q, want %q", string(page[max(0, len(page)-len(want)):]), want)
	}
}
