package main

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/descriptorpb"
)

const symbolsBefore = `syntax = "proto3";
package a.v1;
import "google/protobuf/descriptor.proto";
extend google.protobuf.MessageOptions { string note = 50001; }
extend google.protobuf.MessageOptions { string gone = 50002; }
message A {
  reserved "old";
  string x = 1;
  string y = 2;
  oneof other { string r = 5; }
  string z = 6;
  message Part { string x = 1; string y = 2; }
  message Gone { string x = 1; }
  enum Colour { COLOUR_UNSPECIFIED = 0; COLOUR_RED = 1; COLOUR_BLUE = 2; }
}
message B { message Part { string y = 2; string w = 3; } }
enum E { E_UNSPECIFIED = 0; }
service S { rpc Get(A) returns (A); rpc Put(A) returns (A); }
`

const symbolsAfter = `syntax = "proto3";
package a.v1;
import "google/protobuf/descriptor.proto";
option go_package = "x";
extend google.protobuf.MessageOptions { int32 note = 50001; }
message A {
  string y = 1;
  string r = 5;
  int32 z = 6;
  message Part {}
  enum Colour { COLOUR_UNSPECIFIED = 0; COLOUR_PINK = 1; }
}
message B { message Part { string y = 2; } }
service S { rpc Get(A) returns (stream A); }
`

// TestSymbolsOfFindings has Buf find breaks of every kind of element, and wants
// each to be told apart.
func TestSymbolsOfFindings(t *testing.T) {
	c := newCheckout(t)
	c.write(protoFile, symbolsBefore)
	c.write("proto/b/v1/b.proto", strings.ReplaceAll(schema, "a.v1", "b.v1"))
	c.release("v0.1.0")
	c.write(protoFile, symbolsAfter)
	if err := os.Remove(filepath.Join(c.dir, "proto", "b", "v1", "b.proto")); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := run(t.Context(), []string{"-root", c.dir, "-buf", c.buf}, today, &out); err == nil {
		t.Fatal("it passed")
	}
	got := map[string]bool{}
	for _, match := range regexp.MustCompile(`(?m): ([A-Z_]+): .* \((.*)\)$`).FindAllStringSubmatch(out.String(), -1) {
		got[match[1]+" "+match[2]] = true
	}
	want := []string{
		"ENUM_NO_DELETE a.v1.E",
		"ENUM_VALUE_NO_DELETE a.v1.A.COLOUR_BLUE",
		"ENUM_VALUE_SAME_NAME a.v1.A.COLOUR_RED",
		"EXTENSION_NO_DELETE a.v1.gone",
		"FIELD_NO_DELETE a.v1.A.Part.x",
		// Buf says "Part" of both, and both had that field.
		"FIELD_NO_DELETE a.v1.A.Part.y|a.v1.B.Part.y",
		"FIELD_NO_DELETE a.v1.A.y",
		"FIELD_NO_DELETE a.v1.B.Part.w",
		"FIELD_SAME_CARDINALITY a.v1.A.r",
		"FIELD_SAME_JSON_NAME a.v1.A.x",
		"FIELD_SAME_NAME a.v1.A.x",
		"FIELD_SAME_ONEOF a.v1.A.r",
		"FIELD_SAME_TYPE a.v1.A.z",
		"FIELD_SAME_TYPE a.v1.note",
		"FILE_NO_DELETE b/v1/b.proto",
		"FILE_SAME_GO_PACKAGE a/v1/a.proto",
		"MESSAGE_NO_DELETE a.v1.A.Gone",
		"ONEOF_NO_DELETE a.v1.A.other",
		"RESERVED_MESSAGE_NO_DELETE a.v1.A",
		"RPC_NO_DELETE a.v1.S.Put",
		"RPC_SAME_SERVER_STREAMING a.v1.S.Get",
	}
	if list := slices.Sorted(maps.Keys(got)); !slices.Equal(list, want) {
		t.Errorf("got\n%s\nwant\n%s\nfrom\n%s", strings.Join(list, "\n"), strings.Join(want, "\n"), &out)
	}
}

// TestMovedExtension finds the package whose users an extension was for, after it
// moved to a file and a package that are new.
func TestMovedExtension(t *testing.T) {
	const file, extension = "proto/a/v1/note.proto", "syntax = \"proto3\";\npackage a.v1;\n" +
		"import \"google/protobuf/descriptor.proto\";\nextend google.protobuf.MessageOptions { string note = 50001; }\n"
	c := newCheckout(t)
	c.write(file, extension)
	c.write("VERSION", "0.1.0\n")
	c.write("CHANGELOG.md", told)
	c.release("v0.1.0")
	c.commit("first")
	c.command("git", "rm", "--quiet", file)
	c.write("proto/c/v1/note.proto", strings.NewReplacer("a.v1", "c.v1", "string note", "int32 note").Replace(extension))
	c.expect("", "3 breaking changes against v0.1.0.binpb", "FIELD_SAME_NAME", "FIELD_SAME_TYPE", "(a.v1.note)")
	c.waivePackage("a.v1", "2030-03-01")
	c.expect("", "", "waived until 2030-03-01")
}

// TestMovedMessage tells what a change is about in a message that moved to a new
// file of its package.
func TestMovedMessage(t *testing.T) {
	c := newCheckout(t)
	c.write("VERSION", "0.1.0\n")
	c.write("CHANGELOG.md", told)
	c.write(protoFile, "syntax = \"proto3\";\npackage a.v1;\nmessage A { string x = 1; }\nmessage B { string y = 1; }\n")
	c.release("v0.1.0")
	c.commit("first")
	c.write(protoFile, "syntax = \"proto3\";\npackage a.v1;\nmessage B { string y = 1; }\n")
	c.write("proto/a/v1/moved.proto", "syntax = \"proto3\";\npackage a.v1;\nmessage A { int32 x = 1; }\n")
	c.expect("", "2 breaking changes against v0.1.0.binpb", "FIELD_SAME_TYPE", "(a.v1.A.x)", "MESSAGE_NO_DELETE", "(a.v1.A)")
	c.waivePackage("a.v1", "2030-03-01")
	c.expect("", "", "waived until 2030-03-01")
}

func TestPlaceOfOurOwnFindings(t *testing.T) {
	reference := &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{
		{Name: new("a/v1/a.proto"), Package: new("a.v1")},
	}}
	for _, test := range []struct{ path, rule, message, symbol, pkg string }{
		{"", "TIDINGS_STABLE_PACKAGE_NO_DELETE", `Package "b.v1" is gone.`, "b.v1", "b.v1"},
		{protoFile, "TIDINGS_VALIDATION_NO_TIGHTEN", `Field "a.v1.A.x" is tighter: max_len is "1".`, "a.v1.A.x", "a.v1"},
		{"proto/a/v1/new.proto", "TIDINGS_VALIDATION_NO_TIGHTEN", `Oneof "a.v1.A.which" is tighter: required was added.`, "a.v1.A.which", "a.v1"},
		{protoFile, "TIDINGS_DEPRECATION_NO_DELETE", `File "a/v1/a.proto" is deprecated no more.`, "a/v1/a.proto", "a.v1"},
	} {
		f := finding{Path: test.path, Rule: test.rule, Message: test.message}
		if symbol, pkg := f.place(reference); symbol != test.symbol || pkg != test.pkg {
			t.Errorf("%s is about %q of %q, want %q of %q", f, symbol, pkg, test.symbol, test.pkg)
		}
	}
}
