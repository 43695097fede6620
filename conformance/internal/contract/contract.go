// Package contract knows the contract from its descriptors: its RPCs, the frames
// of its streams, its error reasons, and what servers may differ in.
package contract

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	// The contract itself.
	_ "example.com/tidings/gen/go/tidings/v1"
	_ "example.com/tidings/gen/go/tidings/v1beta1"
)

// RPCs returns the RPCs of the contract, ordered by name: those of every service
// of a package under tidings.
var RPCs = sync.OnceValue(func() []protoreflect.MethodDescriptor {
	var list []protoreflect.MethodDescriptor
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if !strings.HasPrefix(string(file.Package())+".", "tidings.") {
			return true
		}
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				list = append(list, methods.Get(j))
			}
		}
		return true
	})
	slices.SortFunc(list, func(a, b protoreflect.MethodDescriptor) int { return strings.Compare(Name(a), Name(b)) })
	return list
})

// byName are the RPCs by their names, with the service and without.
var byName = sync.OnceValue(func() map[string][]protoreflect.MethodDescriptor {
	names := make(map[string][]protoreflect.MethodDescriptor)
	for _, rpc := range RPCs() {
		for _, name := range []string{Name(rpc), string(rpc.Name())} {
			names[name] = append(names[name], rpc)
		}
	}
	return names
})

// Name is the name of an RPC: `tidings.v1.TopicService/GetTopic`.
func Name(rpc protoreflect.MethodDescriptor) string {
	return string(rpc.Parent().FullName()) + "/" + string(rpc.Name())
}

// Find returns the RPC of a name, which may leave out the service where no other
// service has an RPC of this name.
func Find(name string) (protoreflect.MethodDescriptor, error) {
	switch found := byName()[name]; len(found) {
	case 0:
		return nil, fmt.Errorf("the contract has no RPC %q", name)
	case 1:
		return found[0], nil
	default:
		return nil, fmt.Errorf("several services have an RPC %q: say which, as in %q", name, Name(found[0]))
	}
}

// NoSideEffects reports whether an RPC may be called with HTTP GET.
func NoSideEffects(rpc protoreflect.MethodDescriptor) bool {
	options, ok := rpc.Options().(*descriptorpb.MethodOptions)
	return ok && !rpc.IsStreamingClient() && !rpc.IsStreamingServer() &&
		options.GetIdempotencyLevel() == descriptorpb.MethodOptions_NO_SIDE_EFFECTS
}

// FullDuplex reports whether both sides of an RPC are streams.
func FullDuplex(rpc protoreflect.MethodDescriptor) bool {
	return rpc.IsStreamingClient() && rpc.IsStreamingServer()
}

// Frames returns the kinds of frames that a streaming RPC can send, by the names
// of their fields in JSON, in the order of the schema.
func Frames(rpc protoreflect.MethodDescriptor) []string {
	var list []string
	fields := rpc.Output().Fields()
	for i := range fields.Len() {
		if field := fields.Get(i); rpc.IsStreamingServer() && field.ContainingOneof() != nil {
			list = append(list, field.JSONName())
		}
	}
	return list
}

// batches are the frames that hold a run of things. Nobody may count on how a
// server cuts them, so the suite takes each thing as a frame of its own.
var batches = map[protoreflect.FullName]string{
	"tidings.v1.EventBatch":    "events",
	"tidings.v1.DeliveryBatch": "deliveries",
}

// BatchOf returns the field of a kind of frame that holds the things that come
// one by one, or nothing.
func BatchOf(rpc protoreflect.MethodDescriptor, frame string) string {
	field := rpc.Output().Fields().ByJSONName(frame)
	if field == nil || field.Message() == nil || !rpc.IsStreamingServer() {
		return ""
	}
	return batches[field.Message().FullName()]
}
