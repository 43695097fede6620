package rpc_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/tidings/server/internal/schema/schematest"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	tidingsv1beta1 "example.com/tidings/gen/go/tidings/v1beta1"
)

// noted is an event of the type that schematest makes, with a text.
func noted(pkg, id, text string) *tidingsv1.Event {
	return &tidingsv1.Event{Id: id, Source: "/test", Data: &anypb.Any{
		TypeUrl: "type.googleapis.com/" + pkg + ".Noted", Value: append([]byte{0x0a, byte(len(text))}, text...),
	}}
}

// The filter of a subscription that is being delivered takes events of types
// that come later.
func TestSubscriptionOfNewTypes(t *testing.T) {
	some(func(t *testing.T, c client) {
		first, topic := newPackage()
		register(t, c, schematest.Event(first, topic, "text string"))
		s := newSubscription(t, c, topic, filtered(&tidingsv1.EventFilter{Cel: `data.text == "yes"`}))
		deleteAtEnd(t, c, topic, s)
		publish := func(pkg, id, text string) {
			t.Helper()
			if _, err := c.Publish(testContext(t), &tidingsv1.PublishRequest{Topic: topic, Events: []*tidingsv1.Event{noted(pkg, id, text)}}); err != nil {
				t.Fatal(err)
			}
		}
		publish(first, "old-no", "no")
		publish(first, "old-yes", "yes")
		delivered := pull(t, c, s, 1)[0].GetRecorded()
		if delivered.GetEvent().GetId() != "old-yes" || len(delivered.GetSchemaRevision()) != 16 {
			t.Errorf("delivered: %v", delivered)
		}

		second, _ := newPackage()
		register(t, c, schematest.Event(second, topic, "text string"))
		// Who delivers is told of it within moments.
		for i, ctx := 0, testContext(t); ; i++ {
			publish(second, fmt.Sprint("new-", i), "yes")
			response, err := c.Pull(ctx, &tidingsv1.PullRequest{Subscription: s, MaxEvents: 1, MaxWait: durationpb.New(100 * time.Millisecond)})
			if err != nil {
				t.Fatal(err)
			}
			for _, delivery := range response.GetDeliveries() {
				if id := delivery.GetRecorded().GetEvent().GetId(); !strings.HasPrefix(id, "new-") {
					t.Fatalf("%s comes instead", id)
				}
				return
			}
		}
	}, opaquePayloads)(t)
}

func TestRegisterExpecting(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c := newGRPCClient(dialGRPC(t, s.grpcAddr))
	start := register(t, c, schematest.Event("a.v1", "a", "text string"))
	request := &tidingsv1beta1.RegisterSchemaRequest{
		Image: schematest.Image(schematest.Event("b.v1", "b", "text string")), ExpectedRevision: start.GetRevision(),
	}
	next, err := c.RegisterSchema(testContext(t), request)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.RegisterSchema(testContext(t), request)
	wantRefusal(t, err, because(codes.Aborted, "SCHEMA_REVISION_MISMATCH", "expected", start.GetRevision(), "actual", next.GetRevision()))
}

func TestRegisterWithoutBuf(t *testing.T) {
	t.Parallel()
	s, err := startWith(t.Context(), t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	for _, transport := range transports() {
		c := transport.dial(t, s)
		unavailable := because(codes.Unimplemented, "SCHEMA_CHECKS_UNAVAILABLE")
		image := schematest.Image(schematest.Event("a.v1", "a", "text string"))
		_, err := c.RegisterSchema(testContext(t), &tidingsv1beta1.RegisterSchemaRequest{Image: image})
		wantRefusal(t, err, unavailable)
		_, err = c.CheckCompatibility(testContext(t), &tidingsv1beta1.CheckCompatibilityRequest{Image: image})
		wantRefusal(t, err, unavailable)
	}
}
