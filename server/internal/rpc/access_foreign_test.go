package rpc_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// What a principal was given by the server is no right of whoever else has it: Bob,
// who may do everything with his own topic and subscription, tries what Ada was given,
// and so does Carl, who may do everything that she may.
func TestTokensOfAnotherPrincipal(t *testing.T) {
	t.Parallel()
	s, credentials := newGuarded(t, `
- {principals: ['key:ada', 'key:carl'], roles: [publish, read, consume, manage], topics: ['*'], subscriptions: ['*']}
- {principals: ['key:bob'], roles: [publish, read, consume, manage], topics: [bobs], subscriptions: [bobs]}
`, "ada", "bob", "carl")
	own := sample()[0].dialWith(t, s, credentials["bob"])
	_, err := own.CreateTopic(testContext(t), &tidingsv1.CreateTopicRequest{Topic: &tidingsv1.Topic{Name: "bobs"}})
	noError(t, err)
	_, err = own.CreateSubscription(testContext(t), &tidingsv1.CreateSubscriptionRequest{Subscription: &tidingsv1.Subscription{Name: "bobs", Topic: "bobs"}})
	noError(t, err)
	for _, transport := range transports() {
		t.Run(transport.String(), func(t *testing.T) {
			t.Parallel()
			f := &foreign{transport: transport}
			f.ada, f.bob, f.carl = transport.dialWith(t, s, credentials["ada"]), transport.dialWith(t, s, credentials["bob"]), transport.dialWith(t, s, credentials["carl"])
			f.topic, f.subscription = newSubscribed(t, f.ada)
			t.Run("delivery token", f.deliveryToken)
			t.Run("stream id", f.streamID)
			t.Run("cursor", f.cursor)
			t.Run("page token", f.pageToken)
			t.Run("request id", f.requestID)
		})
	}
}

// foreign are three principals over a transport, and Ada's topic and subscription.
type foreign struct {
	transport           transport
	ada, bob, carl      client
	topic, subscription string
}

var denied = because(codes.PermissionDenied, "PERMISSION_DENIED")

func (f *foreign) deliveryToken(t *testing.T) {
	publishN(t, f.ada, f.topic, 1)
	token := pull(t, f.ada, f.subscription, 1)[0].GetDeliveryToken()
	for _, subscription := range []string{f.subscription, "absent"} { // Neither says whether it exists.
		_, err := f.bob.Settle(testContext(t), &tidingsv1.SettleRequest{Subscription: subscription, Settlements: []*tidingsv1.Settlement{ack(token)}})
		wantRefusal(t, err, denied)
		wantRefusal(t, receiveRefused(t, f.bob, &tidingsv1.ReceiveRequest{Subscription: subscription, HeldDeliveryTokens: []string{token}}), denied)
		if fullDuplex.met(f.transport) {
			wantRefusal(t, consumeRefused(t, f.bob, openOf(&tidingsv1.ConsumeOpen{Subscription: subscription, HeldDeliveryTokens: []string{token}})), denied)
		}
	}
	wantSettled(t, f.bob, "bobs", malformed, ack(token), nack(token, dropped), extend(token, 1e9))
	opened := receive(t, testContext(t), f.bob, &tidingsv1.ReceiveRequest{Subscription: "bobs", HeldDeliveryTokens: []string{token}}).opened
	wantStatuses(t, statuses(opened.GetHeld()), malformed)
	if fullDuplex.met(f.transport) {
		stream := consume(t, testContext(t), f.bob, &tidingsv1.ConsumeOpen{Subscription: "bobs", HeldDeliveryTokens: []string{token}})
		wantStatuses(t, statuses(stream.opened.GetHeld()), malformed)
		wantStatuses(t, statuses(stream.settle(ack(token))), malformed)
	}
	wantSettled(t, f.ada, f.subscription, applied, ack(token))
}

func (f *foreign) streamID(t *testing.T) {
	stream := receive(t, testContext(t), f.ada, &tidingsv1.ReceiveRequest{Subscription: f.subscription, Window: &tidingsv1.FlowControl{MaxEvents: 2}})
	id, wider := stream.opened.GetStreamId(), &tidingsv1.FlowControl{MaxEvents: 5}
	window := &tidingsv1.StreamFlowControl{StreamId: id, Window: &tidingsv1.FlowControl{MaxEvents: 1}}
	_, err := f.bob.Settle(testContext(t), &tidingsv1.SettleRequest{Subscription: f.subscription, Window: window})
	wantRefusal(t, err, denied)
	for name, c := range map[string]client{"bobs": f.bob, f.subscription: f.carl} {
		if granted := resize(t, c, name, id, window.GetWindow()); granted != nil {
			t.Errorf("the stream of another was resized through %q to %v", name, granted)
		}
	}
	granted := resize(t, f.ada, f.subscription, id, wider)
	if told := stream.told(); told.GetMaxEvents() != 5 || granted.GetMaxEvents() != 5 { // The first that it was told.
		t.Errorf("granted %v, told %v", granted, told)
	}
}

func (f *foreign) cursor(t *testing.T) {
	sequence := publish(t, f.ada, f.topic, orders(t, "cursor", 1)...)[0].GetSequence()
	got, err := f.ada.GetEvent(testContext(t), &tidingsv1.GetEventRequest{Topic: f.topic, Sequence: sequence})
	noError(t, err)
	after := &tidingsv1.StartPosition{Position: &tidingsv1.StartPosition_Cursor{Cursor: got.GetRecorded().GetCursor()}}
	for topic, want := range map[string]refusal{f.topic: denied, "absent": denied, "bobs": because(codes.InvalidArgument, "CURSOR_INVALID", "topic", "bobs").at("start.cursor")} {
		stream, err := f.bob.read(testContext(t), &tidingsv1.ReadRequest{Topic: topic, Start: after})
		for err == nil {
			_, err = stream.Recv()
		}
		wantRefusal(t, err, want)
	}
	for _, sequence := range []int64{sequence, sequence + 1000} {
		_, err = f.bob.GetEvent(testContext(t), &tidingsv1.GetEventRequest{Topic: f.topic, Sequence: sequence})
		wantRefusal(t, err, denied)
	}
}

func (f *foreign) pageToken(t *testing.T) {
	first, err := f.ada.ListTopics(testContext(t), &tidingsv1.ListTopicsRequest{PageSize: 1})
	noError(t, err)
	forged := base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(decoded(t, first.GetNextPageToken()), first.GetTopics()[0].GetName(), "a", 1)))
	seen := 0
	for _, token := range []string{first.GetNextPageToken(), forged} {
		listed, err := f.bob.ListTopics(testContext(t), &tidingsv1.ListTopicsRequest{PageSize: 1, PageToken: token})
		noError(t, err)
		for _, topic := range listed.GetTopics() {
			seen++
			if topic.GetName() != "bobs" || listed.GetNextPageToken() != "" {
				t.Errorf("Bob lists %q and has the token %q", topic.GetName(), listed.GetNextPageToken())
			}
		}
	}
	if seen == 0 {
		t.Error("Bob's own topic isn't listed, so the tokens show nothing")
	}
	newSubscription(t, f.ada, f.topic)
	subscriptions, err := f.ada.ListSubscriptions(testContext(t), &tidingsv1.ListSubscriptionsRequest{PageSize: 1})
	noError(t, err)
	listed, err := f.bob.ListSubscriptions(testContext(t), &tidingsv1.ListSubscriptionsRequest{PageSize: 1, PageToken: subscriptions.GetNextPageToken()})
	if err != nil || len(listed.GetSubscriptions()) > 1 || len(listed.GetSubscriptions()) == 1 && listed.GetSubscriptions()[0].GetName() != "bobs" {
		t.Errorf("Bob lists %v, %v", listed, err)
	}
	publishN(t, f.ada, f.topic, 2)
	bury(t, f.ada, f.subscription, 2)
	letters, err := f.ada.ListDeadLetters(testContext(t), &tidingsv1.ListDeadLettersRequest{Subscription: f.subscription, PageSize: 1})
	noError(t, err)
	if letters.GetNextPageToken() == "" {
		t.Fatal("no second page of dead letters")
	}
	for subscription, want := range map[string]refusal{f.subscription: denied, "absent": denied, "bobs": because(codes.InvalidArgument, "PAGE_TOKEN_INVALID").at("page_token")} {
		_, err := f.bob.ListDeadLetters(testContext(t), &tidingsv1.ListDeadLettersRequest{Subscription: subscription, PageSize: 1, PageToken: letters.GetNextPageToken()})
		wantRefusal(t, err, want)
	}
}

func decoded(t *testing.T, token string) string {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(token)
	noError(t, err)
	return string(text)
}

func (f *foreign) requestID(t *testing.T) {
	adas := &tidingsv1.PublishRequest{Topic: f.topic, RequestId: "the request", Events: orders(t, "adas", 2)}
	carls := &tidingsv1.PublishRequest{Topic: f.topic, RequestId: "the request", Events: orders(t, "carls", 2)}
	first, err := f.carl.Publish(testContext(t), carls) // He is there first, and takes nothing of hers.
	noError(t, err)
	second, err := f.ada.Publish(testContext(t), adas)
	noError(t, err)
	if duplicates(first.GetReceipts()) != 0 || duplicates(second.GetReceipts()) != 0 {
		t.Errorf("stored before: %v, %v", first, second)
	}
	again, err := f.ada.Publish(testContext(t), adas)
	noError(t, err)
	wantSame(t, second.GetReceipts(), again.GetReceipts())
	_, err = f.bob.Publish(testContext(t), adas)
	wantRefusal(t, err, denied)
	_, err = f.bob.Publish(testContext(t), &tidingsv1.PublishRequest{Topic: "absent", RequestId: "the request", Events: orders(t, "bobs", 1)})
	wantRefusal(t, err, denied)
}
