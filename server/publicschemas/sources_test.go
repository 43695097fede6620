// Package publicschemas gives the server schemas that others have written, and
// publishes, validates and reads back messages of all their types. It is a module
// of its own so that nobody else has to fetch them.
package publicschemas

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	// Of Buf's own registry: rules of protovalidate, also predefined ones.
	_ "buf.build/gen/go/bufbuild/registry/protocolbuffers/go/buf/registry/audit/v1"
	_ "buf.build/gen/go/bufbuild/registry/protocolbuffers/go/buf/registry/module/v1"
	_ "buf.build/gen/go/bufbuild/registry/protocolbuffers/go/buf/registry/owner/v1"
	_ "buf.build/gen/go/bufbuild/registry/protocolbuffers/go/buf/registry/plugin/v1beta1"
	_ "buf.build/gen/go/bufbuild/registry/protocolbuffers/go/buf/registry/policy/v1beta1"
	_ "github.com/cloudevents/sdk-go/binding/format/protobuf/v2/pb"

	// Envoy's logs, taps and configuration, and what they import.
	_ "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/data/cluster/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/data/dns/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/data/tap/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/oauth2/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ratelimit/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/service/status/v3"
	_ "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	_ "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	_ "go.opentelemetry.io/proto/otlp/collector/trace/v1"
)

// A source is where schemas come from.
type source struct {
	name string
	// packages are the prefixes of the packages of generated code that is linked
	// into this test. Their files are taken with all that they import.
	packages []string
	// trees are directories of Go modules that hold .proto files.
	trees []tree
	// messages is the least number of messages that it has to have, so that none
	// can get lost unnoticed.
	messages int
	// ruled says that some have rules of protovalidate.
	ruled bool
}

var sources = []source{
	{name: "OpenTelemetry", packages: []string{"opentelemetry."}, messages: 30},
	{name: "CloudEvents", packages: []string{"io.cloudevents."}, messages: 2},
	{name: "Envoy", packages: []string{"envoy.", "xds.", "udpa."}, messages: 400},
	{name: "Buf registry", packages: []string{"buf.registry."}, messages: 200, ruled: true},
	{name: "Kubernetes", messages: 400, trees: []tree{
		// proto2, maps, recursive schemas.
		{module: "k8s.io/api", version: "v0.34.2", sum: "h1:fsSUNZhV+bnL6Aqrp6O7lMTy6o5x2C4XLjnh//8SLYY=", prefix: "k8s.io/api", files: "*"},
		{module: "k8s.io/apimachinery", version: "v0.34.2", sum: "h1:zQ12Uk3eMHPxrsbUJgNF8bTauTVR2WgqJsTmwTE/NW4=", prefix: "k8s.io/apimachinery", files: "*"},
		{module: "k8s.io/apiextensions-apiserver", version: "v0.34.2", sum: "h1:WStKftnGeoKP4AZRz/BaAAEJvYp4mlZGN0UCv+uvsqo=", prefix: "k8s.io/apiextensions-apiserver", files: "*"},
	}},
	{name: "Protobuf's tests", messages: 40, trees: []tree{
		// Required fields, groups, extensions, defaults, editions.
		protobufTests("enums"), protobufTests("test", "test_option.proto", "test_nopackage.proto"),
		protobufTests("test3"), protobufTests("testeditions"), protobufTests("required"),
		protobufTests("textpb3"),
	}},
}

func protobufTests(dir string, without ...string) tree {
	return tree{
		module: "google.golang.org/protobuf", version: "v1.36.12", sum: "h1:pJOKDDOyeXErUroCihFAd5LQuwXBSpVnKGrj5o/fwxc=",
		files: "internal/testprotos/" + dir, without: without,
	}
}

// schemas are the schemas of a source, as a server gets them.
type schemas struct {
	image    []byte
	files    *protoregistry.Files
	messages []protoreflect.MessageDescriptor // Those at the top of a file, by name.
	// extensions are the numbers of the extensions that each message has.
	extensions map[protoreflect.FullName][]protoreflect.FieldNumber
}

// load fetches the schemas of a source.
func (s source) load(t *testing.T) *schemas {
	t.Helper()
	set := new(descriptorpb.FileDescriptorSet)
	seen := make(map[string]bool)
	var add func(file protoreflect.FileDescriptor)
	add = func(file protoreflect.FileDescriptor) {
		if seen[file.Path()] {
			return
		}
		seen[file.Path()] = true
		for i := range file.Imports().Len() {
			add(file.Imports().Get(i))
		}
		set.File = append(set.File, protodesc.ToFileDescriptorProto(file))
	}
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if slices.ContainsFunc(s.packages, func(prefix string) bool { return strings.HasPrefix(string(file.Package()), prefix) }) {
			add(file)
		}
		return true
	})
	for _, file := range compile(t, s.trees) {
		add(file)
	}
	image, err := proto.MarshalOptions{Deterministic: true}.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return newSchemas(t, image)
}

// newSchemas takes the descriptors from the encoding, as the server does, so that
// nothing depends on how they were made.
func newSchemas(t *testing.T, image []byte) *schemas {
	t.Helper()
	set := new(descriptorpb.FileDescriptorSet)
	if err := proto.Unmarshal(image, set); err != nil {
		t.Fatal(err)
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		t.Fatal(err)
	}
	result := &schemas{image: image, files: files, extensions: make(map[protoreflect.FullName][]protoreflect.FieldNumber)}
	files.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		result.extend(file.Extensions())
		for i := range file.Messages().Len() {
			if !describes(file.Package()) {
				result.messages = append(result.messages, file.Messages().Get(i))
			}
			result.extend(file.Messages().Get(i).Extensions())
		}
		return true
	})
	// Files come in a random order.
	for _, numbers := range result.extensions {
		slices.Sort(numbers)
	}
	slices.SortFunc(result.messages, func(a, b protoreflect.MessageDescriptor) int {
		return strings.Compare(string(a.FullName()), string(b.FullName()))
	})
	return result
}

func (s *schemas) extend(extensions protoreflect.ExtensionDescriptors) {
	for i := range extensions.Len() {
		extended := extensions.Get(i).ContainingMessage().FullName()
		s.extensions[extended] = append(s.extensions[extended], extensions.Get(i).Number())
	}
}

// describes reports whether a package only describes schemas: the server takes its
// messages as parts of others only.
func describes(name protoreflect.FullName) bool {
	return name == "buf.validate" || name == "google.protobuf" || strings.HasPrefix(string(name), "google.protobuf.")
}
