module example.com/tidings/examples/events

go 1.26.0

replace example.com/tidings => ../..

require (
	buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go v1.36.11-20260415201107-50325440f8f2.1
	example.com/tidings v0.0.0
	google.golang.org/protobuf v1.36.12
)
