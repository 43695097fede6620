package fuzz

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	ordersv1 "example.com/tidings/examples/events/gen/shop/orders/v1"
	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// goodClient keeps to the contract, and counts on it.
type goodClient struct {
	t      *testing.T
	server *server
	types  *universe
	stored map[string]int64 // The sequences of the client's own events by their ids.
}

var (
	overBinary = transport{protocol: "grpc", http2: true, native: true}
	overJSON   = transport{protocol: "connect", json: true}
)

// ask makes a call that has to succeed, and returns its messages as they came.
func (c *goodClient) ask(over transport, method string, request proto.Message) [][]byte {
	c.t.Helper()
	r := c.try(over, method, request)
	if r.code != codes.OK || r.http != http.StatusOK || !r.ended {
		c.t.Fatalf("%s over %v: HTTP %d, %s %q\n%v", method, over, r.http, r.outcome(), r.message, request)
	}
	return r.messages
}

// try makes a call that may be refused as the catalogue allows.
func (c *goodClient) try(over transport, method string, request proto.Message) *reply {
	c.t.Helper()
	return c.tryRPC(over, "tidings.v1."+method, request)
}

func (c *goodClient) tryRPC(over transport, method string, request proto.Message) *reply {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	encoded := encode(request)
	if over.json {
		var err error
		if encoded, err = (protojson.MarshalOptions{Resolver: c.types}).Marshal(request); err != nil {
			c.t.Fatal(err)
		}
	}
	asked := &call{rpc: rpcs()[method], transport: over, messages: [][]byte{encoded}}
	r, err := c.server.do(ctx, asked)
	if err != nil {
		c.t.Fatalf("%v: %v", asked, err)
	}
	if problem := asked.judge(r); problem != "" {
		c.t.Errorf("%s: %s %q\n%v", problem, r.outcome(), r.message, asked)
	}
	return r
}

// unmarshal decodes the only message of an answer in binary.
func unmarshal[M proto.Message](c *goodClient, messages [][]byte, m M) M {
	c.t.Helper()
	if err := proto.Unmarshal(messages[0], m); err != nil {
		c.t.Fatal(err)
	}
	return m
}

// begin makes what the calls of a round find.
func (c *goodClient) begin() {
	c.t.Helper()
	for i, topic := range append([]string{guarded}, commonTopics...) {
		dedupe := optionsv1.Dedupe(1 + i%2)
		c.try(overBinary, "TopicService.CreateTopic", &tidingsv1.CreateTopicRequest{Topic: &tidingsv1.Topic{Name: topic, Settings: &optionsv1.TopicSettings{Dedupe: dedupe}}})
	}
	for i, name := range commonSubscriptions {
		c.try(overBinary, "SubscriptionService.CreateSubscription", &tidingsv1.CreateSubscriptionRequest{Subscription: &tidingsv1.Subscription{
			Name: name, Topic: commonTopics[i], Ordering: tidingsv1.Ordering(i),
		}})
	}
}

// check publishes, and reads everything that is stored: the client's own events
// and those of the callers.
func (c *goodClient) check() {
	c.t.Helper()
	for _, over := range []transport{overBinary, overJSON} {
		for range 10 {
			c.publish(over)
		}
	}
	own := c.events(overBinary, guarded)
	for id, sequence := range c.stored {
		if own[sequence] != id {
			c.t.Errorf("event %s has a receipt, and isn't there as %d", id, sequence)
		}
	}
	c.compare(c.events(overJSON, guarded), own)
	for _, topic := range c.topics() {
		inBinary := c.events(overBinary, topic.GetName())
		if inBinary == nil {
			continue // A call that was left has deleted it.
		}
		c.compare(c.events(overJSON, topic.GetName()), inBinary)
		read := 0
		for sequence := range inBinary {
			read++
			if read > 50 {
				break
			}
			for _, over := range []transport{overBinary, overJSON} {
				c.try(over, "ReaderService.GetEvent", &tidingsv1.GetEventRequest{Topic: topic.GetName(), Sequence: sequence})
			}
		}
	}
	for _, subscription := range c.subscriptions() {
		c.consume(subscription)
	}
}

func (c *goodClient) publish(over transport) {
	data, err := anypb.New(&ordersv1.OrderCancelled{OrderId: "1", CancelledAt: timestamppb.Now(), Reason: ordersv1.CancellationReason(1)})
	if err != nil {
		c.t.Fatal(err)
	}
	id := fmt.Sprintf("good-%d", len(c.stored))
	c.stored[id] = 0
	answer := c.ask(over, "PublisherService.Publish", &tidingsv1.PublishRequest{Topic: guarded, Events: []*tidingsv1.Event{{Id: id, Source: "/good", Data: data}}})
	response := new(tidingsv1.PublishResponse)
	if over.json {
		err = protojson.Unmarshal(answer[0], response)
	} else {
		err = proto.Unmarshal(answer[0], response)
	}
	if err != nil || len(response.GetReceipts()) != 1 {
		c.t.Fatalf("%v, %v", err, response)
	}
	c.stored[id] = response.GetReceipts()[0].GetSequence()
}

// events reads a topic to its end and returns the ids of its events by sequence,
// or nil where it doesn't exist.
func (c *goodClient) events(over transport, topic string) map[int64]string {
	c.t.Helper()
	ids := make(map[int64]string)
	request := &tidingsv1.ReadRequest{Topic: topic, Stop: &tidingsv1.StopPosition{Position: &tidingsv1.StopPosition_CaughtUp{CaughtUp: true}}}
	var ended bool
	read := c.try(over, "ReaderService.Read", request)
	if read.code == codes.NotFound {
		return nil
	}
	for _, message := range read.messages {
		if over.json {
			var frame struct {
				Events   batch           `json:"events"`
				CaughtUp json.RawMessage `json:"caughtUp"`
			}
			if err := json.Unmarshal(message, &frame); err != nil {
				c.t.Fatalf("%v in %.500q", err, message)
			}
			for _, e := range frame.Events.Events {
				ids[e.Sequence] = e.Event.ID
			}
			ended = ended || frame.CaughtUp != nil
			continue
		}
		frame := new(tidingsv1.ReadResponse)
		if err := proto.Unmarshal(message, frame); err != nil {
			c.t.Fatal(err)
		}
		for _, e := range frame.GetEvents().GetEvents() {
			ids[e.GetSequence()] = e.GetEvent().GetId()
		}
		ended = ended || frame.GetCaughtUp() != nil
	}
	if !ended {
		c.t.Errorf("reading %s over %v ended before it had caught up", topic, over)
	}
	return ids
}

type batch struct {
	Events []recorded `json:"events"`
}

// recorded is what is looked at of an event in JSON.
type recorded struct {
	Sequence int64  `json:"sequence,string"`
	Revision string `json:"schemaRevision"`
	Event    struct {
		ID   string                     `json:"id"`
		Data map[string]json.RawMessage `json:"data"`
	} `json:"event"`
}

func (c *goodClient) compare(inJSON, inBinary map[int64]string) {
	c.t.Helper()
	for sequence, id := range inBinary {
		if inJSON[sequence] != id {
			c.t.Errorf("the event %d, %q, is %q in JSON", sequence, id, inJSON[sequence])
		}
	}
	if len(inJSON) != len(inBinary) {
		c.t.Errorf("%d events in JSON, %d in binary", len(inJSON), len(inBinary))
	}
}

func (c *goodClient) topics() (list []*tidingsv1.Topic) {
	c.t.Helper()
	for token := ""; ; {
		page := unmarshal(c, c.ask(overBinary, "TopicService.ListTopics", &tidingsv1.ListTopicsRequest{PageToken: token}), new(tidingsv1.ListTopicsResponse))
		list, token = append(list, page.GetTopics()...), page.GetNextPageToken()
		if token == "" {
			return slices.DeleteFunc(list, func(topic *tidingsv1.Topic) bool { return topic.GetName() == guarded })
		}
	}
}

func (c *goodClient) subscriptions() (list []*tidingsv1.Subscription) {
	c.t.Helper()
	for token := ""; ; {
		page := unmarshal(c, c.ask(overBinary, "SubscriptionService.ListSubscriptions", &tidingsv1.ListSubscriptionsRequest{PageToken: token}), new(tidingsv1.ListSubscriptionsResponse))
		list, token = append(list, page.GetSubscriptions()...), page.GetNextPageToken()
		if token == "" {
			return list
		}
	}
}

// consume pulls events of a subscription in JSON, makes dead letters of them, and
// lists those.
func (c *goodClient) consume(subscription *tidingsv1.Subscription) {
	c.t.Helper()
	name := subscription.GetName()
	for range 3 {
		r := c.try(overJSON, "ConsumerService.Pull", &tidingsv1.PullRequest{Subscription: name, MaxEvents: 1000, MaxWait: new(durationpb.Duration)})
		if r.code != codes.OK {
			break
		}
		var pulled struct {
			Deliveries []struct {
				DeliveryToken string `json:"deliveryToken"`
			} `json:"deliveries"`
		}
		if err := json.Unmarshal(r.messages[0], &pulled); err != nil {
			c.t.Fatal(err)
		}
		settle := &tidingsv1.SettleRequest{Subscription: name}
		for _, delivery := range pulled.Deliveries {
			settle.Settlements = append(settle.Settlements, &tidingsv1.Settlement{
				DeliveryToken: delivery.DeliveryToken,
				Action:        &tidingsv1.Settlement_Nack{Nack: &tidingsv1.Nack{Kind: tidingsv1.NackKind_NACK_KIND_DEAD_LETTER}},
			})
		}
		if len(settle.GetSettlements()) == 0 {
			break
		}
		c.try(overJSON, "ConsumerService.Settle", settle)
	}
	for token := ""; ; {
		answer := c.try(overJSON, "DeadLetterService.ListDeadLetters", &tidingsv1.ListDeadLettersRequest{Subscription: name, PageToken: token})
		if answer.code == codes.NotFound {
			return // Its time to expire has come, or a call that was left has deleted it.
		}
		if answer.code != codes.OK {
			c.t.Fatalf("the dead letters of %s: %s %q", name, answer.outcome(), answer.message)
		}
		var page struct {
			NextPageToken string `json:"nextPageToken"`
		}
		if err := json.Unmarshal(answer.messages[0], &page); err != nil {
			c.t.Fatal(err)
		}
		if token = page.NextPageToken; token == "" {
			return
		}
	}
}

// clear deletes what the callers left.
func (c *goodClient) clear() {
	c.t.Helper()
	for _, subscription := range c.subscriptions() {
		c.try(overBinary, "SubscriptionService.DeleteSubscription", &tidingsv1.DeleteSubscriptionRequest{Name: subscription.GetName()})
	}
	for _, topic := range c.topics() {
		c.try(overBinary, "TopicService.DeleteTopic", &tidingsv1.DeleteTopicRequest{Name: topic.GetName()})
	}
}
