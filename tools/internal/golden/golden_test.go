package golden

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"example.com/tidings/tools/internal/schemaimage"
	"example.com/tidings/tools/internal/workspace"
)

// releases returns those of the checkout, of which there is one at least.
func releases(t *testing.T) (root string, all []Release) {
	t.Helper()
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	if all, err = Releases(root); err != nil || len(all) == 0 {
		t.Fatalf("%d releases, %v", len(all), err)
	}
	return root, all
}

// image reads that of a release.
func image(t *testing.T, release Release) []byte {
	t.Helper()
	data, err := os.ReadFile(release.Image)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// messages returns the types of the contract that an image has.
func messages(t *testing.T, image []byte) []protoreflect.MessageDescriptor {
	t.Helper()
	set, err := schemaimage.Parse(image)
	if err != nil {
		t.Fatal(err)
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		t.Fatal(err)
	}
	var list []protoreflect.MessageDescriptor
	files.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		for i := range file.Messages().Len() {
			if strings.HasPrefix(string(file.Package()), "tidings.v1") {
				list = append(list, file.Messages().Get(i))
			}
		}
		return true
	})
	return list
}

// TestReleasesHaveVectors wants every message of every release since which nothing
// broke to have a vector that holds the same in both forms, by the schemas of that
// release, and the others to have none. A package that says that it is unstable may
// lose its own, together with the messages.
func TestReleasesHaveVectors(t *testing.T) {
	root, all := releases(t)
	for _, release := range all {
		dir := filepath.Join(root, filepath.FromSlash(Dir), release.Name)
		if !release.Kept {
			if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s is there, and the contract was broken since: %v", dir, err)
			}
			continue
		}
		for _, descriptor := range messages(t, image(t, release)) {
			if strings.Contains(string(descriptor.FullName()), "beta") {
				continue
			}
			binary, json := read(t, dir, descriptor)
			if !proto.Equal(binary, json) {
				t.Errorf("%s: %s is %v in binary and %v in JSON", release.Name, descriptor.FullName(), binary, json)
			}
			expectFilled(t, binary.ProtoReflect())
		}
	}
}

// read reads both forms of a vector.
func read(t *testing.T, dir string, descriptor protoreflect.MessageDescriptor) (binary, json proto.Message) {
	t.Helper()
	binary, json = dynamicpb.NewMessage(descriptor), dynamicpb.NewMessage(descriptor)
	for extension, unmarshal := range map[string]func([]byte) error{
		".binpb": func(data []byte) error { return proto.Unmarshal(data, binary) },
		".json":  func(data []byte) error { return protojson.Unmarshal(data, json) },
	} {
		data, err := os.ReadFile(filepath.Join(dir, string(descriptor.FullName())+extension))
		if err == nil {
			err = unmarshal(data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return binary, json
}

// expectFilled wants a message to have a value in every field and in one member of
// every oneof, and none that it doesn't know.
func expectFilled(t *testing.T, message protoreflect.Message) {
	t.Helper()
	fields := message.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if oneof := field.ContainingOneof(); oneof != nil && message.WhichOneof(oneof) != nil {
			continue
		}
		if !message.Has(field) {
			t.Errorf("%s has no value", field.FullName())
		}
	}
	if len(message.GetUnknown()) > 0 {
		t.Errorf("%s has fields that it doesn't know", message.Descriptor().FullName())
	}
}

// TestReleasedVectorsStay wants that no commit has changed one, and that none is
// changed here.
func TestReleasedVectorsStay(t *testing.T) {
	root, _ := releases(t)
	shallow, err := git(root, "rev-parse", "--is-shallow-repository")
	if err != nil || shallow != "false" {
		t.Skipf("NOT CHECKED: this has no history: %s %v", shallow, err)
	}
	for _, args := range [][]string{
		{"log", "--no-renames", "--diff-filter=M", "--format=%h %s", "--", Dir + "/v*"},
		{"diff", "--no-renames", "--diff-filter=M", "--name-only", "HEAD", "--", Dir + "/v*"},
	} {
		changes, err := git(root, args...)
		if err != nil {
			t.Fatal(err)
		}
		if changes != "" {
			t.Errorf("git %s: vectors of a release were changed:\n%s", args[0], changes)
		}
	}
}

func git(dir string, args ...string) (string, error) {
	cmd := exec.Command("git", args...) //nolint:noctx // It is over at once.
	cmd.Dir = dir
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}

// TestMake makes vectors of the newest image twice.
func TestMake(t *testing.T) {
	_, all := releases(t)
	for _, r := range all {
		release, image := r.Name, image(t, r)
		first, err := Make(image)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Make(image)
		if err != nil {
			t.Fatal(err)
		}
		if want := len(messages(t, image)); len(first) != want || len(again) != want {
			t.Fatalf("%s: %d and %d vectors, want %d", release, len(first), len(again), want)
		}
		for i, vector := range first {
			if vector.Name != again[i].Name || !bytes.Equal(vector.Binary, again[i].Binary) || !bytes.Equal(vector.JSON, again[i].JSON) {
				t.Errorf("%s: %s differs from time to time", release, vector.Name)
			}
			if len(vector.Binary) > 2000 || len(vector.JSON) > 5000 {
				t.Errorf("%s: %s takes %d and %d bytes", release, vector.Name, len(vector.Binary), len(vector.JSON))
			}
		}
	}
}

// TestMakeFillsEveryKind wants values that differ, of every kind of field.
func TestMakeFillsEveryKind(t *testing.T) {
	vectors, err := Make(everyKind(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(vectors) != 1 || vectors[0].Name != "tidings.v1.Kinds" {
		t.Fatalf("%d vectors, want that of Kinds", len(vectors))
	}
	const want = `{
  "f1": 1.5,
  "f2": 2.5,
  "f3": "9007199254740999",
  "f4": "9007199254741001",
  "f5": 5,
  "f8": true,
  "f9": "f9 7",
  "f11": {},
  "f12": "/wg=",
  "f13": 9,
  "f14": "A",
  "f15": [
    11,
    12
  ],
  "f17": "f17 13"
}
`
	if got := string(vectors[0].JSON); got != want {
		t.Errorf("it is\n%s\nwant\n%s", got, want)
	}
}

// everyKind is an image with a message that has fields of many kinds and a oneof.
func everyKind(t *testing.T) []byte {
	t.Helper()
	field := func(number int32, kind descriptorpb.FieldDescriptorProto_Type, typeName string) *descriptorpb.FieldDescriptorProto {
		f := &descriptorpb.FieldDescriptorProto{
			Name: new(fmt.Sprintf("f%d", number)), Number: new(number),
			Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(), Type: kind.Enum(),
		}
		if typeName != "" {
			f.TypeName = new(typeName)
		}
		return f
	}
	repeated := field(15, descriptorpb.FieldDescriptorProto_TYPE_SINT32, "")
	repeated.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
	first, second := field(17, descriptorpb.FieldDescriptorProto_TYPE_STRING, ""), field(18, descriptorpb.FieldDescriptorProto_TYPE_STRING, "")
	first.OneofIndex, second.OneofIndex = new(int32(0)), new(int32(0))
	file := &descriptorpb.FileDescriptorProto{
		Name: new("kinds.proto"), Package: new("tidings.v1"), Syntax: new("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{{
			Name: new("Kinds"),
			Field: []*descriptorpb.FieldDescriptorProto{
				field(1, descriptorpb.FieldDescriptorProto_TYPE_DOUBLE, ""),
				field(2, descriptorpb.FieldDescriptorProto_TYPE_FLOAT, ""),
				field(3, descriptorpb.FieldDescriptorProto_TYPE_INT64, ""),
				field(4, descriptorpb.FieldDescriptorProto_TYPE_FIXED64, ""),
				field(5, descriptorpb.FieldDescriptorProto_TYPE_INT32, ""),
				field(8, descriptorpb.FieldDescriptorProto_TYPE_BOOL, ""),
				field(9, descriptorpb.FieldDescriptorProto_TYPE_STRING, ""),
				field(11, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE, ".tidings.v1.Kinds.Empty"),
				field(12, descriptorpb.FieldDescriptorProto_TYPE_BYTES, ""),
				field(13, descriptorpb.FieldDescriptorProto_TYPE_UINT32, ""),
				field(14, descriptorpb.FieldDescriptorProto_TYPE_ENUM, ".tidings.v1.Letter"),
				repeated, first, second,
			},
			NestedType: []*descriptorpb.DescriptorProto{{Name: new("Empty")}},
			OneofDecl:  []*descriptorpb.OneofDescriptorProto{{Name: new("choice")}},
		}},
		EnumType: []*descriptorpb.EnumDescriptorProto{{
			Name: new("Letter"),
			Value: []*descriptorpb.EnumValueDescriptorProto{
				{Name: new("UNSPECIFIED"), Number: new(int32(0))}, {Name: new("A"), Number: new(int32(1))}, {Name: new("B"), Number: new(int32(2))},
			},
		}},
	}
	image, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{file}})
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func TestWriteReplacesAll(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "golden", Next)
	if err := Write(dir, []Vector{{Name: "old"}}); err != nil {
		t.Fatal(err)
	}
	if err := Write(dir, []Vector{{Name: "new", Binary: []byte("binary"), JSON: []byte("JSON")}}); err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(paths) != 2 {
		t.Fatalf("%q, %v; want two files", paths, err)
	}
	for file, want := range map[string]string{"new.binpb": "binary", "new.json": "JSON"} {
		if data, err := os.ReadFile(filepath.Join(dir, file)); err != nil || string(data) != want {
			t.Errorf("%s holds %q, want %q (%v)", file, data, want, err)
		}
	}
}
