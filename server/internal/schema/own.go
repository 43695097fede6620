package schema

import (
	"sync"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
)

// own are the server's own files, which every set has: what the schemas of events
// import of protobuf, of protovalidate and of Tidings. They declare no events.
var own = sync.OnceValue(func() *Image {
	image := newImage(0)
	var add func(file protoreflect.FileDescriptor)
	add = func(file protoreflect.FileDescriptor) {
		if image.Has(file.Path()) {
			return
		}
		for i := range file.Imports().Len() {
			add(file.Imports().Get(i).FileDescriptor)
		}
		image.add(protodesc.ToFileDescriptorProto(file))
	}
	for _, file := range []protoreflect.FileDescriptor{
		anypb.File_google_protobuf_any_proto,
		durationpb.File_google_protobuf_duration_proto,
		emptypb.File_google_protobuf_empty_proto,
		fieldmaskpb.File_google_protobuf_field_mask_proto,
		structpb.File_google_protobuf_struct_proto,
		timestamppb.File_google_protobuf_timestamp_proto,
		wrapperspb.File_google_protobuf_wrappers_proto,
		validate.File_buf_validate_validate_proto,
		optionsv1.File_tidings_options_v1_options_proto,
	} {
		add(file)
	}
	return image
})
