package subscription

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/server/internal/cli/clitest"
	"example.com/tidings/server/internal/cli/command"
)

var commands = []command.Constructor{Command}

func TestSubscriptionRequests(t *testing.T) {
	create := func(want string, args ...string) {
		t.Helper()
		clitest.Asks(t, commands, new(tidingsv1.CreateSubscriptionResponse), want, append([]string{"subscription", "create", "work"}, args...)...)
	}
	create(`{"subscription":{"name":"work","topic":"orders","ordering":"ORDERING_NONE"},"start":{"boundary":"START_BOUNDARY_EARLIEST"}}`,
		"--topic", "orders")
	create(`{"subscription":{"name":"work","topic":"orders","description":"d","ordering":"ORDERING_KEY","ackDeadline":"60s","expireAfterIdle":"2592000s","paused":true,
			"retryPolicy":{"minBackoff":"0s","maxBackoff":"60s","multiplier":1.5,"unlimitedAttempts":true},
			"filter":{"eventTypes":["a.B","a.C"],"cel":"data.x > 1","attributes":{"all":{"filters":[
				{"exact":{"values":{"subject":"s=1","source":"/s"}}},{"prefix":{"values":{"id":"p"}}},{"suffix":{"values":{"id":"s"}}}]}}}},
		 "start":{"cursor":"c"}}`,
		"--topic", "orders", "--description", "d", "--ordering", "key", "--ack-deadline", "1m", "--expire-after-idle", "30d", "--paused",
		"--min-backoff", "0", "--max-backoff", "1m", "--multiplier", "1.5", "--max-attempts", "unlimited", "--after", "c",
		"--type", "a.B", "--type", "a.C", "--where", "data.x > 1",
		"--attribute", "subject=s=1", "--attribute", "source=/s", "--attribute-prefix", "id=p", "--attribute-suffix", "id=s")
	create(`{"subscription":{"name":"work","topic":"orders","ordering":"ORDERING_TOTAL","filter":{"attributes":{"not":{"prefix":{"values":{"id":"p"}}}}}},"start":{"sequence":"5000"}}`,
		"--topic", "orders", "--ordering", "total", "--from", "5000", "--filter-json", `{"attributes":{"not":{"prefix":{"values":{"id":"p"}}}}}`)
	// A filter without a condition is none.
	create(`{"subscription":{"name":"work","topic":"orders","ordering":"ORDERING_NONE"},"start":{"boundary":"START_BOUNDARY_NEW"}}`,
		"--topic", "orders", "--filter-json", "{}", "--from", "new")

	update := func(want string, args ...string) {
		t.Helper()
		clitest.Asks(t, commands, new(tidingsv1.UpdateSubscriptionResponse), want, append([]string{"subscription"}, args...)...)
	}
	update(`{"subscription":{"name":"work","etag":"e","filter":{"attributes":{"exact":{"values":{"id":"x"}}}}},"updateMask":"description,ackDeadline,retryPolicy.maxAttempts,retryPolicy.unlimitedAttempts,filter"}`,
		"update", "work", "--description", "", "--ack-deadline", "0", "--max-attempts", "0", "--attribute", "id=x", "--etag", "e")
	update(`{"subscription":{"name":"work","retryPolicy":{"minBackoff":"2s","maxBackoff":"0s","multiplier":3}},"updateMask":"retryPolicy.minBackoff,retryPolicy.maxBackoff,retryPolicy.multiplier,expireAfterIdle,filter"}`,
		"update", "work", "--no-filter", "--min-backoff", "2s", "--max-backoff", "0", "--multiplier", "3", "--expire-after-idle", "0")
	update(`{"subscription":{"name":"work","retryPolicy":{"maxAttempts":3}},"updateMask":"retryPolicy.maxAttempts,retryPolicy.unlimitedAttempts"}`,
		"update", "work", "--max-attempts", "3")
	update(`{"subscription":{"name":"work","retryPolicy":{"unlimitedAttempts":true}},"updateMask":"retryPolicy.maxAttempts,retryPolicy.unlimitedAttempts"}`,
		"update", "work", "--max-attempts", "unlimited")
	update(`{"subscription":{"name":"work","paused":true},"updateMask":"paused"}`, "pause", "work")
	update(`{"subscription":{"name":"work"},"updateMask":"paused"}`, "resume", "work")

	clitest.Asks(t, commands, new(tidingsv1.SeekSubscriptionResponse), `{"name":"work","position":{"time":"2026-11-22T10:00:00Z"}}`, "subscription", "seek", "work", "--to", "2026-11-22T10:00:00Z")
	clitest.Asks(t, commands, new(tidingsv1.SeekSubscriptionResponse), `{"name":"work","position":{"cursor":"c"}}`, "subscription", "seek", "work", "--after", "c")
	clitest.Asks(t, commands, new(tidingsv1.DeleteSubscriptionResponse), `{"name":"work","etag":"e"}`, "subscription", "delete", "work", "--etag", "e")
	clitest.Asks(t, commands, new(tidingsv1.ListSubscriptionsResponse), `{"topic":"orders"}`, "subscription", "list", "--topic", "orders")
}

func TestSubscriptionIsShown(t *testing.T) {
	when := timestamppb.New(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC))
	whole := &tidingsv1.Subscription{
		Name: "work", Topic: "orders", Description: "d", Ordering: tidingsv1.Ordering_ORDERING_KEY, Paused: true, Etag: "e",
		AckDeadline: durationpb.New(30 * time.Second), ExpireAfterIdle: durationpb.New(time.Hour),
		RetryPolicy: &tidingsv1.RetryPolicy{MinBackoff: durationpb.New(time.Second), MaxBackoff: durationpb.New(time.Minute), Multiplier: proto.Float64(2), Attempts: &tidingsv1.RetryPolicy_MaxAttempts{MaxAttempts: 10}},
		CreateTime:  when, UpdateTime: when,
		Statistics: &tidingsv1.SubscriptionStatistics{
			BacklogEvents: 1000, BacklogEstimated: true, InFlightEvents: 1, RetryingEvents: 2, BlockedEvents: 3, BlockedKeys: 1, DeadLetteredEvents: 4,
			OldestUnsettledSequence: 4097, OldestUnsettledPublishTime: when, Consumers: 5, LatestUseTime: when, LatestGap: &tidingsv1.Gap{FirstSequence: 4096, NextSequence: 4097},
		},
	}
	whole.Filter = new(tidingsv1.EventFilter)
	if err := protojson.Unmarshal([]byte(`{"eventTypes":["a.B","a.C"],"cel":"data.x > 1","attributes":{"any":{"filters":[
		{"exact":{"values":{"b":"2","a":"1"}}},{"not":{"all":{"filters":[{"prefix":{"values":{"c":"3"}}},{"suffix":{"values":{"d":"4"}}}]}}}]}}}`), whole.GetFilter()); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		subscription *tidingsv1.Subscription
		want         string
	}{
		"everything": {whole, `name:              work
topic:             orders
description:       d
state:             paused
filter:            type a.B or a.C; (a is "1" and b is "2") or not (c begins with "3" and d ends with "4"); where data.x > 1
ordering:          key
ack deadline:      30s
retry:             after 1s, each delay × 2, at most 1m0s, 10 attempts
expires:           after 1h0m0s without a consumer
etag:              e
created:           2026-11-22T10:00:00Z
updated:           2026-11-22T10:00:00Z
backlog:           about 1000 events
in flight:         1 event
retrying:          2 events
blocked:           3 events of 1 key
dead letters:      4
oldest unsettled:  sequence 4097, published 2026-11-22T10:00:00Z
consumers:         5
latest use:        2026-11-22T10:00:00Z
latest gap:        sequence 4096 to before 4097: retention removed what wasn't settled
`},
		"nothing": {&tidingsv1.Subscription{Name: "work", Topic: "orders", Detached: true, RetryPolicy: &tidingsv1.RetryPolicy{Attempts: &tidingsv1.RetryPolicy_UnlimitedAttempts{UnlimitedAttempts: true}}, Statistics: new(tidingsv1.SubscriptionStatistics)}, `name:              work
topic:             orders
description:       
state:             detached: its topic is deleted
filter:            every event
ordering:          unspecified
ack deadline:      default
retry:             unlimited attempts
expires:           never
etag:              
backlog:           0 events
in flight:         0 events
retrying:          0 events
blocked:           0 events of 0 keys
dead letters:      0
oldest unsettled:  none
consumers:         0
`},
	} {
		t.Run(name, func(t *testing.T) {
			server := &clitest.Server{Answers: []proto.Message{&tidingsv1.GetSubscriptionResponse{Subscription: test.subscription}}}
			status, stdout, stderr := server.Run(t, commands, "", "subscription", "get", "work")
			if status != command.StatusOK || stdout != test.want {
				t.Errorf("status %d, said %q, printed\n%s, want\n%s", status, stderr, stdout, test.want)
			}
		})
	}
	server := &clitest.Server{Answers: []proto.Message{&tidingsv1.GetSubscriptionResponse{Subscription: whole}}}
	_, stdout, _ := server.Run(t, commands, "", "subscription", "get", "work", "-o", "json")
	got := new(tidingsv1.Subscription)
	if err := protojson.Unmarshal([]byte(stdout), got); err != nil || !proto.Equal(got, whole) || strings.Count(stdout, "\n") != 1 {
		t.Errorf("printed %s", stdout)
	}
}

func TestSubscriptionsAreListedPageByPage(t *testing.T) {
	server := &clitest.Server{Answers: []proto.Message{
		&tidingsv1.ListSubscriptionsResponse{Subscriptions: []*tidingsv1.Subscription{{Name: "a", Topic: "orders", Paused: true}}, NextPageToken: "more"},
		&tidingsv1.ListSubscriptionsResponse{Subscriptions: []*tidingsv1.Subscription{{Name: "b", Topic: "orders", Ordering: tidingsv1.Ordering_ORDERING_TOTAL, Description: "d"}}},
	}}
	status, stdout, stderr := server.Run(t, commands, "", "subscription", "list")
	want := `NAME  TOPIC   STATE   ORDERING     FILTER       DESCRIPTION
a     orders  paused  unspecified  every event  
b     orders  active  total        every event  d
`
	if status != command.StatusOK || stdout != want {
		t.Errorf("status %d, said %q, printed\n%s, want\n%s", status, stderr, stdout, want)
	}
	if got := server.Asked[1].(*tidingsv1.ListSubscriptionsRequest).GetPageToken(); got != "more" {
		t.Errorf("asked for page %q", got)
	}
}
