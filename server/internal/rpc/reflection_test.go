package rpc_test

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"example.com/tidings/server/internal/schema/schematest"
)

// reflector asks by reflection. Both versions have the same encoding.
type reflector struct {
	t      *testing.T
	stream grpc.ClientStream
}

// overReflection tests a behaviour over both ports and both versions.
func overReflection(behaviour func(*testing.T, reflector)) func(*testing.T) {
	return func(t *testing.T) {
		t.Parallel()
		for port, addr := range map[string]string{"native": shared.grpcAddr, "http": shared.httpAddr} {
			for _, version := range []string{"v1", "v1alpha"} {
				t.Run(port+"-"+version, func(t *testing.T) {
					t.Parallel()
					stream, err := dialGRPC(t, addr).NewStream(testContext(t), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true},
						"/grpc.reflection."+version+".ServerReflection/ServerReflectionInfo")
					if err != nil {
						t.Fatal(err)
					}
					behaviour(t, reflector{t, stream})
				})
			}
		}
	}
}

func (r reflector) ask(request *grpc_reflection_v1.ServerReflectionRequest) *grpc_reflection_v1.ServerReflectionResponse {
	r.t.Helper()
	if err := r.stream.SendMsg(request); err != nil {
		r.t.Fatal(err)
	}
	response := new(grpc_reflection_v1.ServerReflectionResponse)
	if err := r.stream.RecvMsg(response); err != nil {
		r.t.Fatal(err)
	}
	return response
}

func (r reflector) symbol(name string) *grpc_reflection_v1.ServerReflectionResponse {
	r.t.Helper()
	return r.ask(&grpc_reflection_v1.ServerReflectionRequest{
		MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: name},
	})
}

func (r reflector) extensionNumbers(message string) []int32 {
	r.t.Helper()
	return r.ask(&grpc_reflection_v1.ServerReflectionRequest{
		MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_AllExtensionNumbersOfType{AllExtensionNumbersOfType: message},
	}).GetAllExtensionNumbersResponse().GetExtensionNumber()
}

func (r reflector) extension(message string, number int32) *grpc_reflection_v1.ServerReflectionResponse {
	r.t.Helper()
	return r.ask(&grpc_reflection_v1.ServerReflectionRequest{
		MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_FileContainingExtension{
			FileContainingExtension: &grpc_reflection_v1.ExtensionRequest{ContainingType: message, ExtensionNumber: number},
		},
	})
}

// wantFile fails the test unless a file is among those of an answer.
func (r reflector) wantFile(response *grpc_reflection_v1.ServerReflectionResponse, want string) {
	r.t.Helper()
	var names []string
	for _, encoded := range response.GetFileDescriptorResponse().GetFileDescriptorProto() {
		file := new(descriptorpb.FileDescriptorProto)
		if err := proto.Unmarshal(encoded, file); err != nil {
			r.t.Fatal(err)
		}
		names = append(names, file.GetName())
	}
	if !slices.Contains(names, want) {
		r.t.Errorf("%v has %q, want %s", response.GetOriginalRequest(), names, want)
	}
}

func (r reflector) wantNotFound(response *grpc_reflection_v1.ServerReflectionResponse) {
	r.t.Helper()
	if codes.Code(response.GetErrorResponse().GetErrorCode()) != codes.NotFound {
		r.t.Errorf("%v is found: %v", response.GetOriginalRequest(), response)
	}
}

func TestReflection(t *testing.T) {
	overReflection(func(t *testing.T, r reflector) {
		var services []string
		for _, service := range r.ask(&grpc_reflection_v1.ServerReflectionRequest{
			MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{},
		}).GetListServicesResponse().GetService() {
			services = append(services, service.GetName())
		}
		slices.Sort(services)
		want := []string{
			"grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection",
			"tidings.v1.ConsumerService", "tidings.v1.DeadLetterService", "tidings.v1.PublisherService", "tidings.v1.ReaderService",
			"tidings.v1.SchemaService", "tidings.v1.ServerService", "tidings.v1.SubscriptionService", "tidings.v1.TopicService",
			"tidings.v1beta1.SchemaService",
		}
		if !slices.Equal(services, want) {
			t.Errorf("the services are %q, want %q", services, want)
		}
		r.wantFile(r.symbol("tidings.v1.PublisherService"), "tidings/v1/publisher_service.proto")
		r.wantFile(r.symbol("grpc.reflection.v1alpha.ServerReflection"), "grpc/reflection/v1alpha/reflection.proto")
		r.wantFile(r.symbol(orderPlaced), "shop/orders/v1/events.proto")
		r.wantFile(r.symbol("github.webhooks.v1.PushEvent"), "github/webhooks/v1/push_event.proto") // In the set only.
		r.wantNotFound(r.symbol("a.B"))
	})(t)
}

// extendable is a file with a message that may be extended, and with extensions
// of it: in the file, and in a message.
func extendable(pkg, topic string) *descriptorpb.FileDescriptorProto {
	file := schematest.Event(pkg, topic, "text string")
	file.Syntax = new("proto2")
	noted := file.GetMessageType()[0]
	noted.ExtensionRange = []*descriptorpb.DescriptorProto_ExtensionRange{{Start: new(int32(100)), End: new(int32(536870912))}}
	extension := func(name string, number int32) *descriptorpb.FieldDescriptorProto {
		return &descriptorpb.FieldDescriptorProto{
			Name: &name, Number: &number, Extendee: new("." + pkg + ".Noted"),
			Type:  descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum(),
			Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
		}
	}
	file.Extension = append(file.Extension, extension("first", 100), extension("last", 536870911))
	noted.NestedType = append(noted.NestedType, &descriptorpb.DescriptorProto{
		Name: new("Scope"), Extension: []*descriptorpb.FieldDescriptorProto{extension("nested", 102)},
	})
	return file
}

func TestReflectionOfExtensions(t *testing.T) {
	overReflection(func(t *testing.T, r reflector) {
		// Those that the contract declares.
		if got := r.extensionNumbers("google.protobuf.MessageOptions"); len(got) < 2 {
			t.Errorf("google.protobuf.MessageOptions has the extensions %v", got)
		}

		// The stream was open before the schema came.
		pkg, topic := newPackage()
		message, file := pkg+".Noted", "things/"+pkg+".proto"
		r.wantNotFound(r.symbol(message))
		register(t, newGRPCClient(dialGRPC(t, shared.grpcAddr)), extendable(pkg, topic))
		got := r.extensionNumbers(message)
		slices.Sort(got)
		if want := []int32{100, 102, 536870911}; !slices.Equal(got, want) {
			t.Errorf("the extensions are %v, want %v", got, want)
		}
		for _, number := range []int32{100, 102, 536870911} {
			r.wantFile(r.extension(message, number), file)
		}
		r.wantFile(r.symbol(pkg+".first"), file)
		r.wantFile(r.symbol(pkg+".Noted.Scope.nested"), file)
		r.wantNotFound(r.extension(message, 101))
		r.wantNotFound(r.extension(strings.Repeat("a", 1000), 1))
	})(t)
}
