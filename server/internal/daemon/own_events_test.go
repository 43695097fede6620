package daemon_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"

	"example.com/tidings/server/internal/daemon"
	"example.com/tidings/server/internal/schema/schematest"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// A server that is given no schemas knows no event types.
func TestNoEventsOfItsOwn(t *testing.T) {
	t.Parallel()
	cfg := daemon.DefaultConfig()
	cfg.DataDir = t.TempDir()
	p := startWithout(t, cfg)
	types, err := tidingsv1.NewSchemaServiceClient(p.dial(t)).ListEventTypes(t.Context(), &tidingsv1.ListEventTypesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	topics, err := tidingsv1.NewTopicServiceClient(p.dial(t)).ListTopics(t.Context(), &tidingsv1.ListTopicsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if len(types.GetEventTypes()) > 0 || len(topics.GetTopics()) > 0 {
		t.Errorf("it has the types %v and the topics %v", types.GetEventTypes(), topics.GetTopics())
	}
	p.end(syscall.SIGTERM) // Then the log is complete.
	if !strings.Contains(p.Output(), "the server knows no event types") {
		t.Errorf("its log doesn't say so: %s", p.Output())
	}
}

// A company's schemas may be called as the examples are.
func TestEventsNamedAsTheExamples(t *testing.T) {
	t.Parallel()
	file := schematest.Event("shop.orders.v1", "orders", "number int64")
	file.Name, file.MessageType[0].Name = new("shop/orders/v1/events.proto"), new("OrderPlaced")
	encoded, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{file}})
	if err != nil {
		t.Fatal(err)
	}
	cfg := daemon.DefaultConfig()
	cfg.DataDir, cfg.Schemas = t.TempDir(), filepath.Join(t.TempDir(), "schemas.binpb")
	if err := os.WriteFile(cfg.Schemas, encoded, 0o600); err != nil {
		t.Fatal(err)
	}
	publisher := tidingsv1.NewPublisherServiceClient(start(t, cfg).dial(t))
	publish := func(name string, value []byte) error {
		_, err := publisher.Publish(t.Context(), &tidingsv1.PublishRequest{Events: []*tidingsv1.Event{{
			Id: "1", Source: "/test", Data: &anypb.Any{TypeUrl: "type.googleapis.com/" + name, Value: value},
		}}})
		return err
	}
	if err := publish("shop.orders.v1.OrderPlaced", []byte("\x08\x07")); err != nil {
		t.Errorf("the company's order: %v", err)
	}
	if err := publish("shop.orders.v1.OrderPaid", nil); status.Code(err) != codes.InvalidArgument {
		t.Errorf("an order of the examples: %v", err)
	}
}
