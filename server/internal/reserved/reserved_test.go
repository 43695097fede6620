package reserved

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	_ "buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	_ "google.golang.org/protobuf/types/pluginpb"

	_ "example.com/tidings/gen/go/tidings/options/v1"
	_ "example.com/tidings/gen/go/tidings/v1"
	_ "example.com/tidings/gen/go/tidings/v1beta1"
)

func TestPackage(t *testing.T) {
	for name, want := range map[string]bool{
		"tidings.storage.v1": true, "tidings.replica.v1": true, "tidings.v2alpha1": true, "buf.validate.priv": true,
		"": false, "tidings": false, "tidings.acme.v1": false, "tidings.v1.acme": false, "tidings.options.acme.v1": false, "tidings.conformance.v1": false,
		"tidingsv1": false, "acme.tidings.v1": false, "buf.validate.acme": false, "buf.validate.acme.v1": false, "buf": false,
		"google.protobuf.acme": false, "google.type": false, "google.protobufs": false,
	} {
		if Package(name) != want {
			t.Errorf("%q: %t", name, !want)
		}
	}
	// All of theirs that is linked here is, and what is named to people is a part of it.
	found := 0
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		for _, prefix := range []string{"google/protobuf/", "buf/validate/", "tidings/"} {
			if strings.HasPrefix(file.Path(), prefix) {
				found++
				if !Package(string(file.Package())) {
					t.Errorf("%s isn't", file.Package())
				}
			}
		}
		return true
	})
	if found < 10 {
		t.Errorf("only %d files are looked at", found)
	}
	for _, name := range strings.FieldsFunc(Packages, func(r rune) bool { return r == ' ' || r == ',' }) {
		if name != "and" && !Package(name) {
			t.Errorf("%s isn't", name)
		}
	}
}
