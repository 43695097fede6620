package schema

import (
	"errors"
	"strings"
	"testing"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// fileOf reads a file from the text form of its descriptor, in which fields are
// optional.
func fileOf(t *testing.T, text string) *descriptorpb.FileDescriptorProto {
	t.Helper()
	file := new(descriptorpb.FileDescriptorProto)
	if err := prototext.Unmarshal([]byte(strings.ReplaceAll(text, "string:", "type: TYPE_STRING label: LABEL_OPTIONAL number:")), file); err != nil {
		t.Fatal(err)
	}
	return file
}

func imageOf(t *testing.T, texts ...string) *Image {
	t.Helper()
	var files []*descriptorpb.FileDescriptorProto
	for _, text := range texts {
		files = append(files, fileOf(t, text))
	}
	image, err := merge(files)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// fieldsIn returns the file and the fields of each type of a set.
func fieldsIn(set *Set) map[string]string {
	found := make(map[string]string)
	for name, one := range set.types {
		text := one.descriptor.ParentFile().Path() + ":"
		for i := range one.descriptor.Fields().Len() {
			text += " " + string(one.descriptor.Fields().Get(i).Name())
		}
		found[name] = text + " " + one.Description
	}
	return found
}

const (
	fileA = `name: "a.proto" package: "x.v1" syntax: "proto3"
		message_type { name: "M" field { name: "one" string: 1 } }
		message_type { name: "N" field { name: "m" type: TYPE_MESSAGE label: LABEL_OPTIONAL number: 1 type_name: ".x.v1.M" } }
		source_code_info { location { path: [4, 0] span: [1, 0, 1] leading_comments: "M is one." }
			location { path: [4, 1] span: [2, 0, 1] leading_comments: "N is another." } }`
	fileUser = `name: "user.proto" package: "y.v1" syntax: "proto3" dependency: "a.proto"
		message_type { name: "U" field { name: "m" type: TYPE_MESSAGE label: LABEL_OPTIONAL number: 1 type_name: ".x.v1.M" } }`
	movedM = `name: "b.proto" package: "x.v1" syntax: "proto3" message_type { name: "M" field { name: "one" string: 1 } field { name: "two" string: 2 } }`
)

// What is declared in another file than before has moved there, and whoever
// needs it imports that file.
func TestOverlayMoves(t *testing.T) {
	for name, test := range map[string]struct {
		newer []string
		want  map[string]string
	}{
		"one of two messages": {[]string{movedM}, map[string]string{"x.v1.M": "b.proto: one two ", "x.v1.N": "a.proto: m N is another.", "y.v1.U": "user.proto: m "}},
		"the whole file": {[]string{strings.Replace(fileA, "a.proto", "c.proto", 1)},
			map[string]string{"x.v1.M": "c.proto: one M is one.", "x.v1.N": "c.proto: m N is another.", "y.v1.U": "user.proto: m "}},
		"to a new file beside the old": {[]string{movedM, `name: "a.proto" package: "x.v1" syntax: "proto3" message_type { name: "N" }`},
			map[string]string{"x.v1.M": "b.proto: one two ", "x.v1.N": "a.proto: ", "y.v1.U": "user.proto: m "}},
		"nothing": {[]string{`name: "d.proto" package: "x.v1" syntax: "proto3" message_type { name: "D" }`},
			map[string]string{"x.v1.M": "a.proto: one M is one.", "x.v1.N": "a.proto: m N is another.", "x.v1.D": "d.proto: ", "y.v1.U": "user.proto: m "}},
	} {
		set, err := imageOf(t, fileA, fileUser).Overlay(imageOf(t, test.newer...)).Set()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := fieldsIn(set)
		for _, one := range []string{"x.v1.M", "x.v1.N", "x.v1.D", "y.v1.U"} {
			if got[one] != test.want[one] {
				t.Errorf("%s: %s is in %q, want %q", name, one, got[one], test.want[one])
			}
		}
	}
}

// An import that others see through a file is handed on.
func TestOverlayMovesPublic(t *testing.T) {
	through := `name: "through.proto" package: "z.v1" syntax: "proto3" dependency: "a.proto" public_dependency: 0`
	user := strings.Replace(fileUser, `"a.proto"`, `"through.proto"`, 1)
	set, err := imageOf(t, fileA, through, user).Overlay(imageOf(t, movedM)).Set()
	if err != nil {
		t.Fatal(err)
	}
	if got := fieldsIn(set)["y.v1.U"]; got != "user.proto: m " {
		t.Error(got)
	}
}

// What stays and needs what has gone is named.
func TestOverlayLeavesNeeds(t *testing.T) {
	_, err := imageOf(t, fileA, fileUser).Overlay(imageOf(t, `name: "a.proto" package: "x.v1" syntax: "proto3" message_type { name: "N" }`)).Set()
	if missing, ok := errors.AsType[*MissingError](err); !ok || missing.File != "user.proto" || missing.Name != "x.v1.M" {
		t.Errorf("%v", err)
	}
}

// Releases of protovalidate before 0.8 have in three files what later ones have
// in one. The server's own counts, whichever an image was built with.
func TestOldProtovalidate(t *testing.T) {
	server, err := merge([]*descriptorpb.FileDescriptorProto{
		protodesc.ToFileDescriptorProto(descriptorpb.File_google_protobuf_descriptor_proto),
		protodesc.ToFileDescriptorProto(durationpb.File_google_protobuf_duration_proto),
		protodesc.ToFileDescriptorProto(timestamppb.File_google_protobuf_timestamp_proto),
		protodesc.ToFileDescriptorProto(fieldmaskpb.File_google_protobuf_field_mask_proto),
		protodesc.ToFileDescriptorProto(validate.File_buf_validate_validate_proto),
	})
	if err != nil {
		t.Fatal(err)
	}
	image := imageOf(t,
		`name: "google/protobuf/descriptor.proto" package: "google.protobuf" syntax: "proto2" message_type { name: "FieldOptions" extension_range { start: 1000 end: 536870912 } }`,
		`name: "buf/validate/expression.proto" package: "buf.validate" syntax: "proto3" message_type { name: "Constraint" } message_type { name: "Violations" } message_type { name: "Violation" }`,
		`name: "buf/validate/priv/private.proto" package: "buf.validate.priv" syntax: "proto3" dependency: "google/protobuf/descriptor.proto"
			message_type { name: "FieldConstraints" }
			extension { name: "field" extendee: ".google.protobuf.FieldOptions" number: 1160 type: TYPE_MESSAGE type_name: ".buf.validate.priv.FieldConstraints" label: LABEL_OPTIONAL }`,
		`name: "buf/validate/validate.proto" package: "buf.validate" syntax: "proto3" dependency: "buf/validate/expression.proto" dependency: "buf/validate/priv/private.proto" dependency: "google/protobuf/descriptor.proto"
			message_type { name: "FieldConstraints" field { name: "cel" type: TYPE_MESSAGE label: LABEL_REPEATED number: 23 type_name: ".buf.validate.Constraint" } }
			extension { name: "field" extendee: ".google.protobuf.FieldOptions" number: 1159 type: TYPE_MESSAGE type_name: ".buf.validate.FieldConstraints" label: LABEL_OPTIONAL }`,
		`name: "x/v1/x.proto" package: "x.v1" syntax: "proto3" dependency: "buf/validate/validate.proto" dependency: "buf/validate/expression.proto"
			message_type { name: "Found" field { name: "violation" type: TYPE_MESSAGE label: LABEL_OPTIONAL number: 1 type_name: ".buf.validate.Violation" } }`,
	)
	joined, err := server.join(image)
	if err != nil {
		t.Fatal(err)
	}
	for how, composed := range map[string]*Image{"at start": joined, "over what is there": server.Overlay(image)} {
		set, err := composed.Set()
		if err != nil {
			t.Errorf("%s: %v", how, err)
			continue
		}
		found, err := set.Files().FindDescriptorByName("x.v1.Found.violation")
		if err != nil {
			t.Fatal(err)
		}
		violation := found.(protoreflect.FieldDescriptor).Message()
		if violation.ParentFile().Path() != "buf/validate/validate.proto" {
			t.Errorf("%s: the violation is that of %s", how, violation.ParentFile().Path())
		}
	}
}

// Within what a server is started with nothing is declared twice.
func TestDeclaredTwice(t *testing.T) {
	twice := []string{movedM, strings.Replace(movedM, "b.proto", "c.proto", 1)}
	_, err := merge([]*descriptorpb.FileDescriptorProto{fileOf(t, twice[0]), fileOf(t, twice[1])})
	_, apart := imageOf(t, twice[0]).join(imageOf(t, twice[1]))
	for _, err := range []error{err, apart} {
		if err == nil || err.Error() != "b.proto and c.proto both declare x.v1.M" {
			t.Errorf("%v", err)
		}
	}
}
