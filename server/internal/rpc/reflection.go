package rpc

import (
	"net/http"

	"connectrpc.com/connect"
	"connectrpc.com/grpcreflect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/reflection"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"example.com/tidings/server/internal/schema"
)

// handleReflection serves both versions of reflection over HTTP.
func handleReflection(mux *http.ServeMux, cfg Config, options connect.HandlerOption) {
	names := append([]string{healthService, grpcreflect.ReflectV1ServiceName, grpcreflect.ReflectV1AlphaServiceName}, serviceNames...)
	files := descriptors{cfg.Service.Types}
	reflector := grpcreflect.NewReflector(
		grpcreflect.NamerFunc(func() []string { return names }),
		grpcreflect.WithDescriptorResolver(files),
		grpcreflect.WithExtensionResolver(files))
	mux.Handle(grpcreflect.NewHandlerV1(reflector, options))
	mux.Handle(grpcreflect.NewHandlerV1Alpha(reflector, options))
}

// registerReflection serves both versions of reflection over native gRPC.
func registerReflection(server *grpc.Server, cfg Config) {
	files := descriptors{cfg.Service.Types}
	options := reflection.ServerOptions{Services: server, DescriptorResolver: files, ExtensionResolver: files}
	reflectionv1.RegisterServerReflectionServer(server, reflection.NewServerV1(options))
	reflectionv1alpha.RegisterServerReflectionServer(server, reflection.NewServer(options))
}

// descriptors finds the descriptors of the contract and of the payloads that are
// in force, so that a client that asks by reflection can read and write both.
type descriptors struct{ types func() *schema.Set }

func (d descriptors) FindFileByPath(path string) (protoreflect.FileDescriptor, error) {
	if file, err := protoregistry.GlobalFiles.FindFileByPath(path); err == nil {
		return file, nil
	}
	return d.types().Files().FindFileByPath(path)
}

func (d descriptors) FindDescriptorByName(name protoreflect.FullName) (protoreflect.Descriptor, error) {
	if descriptor, err := protoregistry.GlobalFiles.FindDescriptorByName(name); err == nil {
		return descriptor, nil
	}
	return d.types().Files().FindDescriptorByName(name)
}

func (d descriptors) FindExtensionByName(name protoreflect.FullName) (protoreflect.ExtensionType, error) {
	if extension, err := protoregistry.GlobalTypes.FindExtensionByName(name); err == nil {
		return extension, nil
	}
	return d.types().Extensions().FindExtensionByName(name)
}

func (d descriptors) FindExtensionByNumber(message protoreflect.FullName, number protoreflect.FieldNumber) (protoreflect.ExtensionType, error) {
	if extension, err := protoregistry.GlobalTypes.FindExtensionByNumber(message, number); err == nil {
		return extension, nil
	}
	return d.types().Extensions().FindExtensionByNumber(message, number)
}

func (d descriptors) RangeExtensionsByMessage(message protoreflect.FullName, yield func(protoreflect.ExtensionType) bool) {
	goesOn := true
	protoregistry.GlobalTypes.RangeExtensionsByMessage(message, func(extension protoreflect.ExtensionType) bool {
		goesOn = yield(extension)
		return goesOn
	})
	if !goesOn {
		return
	}
	d.types().Extensions().RangeExtensionsByMessage(message, func(extension protoreflect.ExtensionType) bool {
		// One that is compiled in as well was given already.
		_, err := protoregistry.GlobalTypes.FindExtensionByNumber(message, extension.TypeDescriptor().Number())
		return err == nil || yield(extension)
	})
}
