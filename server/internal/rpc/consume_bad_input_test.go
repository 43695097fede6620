package rpc_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

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
		"no action":           {settlePath, `{"subscription":"none","settlements":[{"deliveryToken":"x"}]}`, notFound},
		"a negative delay":    {settlePath, `{"subscription":"none","settlements":[{"deliveryToken":"x","nack":{"delay":"-1s"}}]}`, notFound},
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
			invalid.at("subscription.retry_policy.multiplier", "subscription.retry_policy.multiplier"),
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
				LeaseDuration string `json:"leaseDuration"`
				Recorded      struct {
					Sequence string `json:"sequence"`
					Event    struct {
						Data map[string]any `json:"data"`
					} `json:"event"`
				} `json:"recorded"`
			} `json:"deliveries"`
		}
		if err := json.Unmarshal(answer, &response); err != nil || status != http.StatusOK || len(response.Deliveries) != 1 {
			t.Fatalf("%d: %s", status, answer)
		}
		got := response.Deliveries[0]
		if got.Attempt != 1 || got.Deadline == "" || got.LeaseDuration != "600s" || got.Recorded.Sequence != "1" || got.Recorded.Event.Data["email"] != "a@example.com" {
			t.Errorf("delivered: %s", answer)
		}
		wantSettled(t, c, s, applied, ack(got.DeliveryToken))
	})
}
