package schema

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/descriptorpb"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
)

// parseFile reads a file from the text form of its descriptor.
func parseFile(t *testing.T, text string) *descriptorpb.FileDescriptorProto {
	t.Helper()
	file := new(descriptorpb.FileDescriptorProto)
	if err := prototext.Unmarshal([]byte(text), file); err != nil {
		t.Fatal(err)
	}
	return file
}

func encodeFiles(t *testing.T, files ...*descriptorpb.FileDescriptorProto) []byte {
	t.Helper()
	encoded, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: files})
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

func TestReadImageRefuses(t *testing.T) {
	nameless := encodeFiles(t, &descriptorpb.FileDescriptorProto{Name: new("a.proto")}, new(descriptorpb.FileDescriptorProto))
	whole := encodeFiles(t, &descriptorpb.FileDescriptorProto{Name: new("a.proto"), Package: new("a.v1")})
	for name, test := range map[string]struct{ contents, want string }{
		"nothing":           {"", "it is empty"},
		"text":              {"hello\n", "neither a Buf image nor a FileDescriptorSet: proto: cannot parse"},
		"half of an image":  {string(whole[:len(whole)-2]), "neither a Buf image nor a FileDescriptorSet"},
		"another message":   {"\x1a\x00", "it holds no file"},
		"no name":           {string(nameless), "file 2 in it has no name"},
		"half of a JSON":    {`{"file":[`, "neither a Buf image nor a FileDescriptorSet: proto: "},
		"another JSON":      {`{"events":[]}`, "it holds no file"},
		"JSON of a mistake": {`{"file":[{"name":"a.proto","dependency":["b.proto"],"publicDependency":[7]}]}`, "neither a Buf image"},
		"only the contract": {string(encodeFiles(t, protodesc.ToFileDescriptorProto(optionsv1.File_tidings_options_v1_options_proto))), "no schemas besides those"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readImage([]byte(test.contents))
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, want a line with %q", err, test.want)
			}
		})
	}
}

// TestReadImageLeavesOut: of the contract only what is imported, and no comments.
func TestReadImageLeavesOut(t *testing.T) {
	const comment = `source_code_info { location { path: [4, 0] span: [1, 0, 1] leading_comments: "why" } }`
	files, err := readImage(encodeFiles(t,
		parseFile(t, `name: "buf/validate/validate.proto" package: "buf.validate"`+comment),
		parseFile(t, `name: "tidings/options/v1/options.proto" package: "tidings.options.v1" dependency: "buf/validate/validate.proto"`+comment),
		parseFile(t, `name: "tidings/v1/topic_service.proto" package: "tidings.v1"`+comment),
		parseFile(t, `name: "google/protobuf/any.proto" package: "google.protobuf"`),
		parseFile(t, `name: "tidingsother/x.proto" package: "tidingsother"`+comment),
		parseFile(t, `name: "things/a.proto" package: "things.v1" dependency: ["tidings/options/v1/options.proto", "missing.proto"]`+comment),
	))
	if err != nil {
		t.Fatal(err)
	}
	commented := make(map[string]bool)
	for _, file := range files {
		commented[file.GetName()] = file.GetSourceCodeInfo() != nil
	}
	if diff := cmp.Diff(map[string]bool{
		"buf/validate/validate.proto":      false,
		"tidings/options/v1/options.proto": false,
		"tidingsother/x.proto":             true,
		"things/a.proto":                   true,
	}, commented); diff != "" {
		t.Error(diff)
	}
}

// TestReadImageBinary: the second byte is the length of the first file, which
// may be a brace.
func TestReadImageBinary(t *testing.T) {
	file := &descriptorpb.FileDescriptorProto{Name: new("a.proto"), Package: new("a")}
	file.Package = new(strings.Repeat("a", 1+'{'-proto.Size(file)))
	encoded := encodeFiles(t, file)
	if string(encoded[:2]) != "\n{" {
		t.Fatalf("%q", encoded)
	}
	if files, err := readImage(encoded); err != nil || len(files) != 1 {
		t.Errorf("%v, %v", files, err)
	}
}

// TestReadImageJSON: an image in JSON is the same as in binary, also in the
// options that it declares itself, and those of the contract that it leaves out.
func TestReadImageJSON(t *testing.T) {
	options := parseFile(t, `
		name: "acme/options.proto" package: "acme" syntax: "proto3" dependency: "google/protobuf/descriptor.proto"
		message_type { name: "Owner" field { name: "team" json_name: "team" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL } }
		extension { name: "owner" json_name: "owner" number: 50001 extendee: ".google.protobuf.MessageOptions" type: TYPE_MESSAGE type_name: ".acme.Owner" label: LABEL_OPTIONAL }`)
	event := parseFile(t, `
		name: "things/a.proto" package: "things.v1" syntax: "proto3" dependency: ["acme/options.proto", "tidings/options/v1/options.proto"]
		message_type { name: "Noted" options { [tidings.options.v1.event] { topic: "things" } } }`)
	owner := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), []byte("billing"))
	event.GetMessageType()[0].GetOptions().ProtoReflect().SetUnknown(
		protowire.AppendBytes(protowire.AppendTag(nil, 50001, protowire.BytesType), owner))
	binary := encodeFiles(t, options, event)

	text, err := protojson.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{options, event}})
	if err != nil {
		t.Fatal(err)
	}
	// What the library writes has no unknown options, and nothing of Buf's own.
	written := strings.NewReplacer(
		`"[tidings.options.v1.event]"`, `"[acme.owner]":{"team":"billing"},"[tidings.options.v1.event]"`,
		`"name":"things/a.proto"`, `"name":"things/a.proto","bufExtension":{"isImport":false}`,
		`"name": "things/a.proto"`, `"name":"things/a.proto","bufExtension":{"isImport":false}`,
	).Replace(string(text))
	if strings.Count(written, `"[acme.owner]"`) != 1 || !strings.Contains(written, "bufExtension") {
		t.Fatal(written)
	}
	want, err := readImage(binary)
	if err != nil {
		t.Fatal(err)
	}
	got, err := readImage([]byte(written))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}
