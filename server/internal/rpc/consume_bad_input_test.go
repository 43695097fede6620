package rpc_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

const (
	settlePath             = "/tidings.v1.ConsumerService/Settle"
	pullPath               = "/tidings.v1.ConsumerService/Pull"
	createSubscriptionPath = "/tidings.v1.SubscriptionService/CreateSubscription"
	redrivePath            = "/tidings.v1.DeadLetterService/RedriveDeadLetters"
)

// TestMalformedConsume runs over both listeners: what can't be decoded ends the
// stream, and what came before it is answered.
func TestMalformedConsume(t *testing.T) {
	t.Parallel()
	for name, addr := range map[string]string{"native": shared.grpcAddr, "http": shared.httpAddr} {
		for what, body := range map[string][]byte{
			"cut off":        {0x12, 0x20, 0x0a},
			"endless varint": {0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
			"text":           []byte("GET / HTTP/1.1\r\n\r\n"),
			"invalid UTF-8":  {0x12, 0x06, 0x0a, 0x04, 0x0a, 0x02, 0xff, 0xfe},
		} {
			t.Run(name+"/"+what, func(t *testing.T) {
				t.Parallel()
				c := transports()[0].dial(t, shared)
				_, s := newSubscribed(t, c)
				stream, err := dialGRPC(t, addr).NewStream(testContext(t), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true},
					"/tidings.v1.ConsumerService/Consume", grpc.ForceCodecV2(rawCodec{}))
				if err != nil {
					t.Fatal(err)
				}
				for _, request := range []*tidingsv1.ConsumeRequest{openOf(&tidingsv1.ConsumeOpen{Subscription: s}), settleOf(ack("x"))} {
					encoded, err := proto.Marshal(request)
					if err != nil {
						t.Fatal(err)
					}
					if err := stream.SendMsg(encoded); err != nil {
						t.Fatal(err)
					}
				}
				if err := stream.SendMsg(body); err != nil {
					t.Fatal(err)
				}
				opened, settled := new(tidingsv1.ConsumeResponse), new(tidingsv1.ConsumeResponse)
				if err := stream.RecvMsg(opened); err != nil || opened.GetOpened() == nil {
					t.Fatal(opened, err)
				}
				if err := stream.RecvMsg(settled); err != nil || settled.GetSettled() == nil {
					t.Fatal(settled, err)
				}
				wantRefusal(t, stream.RecvMsg(new(tidingsv1.ConsumeResponse)), because(codes.InvalidArgument, "REQUEST_MALFORMED"))
				until(t, c, s, func(s *tidingsv1.SubscriptionStatistics) bool { return s.GetConsumers() == 0 })
			})
		}
	}
}

func TestBadSettlements(t *testing.T) {
	invalid := because(codes.InvalidArgument, "REQUEST_INVALID")
	day := durationpb.New(24*60*60*1e9 + 1)
	for name, test := range map[string]struct {
		settlements []*tidingsv1.Settlement
		field       string // In the settlements.
	}{
		"too many":         {slices.Repeat([]*tidingsv1.Settlement{ack("x")}, 10_001), ""},
		"no action":        {[]*tidingsv1.Settlement{{DeliveryToken: "x"}}, "[0].action"},
		"long token":       {[]*tidingsv1.Settlement{ack("x"), ack(strings.Repeat("x", 257))}, "[1].delivery_token"},
		"unknown nack":     {[]*tidingsv1.Settlement{nack("x", &tidingsv1.Nack{Kind: 17})}, "[0].nack.kind"},
		"negative delay":   {[]*tidingsv1.Settlement{nack("x", &tidingsv1.Nack{Delay: durationpb.New(-1)})}, "[0].nack.delay"},
		"long delay":       {[]*tidingsv1.Settlement{nack("x", &tidingsv1.Nack{Delay: day})}, "[0].nack.delay"},
		"long reason":      {[]*tidingsv1.Settlement{nack("x", &tidingsv1.Nack{Reason: strings.Repeat("☕", 1025)})}, "[0].nack.reason"},
		"no duration":      {[]*tidingsv1.Settlement{{DeliveryToken: "x", Action: &tidingsv1.Settlement_Extend{Extend: new(tidingsv1.ExtendDeadline)}}}, "[0].extend.duration"},
		"short extension":  {[]*tidingsv1.Settlement{extend("x", 1e9-1)}, "[0].extend.duration"},
		"long extension":   {[]*tidingsv1.Settlement{extend("x", 3600*1e9+1)}, "[0].extend.duration"},
		"negative seconds": {[]*tidingsv1.Settlement{extend("x", -1e9)}, "[0].extend.duration"},
	} {
		t.Run("Settle/"+name, some(func(t *testing.T, c client) {
			topic, s := newSubscribed(t, c)
			publishN(t, c, topic, 1)
			token := pull(t, c, s, 1)[0].GetDeliveryToken()
			_, err := c.Settle(testContext(t), &tidingsv1.SettleRequest{Subscription: s, Settlements: append(slices.Clone(test.settlements), ack(token))})
			wantRefusal(t, err, invalid.at("settlements"+test.field))
			ackAll(t, c, s, &tidingsv1.Delivery{DeliveryToken: token}) // Nothing of the request was done.
		}))
		t.Run("Consume/"+name, some(func(t *testing.T, c client) {
			_, s := newSubscribed(t, c)
			err := consumeRefused(t, c, openOf(&tidingsv1.ConsumeOpen{Subscription: s}), settleOf(test.settlements...))
			wantRefusal(t, err, invalid.at("settle.settlements"+test.field))
		}, fullDuplex))
	}
	t.Run("as many as may be", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c)
		publishN(t, c, topic, 300)
		var settlements []*tidingsv1.Settlement
		for _, d := range pull(t, c, s, 300) {
			settlements = append(settlements, nack(d.GetDeliveryToken(), &tidingsv1.Nack{
				Kind: tidingsv1.NackKind_NACK_KIND_DEAD_LETTER, Reason: strings.Repeat("☕", 1024),
			}))
		}
		for len(settlements) < 10_000 {
			settlements = append(settlements, ack(fmt.Sprint("x", len(settlements))))
		}
		for i, got := range settleNow(t, c, s, settlements...) {
			want := malformed
			if i < 300 {
				want = applied
			}
			if got != want {
				t.Fatalf("settlement %d: %v", i, got)
			}
		}
		wantDead(t, c, s, 300, 0)
	}))
	t.Run("none", each(func(t *testing.T, c client) {
		_, s := newSubscribed(t, c)
		if got := settleNow(t, c, s); len(got) != 0 {
			t.Errorf("got %v", got)
		}
	}))
}

func TestSubscriptionJSON(t *testing.T) {
	t.Parallel()
	notFound := because(codes.NotFound, "SUBSCRIPTION_NOT_FOUND", "subscription", "none")
	bad := because(codes.InvalidArgument, "REQUEST_MALFORMED")
	invalid := because(codes.InvalidArgument, "REQUEST_INVALID")
	for name, test := range map[string]struct {
		path, body string
		want       refusal
	}{
		"lowerCamelCase":      {settlePath, `{"subscription":"none","settlements":[{"deliveryToken":"x","ack":{}}]}`, notFound},
		"names of the fields": {settlePath, `{"subscription":"none","settlements":[{"delivery_token":"x","nack":{"kind":"NACK_KIND_DROP","delay":"1.5s"}}]}`, notFound},
		"number of an enum":   {settlePath, `{"subscription":"none","settlements":[{"deliveryToken":"x","nack":{"kind":3}}]}`, notFound},
		"null":                {settlePath, `{"subscription":"none","settlements":null,"window":null}`, notFound},
		"two actions":         {settlePath, `{"subscription":"none","settlements":[{"deliveryToken":"x","ack":{},"nack":{}}]}`, bad.at("settlements[0].nack")},
		"no action":           {settlePath, `{"subscription":"none","settlements":[{"deliveryToken":"x"}]}`, invalid.at("settlements[0].action")},
		"misspelt":            {settlePath, `{"subscription":"none","settlements":[{"token":"x","ack":{}}]}`, bad.at("settlements[0].token")},
		"unknown enum":        {settlePath, `{"subscription":"none","settlements":[{"deliveryToken":"x","nack":{"kind":"MAYBE"}}]}`, bad.at("settlements[0].nack.kind")},
		"a number for a time": {pullPath, `{"subscription":"none","maxWait":5}`, bad.at("maxWait")},
		"a time with no unit": {pullPath, `{"subscription":"none","maxWait":"5"}`, bad.at("maxWait")},
		"a duration":          {pullPath, `{"subscription":"none","maxWait":"0.5s"}`, notFound},
		"a fraction":          {pullPath, `{"subscription":"none","maxEvents":1.5}`, bad.at("maxEvents")},
		"int64 as a number":   {redrivePath, `{"subscription":"none","filter":{"sequences":[4096,"8192"]}}`, notFound},
		"int64 overflow":      {redrivePath, `{"subscription":"none","filter":{"sequences":["9223372036854775808"]}}`, bad.at("filter.sequences[0]")},
		"a bad time":          {redrivePath, `{"subscription":"none","filter":{"since":"yesterday"}}`, bad.at("filter.since")},
		"two conditions": {
			createSubscriptionPath, `{"subscription":{"name":"a","topic":"orders","filter":{"attributes":{"exact":{},"prefix":{}}}}}`,
			bad.at("subscription.filter.attributes.prefix"),
		},
		"infinite multiplier": {
			createSubscriptionPath, `{"subscription":{"name":"a","topic":"orders","retryPolicy":{"multiplier":"Infinity"}}}`,
			invalid.at("subscription.retry_policy.multiplier", "subscription.retry_policy.multiplier"),
		},
		"no multiplier": {
			createSubscriptionPath, `{"subscription":{"name":"a","topic":"orders","retryPolicy":{"multiplier":"NaN"}}}`,
			invalid.at("subscription.retry_policy", "subscription.retry_policy.multiplier", "subscription.retry_policy.multiplier"),
		},
		"deep filter": {
			createSubscriptionPath, `{"subscription":{"name":"a","topic":"orders","filter":{"attributes":` +
				strings.Repeat(`{"not":`, 50) + `{"exact":{"values":{"a":"b"}}}` + strings.Repeat("}", 50) + `}}}`,
			because(codes.InvalidArgument, "FILTER_INVALID").at("subscription.filter.attributes" + strings.Repeat(".not", 8)),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, answer := post(t, test.path, "application/json", strings.NewReader(test.body), int64(len(test.body)))
			got := postFailure(t, answer)
			compareRefusals(t, got, test.want, string(answer))
		})
	}
	t.Run("what is delivered", func(t *testing.T) {
		t.Parallel()
		c := transports()[0].dial(t, shared)
		topic, s := newSubscribed(t, c)
		publishN(t, c, topic, 1)
		body := fmt.Sprintf(`{"subscription":%q}`, s)
		status, answer := post(t, pullPath, "application/json", strings.NewReader(body), int64(len(body)))
		var response struct {
			Deliveries []struct {
				DeliveryToken string `json:"deliveryToken"`
				Attempt       int    `json:"attempt"`
				Deadline      string `json:"deadline"`
				Event         struct {
					Sequence string `json:"sequence"`
					Event    struct {
						Data map[string]any `json:"data"`
					} `json:"event"`
				} `json:"event"`
			} `json:"deliveries"`
		}
		if err := json.Unmarshal(answer, &response); err != nil || status != http.StatusOK || len(response.Deliveries) != 1 {
			t.Fatalf("%d: %s", status, answer)
		}
		got := response.Deliveries[0]
		if got.Attempt != 1 || got.Deadline == "" || got.Event.Sequence != "1" || got.Event.Event.Data["email"] != "a@example.com" {
			t.Errorf("delivered: %s", answer)
		}
		wantSettled(t, c, s, applied, ack(got.DeliveryToken))
	})
}
