package schema

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/types/descriptorpb"
)

// Packages below the reserved ones are a company's own, and what is in a reserved
// one is named where it isn't expected there.
func TestReservedPackages(t *testing.T) {
	var files []*descriptorpb.FileDescriptorProto
	for pkg, message := range map[string]string{
		"tidings.acme.v1": "Sent", "buf.validate.acme.v1": "Sent", "google.protobuf.acme": "Sent",
		"tidings.v1": "AcmeSent", "tidings.v9": "AcmeSent",
	} {
		files = append(files, &descriptorpb.FileDescriptorProto{
			Name: new("acme/" + pkg + ".proto"), Package: &pkg, Syntax: new("proto3"),
			MessageType: []*descriptorpb.DescriptorProto{{Name: &message}},
		})
	}
	set, err := Parse(image(t, files...))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"buf.validate.acme.v1.Sent", "google.protobuf.acme.Sent", "tidings.acme.v1.Sent"}; !slices.Equal(set.Names(true), want) {
		t.Errorf("the types are %q", set.Names(true))
	}
	if want := []string{"tidings.v1.AcmeSent", "tidings.v9.AcmeSent"}; !slices.Equal(set.Image().Ignored(), want) {
		t.Errorf("ignored are %q", set.Image().Ignored())
	}
}
