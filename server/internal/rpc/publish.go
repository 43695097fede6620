package rpc

import (
	"context"
	"slices"

	"connectrpc.com/connect"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"example.com/tidings/gen/go/tidings/v1/tidingsv1connect"
	"example.com/tidings/server/internal/service"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// Publish, PublishStream and Import take their requests as they are encoded. The
// generated handlers decode a unary request, so Publish has handlers of its own.

// rawRequest receives a request as it is encoded in protobuf. What couldn't be
// decoded is in err, and a stream goes on.
type rawRequest struct {
	data []byte
	err  error
	// decoded is the message whose JSON it is. nil: a PublishRequest.
	decoded proto.Message
}

// publish is Publish with a request as it was received.
func publish(ctx context.Context, s *service.Service, request *rawRequest) (*tidingsv1.PublishResponse, error) {
	if request.err != nil {
		return nil, request.err
	}
	return s.PublishEncoded(ctx, request.data)
}

// grpcPublisherService describes the service to grpc-go, with the handler of Publish
// that doesn't decode its request.
func grpcPublisherService() *grpc.ServiceDesc {
	description := tidingsv1.PublisherService_ServiceDesc
	description.Methods = slices.Clone(description.Methods)
	for i := range description.Methods {
		if method := &description.Methods[i]; method.MethodName == "Publish" {
			method.Handler = grpcPublish
		}
	}
	return &description
}

// grpcPublish is the handler of Publish.
//
//nolint:revive // The order of the arguments is that of grpc-go.
func grpcPublish(srv any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
	request := new(rawRequest)
	if err := decode(request); err != nil {
		return nil, err
	}
	publisher := srv.(grpcPublisher) //nolint:forcetypeassert // It is what was registered.
	info := &grpc.UnaryServerInfo{Server: srv, FullMethod: tidingsv1.PublisherService_Publish_FullMethodName}
	return interceptor(ctx, request, info, func(ctx context.Context, _ any) (any, error) {
		return publish(ctx, publisher.Service, request)
	})
}

// connectPublish returns the path and the handler of Publish.
func connectPublish(s *service.Service, options connect.HandlerOption) (path string, handler *connect.Handler) {
	methods := tidingsv1.File_tidings_v1_publisher_service_proto.Services().ByName("PublisherService").Methods()
	return tidingsv1connect.PublisherServicePublishProcedure, connect.NewUnaryHandlerSimple(
		tidingsv1connect.PublisherServicePublishProcedure,
		func(ctx context.Context, request *rawRequest) (*tidingsv1.PublishResponse, error) {
			return publish(ctx, s, request)
		},
		connect.WithSchema(methods.ByName("Publish")), options,
	)
}

// receiver receives encoded requests of a stream from either transport.
type receiver struct {
	conn func(message any) error
	raw  rawRequest
}

func (r *receiver) Receive(into []byte) ([]byte, error) {
	// connect-go doesn't ask the codec about a message of 0 bytes.
	r.raw.data, r.raw.err = into[:0], nil
	if r.raw.decoded != nil {
		proto.Reset(r.raw.decoded)
	}
	if err := r.conn(&r.raw); err != nil {
		return nil, err
	}
	return r.raw.data, r.raw.err
}
