package rpc_test

import (
	"context"
	"io"

	"connectrpc.com/connect"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// consumeStream is a Consume call. Send and Recv may be called at the same time.
type consumeStream interface {
	Send(*tidingsv1.ConsumeRequest) error
	CloseSend() error
	// Recv returns io.EOF when the call has ended without an error.
	Recv() (*tidingsv1.ConsumeResponse, error)
}

// receiveStream is a Receive call.
type receiveStream interface {
	// Recv returns io.EOF when the call has ended without an error.
	Recv() (*tidingsv1.ReceiveResponse, error)
}

func (c *grpcClient) CreateSubscription(ctx context.Context, r *tidingsv1.CreateSubscriptionRequest) (*tidingsv1.CreateSubscriptionResponse, error) {
	return c.subscriptions.CreateSubscription(ctx, r)
}

func (c *grpcClient) GetSubscription(ctx context.Context, r *tidingsv1.GetSubscriptionRequest) (*tidingsv1.GetSubscriptionResponse, error) {
	return c.subscriptions.GetSubscription(ctx, r)
}

func (c *grpcClient) ListSubscriptions(ctx context.Context, r *tidingsv1.ListSubscriptionsRequest) (*tidingsv1.ListSubscriptionsResponse, error) {
	return c.subscriptions.ListSubscriptions(ctx, r)
}

func (c *grpcClient) UpdateSubscription(ctx context.Context, r *tidingsv1.UpdateSubscriptionRequest) (*tidingsv1.UpdateSubscriptionResponse, error) {
	return c.subscriptions.UpdateSubscription(ctx, r)
}

func (c *grpcClient) DeleteSubscription(ctx context.Context, r *tidingsv1.DeleteSubscriptionRequest) (*tidingsv1.DeleteSubscriptionResponse, error) {
	return c.subscriptions.DeleteSubscription(ctx, r)
}

func (c *grpcClient) SeekSubscription(ctx context.Context, r *tidingsv1.SeekSubscriptionRequest) (*tidingsv1.SeekSubscriptionResponse, error) {
	return c.subscriptions.SeekSubscription(ctx, r)
}

func (c *grpcClient) Pull(ctx context.Context, r *tidingsv1.PullRequest) (*tidingsv1.PullResponse, error) {
	return c.consumer.Pull(ctx, r)
}

func (c *grpcClient) Settle(ctx context.Context, r *tidingsv1.SettleRequest) (*tidingsv1.SettleResponse, error) {
	return c.consumer.Settle(ctx, r)
}

func (c *grpcClient) ListDeadLetters(ctx context.Context, r *tidingsv1.ListDeadLettersRequest) (*tidingsv1.ListDeadLettersResponse, error) {
	return c.letters.ListDeadLetters(ctx, r)
}

func (c *grpcClient) RedriveDeadLetters(ctx context.Context, r *tidingsv1.RedriveDeadLettersRequest) (*tidingsv1.RedriveDeadLettersResponse, error) {
	return c.letters.RedriveDeadLetters(ctx, r)
}

func (c *grpcClient) PurgeDeadLetters(ctx context.Context, r *tidingsv1.PurgeDeadLettersRequest) (*tidingsv1.PurgeDeadLettersResponse, error) {
	return c.letters.PurgeDeadLetters(ctx, r)
}

func (c *grpcClient) consume(ctx context.Context) (consumeStream, error) {
	return c.consumer.Consume(ctx)
}

func (c *grpcClient) receive(ctx context.Context, r *tidingsv1.ReceiveRequest) (receiveStream, error) {
	return c.consumer.Receive(ctx, r)
}

func (c *connectClient) consume(ctx context.Context) (consumeStream, error) {
	stream, err := c.Consume(ctx)
	if err != nil {
		return nil, err
	}
	return connectConsumeStream{stream}, nil
}

type connectConsumeStream struct {
	*connect.BidiStreamForClientSimple[tidingsv1.ConsumeRequest, tidingsv1.ConsumeResponse]
}

func (s connectConsumeStream) CloseSend() error { return s.CloseRequest() }

func (s connectConsumeStream) Recv() (*tidingsv1.ConsumeResponse, error) {
	return endOf(s.Receive())
}

func (c *connectClient) receive(ctx context.Context, r *tidingsv1.ReceiveRequest) (receiveStream, error) {
	stream, err := c.Receive(ctx, r)
	if err != nil {
		return nil, err
	}
	return connectReceiveStream{stream}, nil
}

type connectReceiveStream struct {
	*connect.ServerStreamForClient[tidingsv1.ReceiveResponse]
}

func (s connectReceiveStream) Recv() (*tidingsv1.ReceiveResponse, error) {
	if s.Receive() {
		return s.Msg(), nil
	}
	if err := s.Err(); err != nil {
		return nil, err
	}
	return nil, io.EOF
}
