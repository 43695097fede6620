package rpc_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/dynamicpb"

	ordersv1 "example.com/tidings/examples/events/gen/shop/orders/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

func TestListEventTypes(t *testing.T) {
	// list lists all pages.
	list := func(t *testing.T, c client, request *tidingsv1.ListEventTypesRequest) (names []string) {
		t.Helper()
		for {
			response, err := c.ListEventTypes(testContext(t), request)
			if err != nil {
				t.Fatal(err)
			}
			if size := int(request.GetPageSize()); size > 0 && len(response.GetEventTypes()) > size {
				t.Fatalf("a page of %d types", len(response.GetEventTypes()))
			}
			for _, e := range response.GetEventTypes() {
				names = append(names, e.GetName())
			}
			if request.PageToken = response.GetNextPageToken(); request.GetPageToken() == "" {
				return names
			}
		}
	}
	ofOrders := []string{
		"shop.orders.v1.OrderCancelled", orderPaid, orderPlaced, "shop.orders.v1.OrderShipped",
	}
	t.Run("of a topic", each(func(t *testing.T, c client) {
		for _, size := range []int32{0, 1, 2, 3, 4, 1000} {
			if got := list(t, c, &tidingsv1.ListEventTypesRequest{Topic: "orders", PageSize: size}); !slices.Equal(got, ofOrders) {
				t.Errorf("by %d: %q", size, got)
			}
		}
	}))
	t.Run("undeclared", some(func(t *testing.T, c client) {
		declared := list(t, c, &tidingsv1.ListEventTypesRequest{})
		all := list(t, c, &tidingsv1.ListEventTypesRequest{IncludeUndeclared: true, PageSize: 7})
		if !slices.IsSorted(all) || slices.Contains(declared, "shop.orders.v1.Money") || !slices.Contains(all, "shop.orders.v1.Money") || slices.Contains(all, "tidings.v1.Event") {
			t.Errorf("declared %q, all %q", declared, all)
		}
		for _, name := range declared {
			if !slices.Contains(all, name) {
				t.Errorf("%s is missing", name)
			}
		}
	}))
	t.Run("token of another request", each(func(t *testing.T, c client) {
		first, err := c.ListEventTypes(testContext(t), &tidingsv1.ListEventTypesRequest{Topic: "orders", PageSize: 1})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.ListEventTypes(testContext(t), &tidingsv1.ListEventTypesRequest{PageToken: first.GetNextPageToken()})
		wantRefusal(t, err, because(codes.InvalidArgument, "PAGE_TOKEN_INVALID").at("page_token"))
	}))
	t.Run("negative page size", some(func(t *testing.T, c client) {
		_, err := c.ListEventTypes(testContext(t), &tidingsv1.ListEventTypesRequest{PageSize: -1 << 31})
		wantRefusal(t, err, because(codes.InvalidArgument, "REQUEST_INVALID").at("page_size"))
	}))
}

func TestGetEventType(t *testing.T) {
	t.Run("is enough to decode", each(func(t *testing.T, c client) {
		response, err := c.GetEventType(testContext(t), &tidingsv1.GetEventTypeRequest{Name: orderPlaced})
		if err != nil {
			t.Fatal(err)
		}
		e := response.GetEventType()
		if e.GetTopic() != "orders" || e.GetKey() != "order_id" || e.GetDescription() == "" || e.GetDeprecated() {
			t.Errorf("shown as %v", e)
		}
		known := make(map[string]bool)
		for _, file := range response.GetFileDescriptorSet().GetFile() {
			for _, dependency := range file.GetDependency() {
				if !known[dependency] {
					t.Errorf("%s comes before %s, which it imports", file.GetName(), dependency)
				}
			}
			known[file.GetName()] = true
		}
		files, err := protodesc.NewFiles(response.GetFileDescriptorSet())
		if err != nil {
			t.Fatal(err)
		}
		descriptor, err := files.FindDescriptorByName(orderPlaced)
		if err != nil {
			t.Fatal(err)
		}
		want := placed("an order")
		encoded, err := proto.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		decoded := dynamicpb.NewMessage(descriptor.(protoreflect.MessageDescriptor))
		if err := proto.Unmarshal(encoded, decoded); err != nil {
			t.Fatal(err)
		}
		if len(decoded.GetUnknown()) != 0 {
			t.Error("there are fields that the descriptors don't know")
		}
		if diff := cmp.Diff(want, decoded, protocmp.Transform()); diff != "" {
			t.Errorf("decoded otherwise (-want +got):\n%s", diff)
		}
	}))
	t.Run("not found", each(func(t *testing.T, c client) {
		for _, name := range []string{"a.B", "tidings.v1.Event", "google.protobuf.Any"} {
			_, err := c.GetEventType(testContext(t), &tidingsv1.GetEventTypeRequest{Name: name})
			wantRefusal(t, err, because(codes.NotFound, "EVENT_TYPE_NOT_FOUND", "type", name))
		}
	}))
	t.Run("bad name", some(func(t *testing.T, c client) {
		for _, name := range []string{"", ".", "a\x00", "a..b"} {
			_, err := c.GetEventType(testContext(t), &tidingsv1.GetEventTypeRequest{Name: name})
			wantRefusal(t, err, because(codes.InvalidArgument, "REQUEST_INVALID").at("name"))
		}
	}))
}

func TestValidateEvents(t *testing.T) {
	t.Run("as Publish would", each(func(t *testing.T, c client) {
		topic := newTopic(t, c, func(topic *tidingsv1.Topic) { topic.Settings.EventTypes = []string{orderPlaced} })
		given := event(t, "3", placed("o"))
		given.PartitionKey = new("mine")
		response, err := c.ValidateEvents(testContext(t), &tidingsv1.ValidateEventsRequest{Topic: topic, Events: []*tidingsv1.Event{
			event(t, "0", placed("o-0")), invalid(t, "1"), event(t, "2", paid("o")), given, {},
		}})
		if err != nil {
			t.Fatal(err)
		}
		results := response.GetResults()
		if len(results) != 5 {
			t.Fatalf("%d results", len(results))
		}
		for i, key := range map[int]string{0: "o-0", 3: "mine"} {
			if !results[i].GetValid() || results[i].GetError() != nil || results[i].GetPartitionKey() != key {
				t.Errorf("event %d: %v", i, results[i])
			}
		}
		for i, want := range map[int]refusal{
			1: because(codes.InvalidArgument, "EVENT_INVALID").at("events[1].data.email"),
			2: because(codes.FailedPrecondition, "EVENT_TYPE_NOT_ALLOWED", "type", orderPaid, "topic", topic).at("events[2].data.type_url"),
			4: because(codes.InvalidArgument, "EVENT_INVALID").at("events[4].id", "events[4].source", "events[4].data"),
		} {
			if results[i].GetValid() {
				t.Errorf("event %d is valid", i)
			}
			wantError(t, results[i].GetError(), want)
		}
		if got := latest(t, c, topic); got != 0 {
			t.Errorf("stored up to %d", got)
		}
	}))
	t.Run("without a topic", some(func(t *testing.T, c client) {
		response, err := c.ValidateEvents(testContext(t), &tidingsv1.ValidateEventsRequest{Events: []*tidingsv1.Event{
			event(t, "0", placed("o")), event(t, "1", &ordersv1.Money{CurrencyCode: "EUR"}),
		}})
		if err != nil || !response.GetResults()[0].GetValid() || !response.GetResults()[1].GetValid() {
			t.Errorf("%v, %v", response, err)
		}
	}))
	t.Run("refused", each(func(t *testing.T, c client) {
		invalid := because(codes.InvalidArgument, "REQUEST_INVALID")
		_, err := c.ValidateEvents(testContext(t), &tidingsv1.ValidateEventsRequest{})
		wantRefusal(t, err, invalid.at("events"))
		_, err = c.ValidateEvents(testContext(t), &tidingsv1.ValidateEventsRequest{Topic: "A", Events: orders(t, "a", 1)})
		wantRefusal(t, err, invalid.at("topic"))
		_, err = c.ValidateEvents(testContext(t), &tidingsv1.ValidateEventsRequest{Topic: "nowhere", Events: orders(t, "a", 1)})
		wantRefusal(t, err, because(codes.NotFound, "TOPIC_NOT_FOUND", "topic", "nowhere"))
	}))
}

func TestGetEvent(t *testing.T) {
	t.Run("each", each(func(t *testing.T, c client) {
		topic, events := threeRecords(t, c)
		for _, want := range events {
			response, err := c.GetEvent(testContext(t), &tidingsv1.GetEventRequest{Topic: topic, Sequence: want.GetSequence()})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, response.GetRecorded(), protocmp.Transform()); diff != "" {
				t.Errorf("event %d otherwise than Read gives it (-want +got):\n%s", want.GetSequence(), diff)
			}
		}
	}))
	t.Run("not found", some(func(t *testing.T, c client) {
		topic, _ := threeRecords(t, c)
		for _, sequence := range []int64{10, 4095, 1<<63 - 1} {
			_, err := c.GetEvent(testContext(t), &tidingsv1.GetEventRequest{Topic: topic, Sequence: sequence})
			wantRefusal(t, err, because(codes.NotFound, "EVENT_NOT_FOUND", "topic", topic, "sequence", fmt.Sprint(sequence)))
		}
		nowhere := newName()
		_, err := c.GetEvent(testContext(t), &tidingsv1.GetEventRequest{Topic: nowhere, Sequence: 4096})
		wantRefusal(t, err, because(codes.NotFound, "TOPIC_NOT_FOUND", "topic", nowhere))
	}))
	t.Run("bad sequence", some(func(t *testing.T, c client) {
		for _, sequence := range []int64{0, -1, -1 << 63} {
			_, err := c.GetEvent(testContext(t), &tidingsv1.GetEventRequest{Topic: "orders", Sequence: sequence})
			wantRefusal(t, err, because(codes.InvalidArgument, "REQUEST_INVALID").at("sequence"))
		}
	}))
}

func TestGetServerInfo(t *testing.T) {
	t.Run("shows", each(func(t *testing.T, c client) {
		got, err := c.GetServerInfo(testContext(t), &tidingsv1.GetServerInfoRequest{})
		if err != nil {
			t.Fatal(err)
		}
		want := &tidingsv1.GetServerInfoResponse{
			Version: "1.2.3-test",
			Limits: &tidingsv1.Limits{
				MaxRequestBytes: testRequestBytes, MaxEventBytes: testEventBytes, MaxEventsPerRequest: 4096, MaxEventsPerDedupeEventRequest: 4096,
				MaxUnsettledEvents: 50_000, MaxWindowEvents: 10_000, MaxWindowBytes: 256 << 20, MaxSettlementsPerRequest: 10_000,
			},
			Durability: tidingsv1.Durability_DURABILITY_PROCESS,
			Features: []string{
				"SUBSCRIPTIONS", "CEL_FILTERS", "DECLARED_TOPICS", "EVENT_TYPE_REVISIONS", "SCHEMA_REGISTRATION",
				"KEY_PRECONDITIONS", "MULTIPLE_PRECONDITIONS", "EXACT_COUNTS", "KEY_INDEX",
			},
		}
		if testing.Short() { // The server has no Buf.
			want.Features = slices.DeleteFunc(want.GetFeatures(), func(f string) bool { return f == "SCHEMA_REGISTRATION" })
		}
		if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
			t.Errorf("shows otherwise (-want +got):\n%s", diff)
		}
	}))
}
