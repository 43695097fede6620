package rpc

import (
	"context"

	"google.golang.org/protobuf/proto"

	"example.com/tidings/server/internal/auth"
	"example.com/tidings/server/internal/quota"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// everybody is who is charged where nobody is asked for a credential.
const everybody = "everybody"

// meter charges a call, and returns its context with what charges the rest of it.
func meter(ctx context.Context, accounts *quota.Accounts, session *auth.Session) (context.Context, error) {
	if accounts == nil {
		return ctx, nil
	}
	m := accounts.Meter(func() (name string, limits quota.Limits) {
		if session == nil {
			return everybody, accounts.Default
		}
		name, limits, ok := session.Quota()
		if !ok {
			limits = accounts.Default
		}
		return name, limits
	})
	if err := m.Request(); err != nil {
		return nil, err
	}
	return quota.NewContext(ctx, m), nil
}

// mayDeliver refuses a request that is answered with events while those that were
// delivered before have used the caller's quota up.
func mayDeliver(ctx context.Context, request proto.Message) error {
	switch request.(type) {
	case *tidingsv1.PullRequest, *tidingsv1.GetEventRequest, *tidingsv1.ListDeadLettersRequest:
		return quota.FromContext(ctx).MayDeliver()
	}
	return nil
}

// delivered charges the events of a response.
func delivered(ctx context.Context, response any) {
	m := quota.FromContext(ctx)
	if m == nil {
		return
	}
	switch r := response.(type) {
	case *tidingsv1.PullResponse:
		m.Delivered(len(r.GetDeliveries()), proto.Size(r))
	case *tidingsv1.GetEventResponse:
		m.Delivered(1, proto.Size(r))
	case *tidingsv1.ListDeadLettersResponse:
		m.Delivered(len(r.GetDeadLetters()), proto.Size(r))
	}
}

// messageMeter charges the messages of a stream after the first, which the call was
// charged for. They are received one after the other.
type messageMeter struct{ received bool }

// await waits until the caller's quota allows what was received.
func (m *messageMeter) await(ctx context.Context) error {
	if !m.received {
		m.received = true
		return nil
	}
	return quota.FromContext(ctx).AwaitRequest(ctx)
}
