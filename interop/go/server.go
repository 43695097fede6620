package main

import (
	"context"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// server is what the scenario calls, whatever the transport. A program of its own
// would use the generated clients themselves.
type server interface {
	CreateTopic(ctx context.Context, request *tidingsv1.CreateTopicRequest) (*tidingsv1.CreateTopicResponse, error)
	GetTopic(ctx context.Context, request *tidingsv1.GetTopicRequest) (*tidingsv1.GetTopicResponse, error)
	Publish(ctx context.Context, request *tidingsv1.PublishRequest) (*tidingsv1.PublishResponse, error)
	CreateSubscription(ctx context.Context, request *tidingsv1.CreateSubscriptionRequest) (*tidingsv1.CreateSubscriptionResponse, error)

	// read calls Read and hands over its frames until one is refused with false.
	// Its error is that of the call, and nil where the server ended it in order.
	read(ctx context.Context, request *tidingsv1.ReadRequest, take func(*tidingsv1.ReadResponse) bool) error

	// consume settles deliveries of a subscription as decide says, and returns
	// the results once there are as many as asked for.
	consume(ctx context.Context, subscription string, count int, decide func(*tidingsv1.Delivery) *tidingsv1.Settlement) ([]*tidingsv1.SettlementResult, error)

	// publishOne publishes one event over a connection of its own.
	publishOne(ctx context.Context, topic, id string, value proto.Message) error

	// refusal takes the error of a call apart.
	refusal(err error) (code codes.Code, details []any)
}

// connectTo returns the server over one of the transports.
func connectTo(transport, address, url string) (s server, closeServer func(), err error) {
	switch transport {
	case "grpc":
		return dialGRPC(address)
	case "connect", "connect-json", "grpc-web":
		return newConnectServer(transport, url), func() {}, nil
	default:
		return nil, nil, fmt.Errorf("TIDINGS_TRANSPORT is %q, want grpc, connect, connect-json or grpc-web", transport)
	}
}

// settleAll decides on each delivery.
func settleAll(deliveries []*tidingsv1.Delivery, decide func(*tidingsv1.Delivery) *tidingsv1.Settlement) []*tidingsv1.Settlement {
	settlements := make([]*tidingsv1.Settlement, 0, len(deliveries))
	for _, delivery := range deliveries {
		settlements = append(settlements, decide(delivery))
	}
	return settlements
}

// settleStream is consume over a stream of Consume, which is the same with both
// libraries but for the names of its methods.
func settleStream(
	subscription string, count int, decide func(*tidingsv1.Delivery) *tidingsv1.Settlement,
	send func(*tidingsv1.ConsumeRequest) error, receive func() (*tidingsv1.ConsumeResponse, error),
) ([]*tidingsv1.SettlementResult, error) {
	request := &tidingsv1.ConsumeRequest{Request: &tidingsv1.ConsumeRequest_Open{Open: &tidingsv1.ConsumeOpen{Subscription: subscription}}}
	if err := send(request); err != nil {
		return nil, err
	}
	var results []*tidingsv1.SettlementResult
	for len(results) < count {
		frame, err := receive()
		if err != nil {
			return nil, err
		}
		results = append(results, frame.GetSettled().GetResults()...)
		if deliveries := frame.GetDeliveries().GetDeliveries(); len(deliveries) > 0 {
			batch := &tidingsv1.SettlementBatch{Settlements: settleAll(deliveries, decide)}
			if err := send(&tidingsv1.ConsumeRequest{Request: &tidingsv1.ConsumeRequest_Settle{Settle: batch}}); err != nil {
				return nil, err
			}
		}
	}
	return results, nil
}
