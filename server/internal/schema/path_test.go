package schema_test

import (
	"testing"

	"google.golang.org/protobuf/types/descriptorpb"

	"example.com/tidings/server/internal/schema"
	"example.com/tidings/server/internal/schema/schematest"
)

func TestNamesOfFiles(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*descriptorpb.FileDescriptorProto){
		"none":               func(f *descriptorpb.FileDescriptorProto) { f.Name = nil },
		"no .proto":          func(f *descriptorpb.FileDescriptorProto) { f.Name = new("things/a") },
		"absolute":           func(f *descriptorpb.FileDescriptorProto) { f.Name = new("/things/a.proto") },
		"outside":            func(f *descriptorpb.FileDescriptorProto) { f.Name = new("../a.proto") },
		"with a dot":         func(f *descriptorpb.FileDescriptorProto) { f.Name = new("things/./a.proto") },
		"with a line":        func(f *descriptorpb.FileDescriptorProto) { f.Name = new("a\nb.proto") },
		"not UTF-8":          func(f *descriptorpb.FileDescriptorProto) { f.Name = new("\xff.proto") },
		"an import's":        func(f *descriptorpb.FileDescriptorProto) { f.Dependency = append(f.Dependency, "x") },
		"a public import":    func(f *descriptorpb.FileDescriptorProto) { f.PublicDependency = []int32{1} },
		"a weak import":      func(f *descriptorpb.FileDescriptorProto) { f.WeakDependency = []int32{16384} },
		"an import before 0": func(f *descriptorpb.FileDescriptorProto) { f.WeakDependency = []int32{-1} },
	} {
		file := schematest.Event("names", "names", "a string")
		if _, err := schema.ReadImage(schematest.Image(file)); err != nil {
			t.Fatal(err)
		}
		change(file)
		if _, err := schema.ReadImage(schematest.Image(file)); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
}
