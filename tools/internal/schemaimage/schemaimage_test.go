package schemaimage

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

func TestRenameModule(t *testing.T) {
	tests := map[string]string{
		"a.test/b":          "c.test/d",
		"a.test/b/x":        "c.test/d/x",
		"a.test/b;b":        "c.test/d;b",
		"a.test/better/x":   "a.test/better/x",
		"x.test/a.test/b/x": "x.test/a.test/b/x",
		"":                  "",
	}
	for before, want := range tests {
		image := imageOf(t, &descriptorpb.FileDescriptorProto{
			Options: &descriptorpb.FileOptions{GoPackage: new(before)},
		})
		renamed, err := RenameModule(image, "a.test/b", "c.test/d")
		if err != nil {
			t.Fatal(err)
		}
		set, err := Parse(renamed)
		if err != nil {
			t.Fatal(err)
		}
		if got := set.GetFile()[0].GetOptions().GetGoPackage(); got != want {
			t.Errorf("%q became %q, want %q", before, got, want)
		}
	}
}

// TestRenameModuleRenamesJava changes the packages that follow from the path of
// the module, of the files that belong to it.
func TestRenameModuleRenamesJava(t *testing.T) {
	for _, test := range []struct{ goPackage, before, want string }{
		{"a.test/b/x", "test.a.x.v1", "test.c.team.x.v1"},
		{"a.test/b/x", "test.a", "test.c.team"},
		{"a.test/b/x", "test.ab.v1", "test.ab.v1"},
		{"a.test/b/x", "org.test.a", "org.test.a"},
		{"e.test/f", "test.a.v1", "test.a.v1"},
	} {
		image := imageOf(t, &descriptorpb.FileDescriptorProto{
			Options: &descriptorpb.FileOptions{GoPackage: new(test.goPackage), JavaPackage: new(test.before)},
		})
		renamed, err := RenameModule(image, "a.test/b", "c.test/team/d")
		if err != nil {
			t.Fatal(err)
		}
		set, err := Parse(renamed)
		if err != nil {
			t.Fatal(err)
		}
		if got := set.GetFile()[0].GetOptions().GetJavaPackage(); got != test.want {
			t.Errorf("%q of %s became %q, want %q", test.before, test.goPackage, got, test.want)
		}
	}
}

// TestRenameModuleKeepsTheRest covers what Buf notes for each file, which
// descriptors have no field for, and files without options.
func TestRenameModuleKeepsTheRest(t *testing.T) {
	file := &descriptorpb.FileDescriptorProto{Name: new("a.proto")}
	noted := protowire.AppendTag(nil, 8042, protowire.BytesType)
	noted = protowire.AppendBytes(noted, []byte("noted by Buf"))
	file.ProtoReflect().SetUnknown(noted)
	image := imageOf(t, file)
	renamed, err := RenameModule(image, "a.test/b", "c.test/d")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(renamed, image) {
		t.Errorf("%q became %q", image, renamed)
	}
}

func TestParseRefusesWhatIsNoImage(t *testing.T) {
	if _, err := Parse([]byte("no image")); err == nil {
		t.Error("it was accepted")
	}
}

func imageOf(t *testing.T, file *descriptorpb.FileDescriptorProto) []byte {
	t.Helper()
	data, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{file}})
	if err != nil {
		t.Fatal(err)
	}
	return data
}
