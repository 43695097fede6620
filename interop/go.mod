module example.com/tidings/interop

go 1.26.0

require (
	connectrpc.com/connect v1.21.1
	example.com/tidings v0.0.0
	example.com/tidings/conformance v0.0.0
	go.yaml.in/yaml/v3 v3.0.5
	google.golang.org/genproto/googleapis/rpc v0.0.0-20261026165753-2ffab32bce7e
	google.golang.org/grpc v1.85.0
	google.golang.org/protobuf v1.36.12
)

require (
	buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go v1.36.12-20260825204119-511051f7f437.1 // indirect
	golang.org/x/net v0.60.0 // indirect
	golang.org/x/sys v0.48.0 // indirect
	golang.org/x/text v0.42.0 // indirect
)

replace (
	example.com/tidings => ../
	example.com/tidings/conformance => ../conformance
)

// What clients in other languages build or fetch isn't Go of this module.
ignore (
	build
	node_modules
	target
)
