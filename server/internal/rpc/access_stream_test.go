package rpc_test

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"connectrpc.com/connect"

	"example.com/tidings/gen/go/tidings/v1/tidingsv1connect"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// openStream is a stream that has begun: the next receive waits.
type openStream struct {
	name string
	next func() error
}

// TestStreamsEndWithTheRights takes the rights of a caller away while each kind of
// stream is open and idle.
func TestStreamsEndWithTheRights(t *testing.T) {
	t.Parallel()
	for what, test := range map[string]struct {
		change func(access string) string
		want   codes.Code
	}{
		"the grant is gone": {func(access string) string { return strings.ReplaceAll(access, "'key:admin'", "'key:other'") }, codes.PermissionDenied},
		"no keys are taken": {func(access string) string { return strings.Replace(access, "api_keys: keys.yaml\n", "", 1) }, codes.Unauthenticated},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			a := newAccessPlace(t)
			streams := append(a.openNative(), a.openConnect()...)
			access, err := os.ReadFile(a.path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(a.path, []byte(test.change(string(access))), 0o600); err != nil {
				t.Fatal(err)
			}
			changed := time.Now()
			for _, stream := range streams {
				err := stream.next()
				if err == nil || errors.Is(err, io.EOF) {
					t.Errorf("%s: %v", stream.name, err)
					continue
				}
				code := status.Code(err)
				if failed, ok := errors.AsType[*connect.Error](err); ok {
					code = codes.Code(failed.Code())
				}
				if code != test.want {
					t.Errorf("%s: %v, want %s", stream.name, err, test.want)
				}
			}
			t.Logf("the last of %d streams ended after %s", len(streams), time.Since(changed))
		})
	}
}

func (a *accessPlace) check(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

// context is that of an admin.
func (a *accessPlace) context() context.Context {
	ctx, cancel := context.WithTimeout(a.t.Context(), time.Minute)
	a.t.Cleanup(cancel)
	return metadata.AppendToOutgoingContext(ctx, "authorization", a.roles["admin"])
}

func (a *accessPlace) openNative() []openStream {
	a.t.Helper()
	ctx := a.context()
	_, err := tidingsv1.NewSubscriptionServiceClient(a.conn).CreateSubscription(ctx, &tidingsv1.CreateSubscriptionRequest{
		Subscription: &tidingsv1.Subscription{Name: "billing", Topic: "orders"},
	})
	a.check(err)
	read, err := tidingsv1.NewReaderServiceClient(a.conn).Read(ctx, &tidingsv1.ReadRequest{Topic: "orders"})
	a.check(err)
	_, err = read.Recv() // Caught up.
	a.check(err)
	consumer := tidingsv1.NewConsumerServiceClient(a.conn)
	consume, err := consumer.Consume(ctx)
	a.check(err)
	a.check(consume.Send(&tidingsv1.ConsumeRequest{Request: &tidingsv1.ConsumeRequest_Open{Open: &tidingsv1.ConsumeOpen{Subscription: "billing"}}}))
	_, err = consume.Recv()
	a.check(err)
	receive, err := consumer.Receive(ctx, &tidingsv1.ReceiveRequest{Subscription: "billing"})
	a.check(err)
	_, err = receive.Recv()
	a.check(err)
	publish, err := tidingsv1.NewPublisherServiceClient(a.conn).PublishStream(ctx)
	a.check(err)
	a.check(publish.Send(&tidingsv1.PublishStreamRequest{Publish: &tidingsv1.PublishRequest{Topic: "orders", Events: []*tidingsv1.Event{{Id: "1"}}}}))
	_, err = publish.Recv() // Refused by its rules.
	a.check(err)
	return []openStream{
		{"Read over native gRPC", func() error { _, err := read.Recv(); return err }},
		{"Consume over native gRPC", func() error { _, err := consume.Recv(); return err }},
		{"Receive over native gRPC", func() error { _, err := receive.Recv(); return err }},
		{"PublishStream over native gRPC", func() error { _, err := publish.Recv(); return err }},
	}
}

func (a *accessPlace) openConnect() []openStream {
	a.t.Helper()
	ctx := a.context()
	url, options := "http://"+a.server.httpAddr, connect.WithInterceptors(withHeader{a.roles["admin"]})
	read, err := tidingsv1connect.NewReaderServiceClient(a.client, url, options).Read(ctx, &tidingsv1.ReadRequest{Topic: "orders"})
	a.check(err)
	if !read.Receive() {
		a.t.Fatal(read.Err())
	}
	consume, err := tidingsv1connect.NewConsumerServiceClient(a.client, url, options).Consume(ctx)
	a.check(err)
	a.check(consume.Send(&tidingsv1.ConsumeRequest{Request: &tidingsv1.ConsumeRequest_Open{Open: &tidingsv1.ConsumeOpen{Subscription: "billing"}}}))
	_, err = consume.Receive()
	a.check(err)
	publish, err := tidingsv1connect.NewPublisherServiceClient(a.client, url, options).PublishStream(ctx)
	a.check(err)
	a.check(publish.Send(&tidingsv1.PublishStreamRequest{Publish: &tidingsv1.PublishRequest{Topic: "orders", Events: []*tidingsv1.Event{{Id: "1"}}}}))
	_, err = publish.Receive()
	a.check(err)
	return []openStream{
		{"Read over Connect", func() error { read.Receive(); return read.Err() }},
		{"Consume over Connect", func() error { _, err := consume.Receive(); return err }},
		{"PublishStream over Connect", func() error { _, err := publish.Receive(); return err }},
	}
}
