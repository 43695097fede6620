package scenario_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	conformancev1 "example.com/tidings/conformance/gen/go/tidings/conformance/v1"
	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/interop/internal/process"
	"example.com/tidings/interop/internal/scenario"
)

const root = "../../.."

// bench is a server, and a run that left something on it.
type bench struct {
	t      *testing.T
	conn   *grpc.ClientConn
	values scenario.Values
	topic  string
}

// check does on a server what a client has to do, in the way that its fields say.
type check struct {
	name        string
	description string
	// publish returns the events, given those that there should be.
	publish func([]*tidingsv1.Event) []*tidingsv1.Event
	settle  *tidingsv1.Settlement // With this, unless it is nil.
	step    string                // Which one fails. Empty: none.
	want    string
}

func TestVerify(t *testing.T) {
	conn := serve(t)
	values, err := scenario.LoadValues(filepath.Join(root, "interop", "values"))
	if err != nil {
		t.Fatal(err)
	}
	ack := &tidingsv1.Settlement{Action: &tidingsv1.Settlement_Ack{Ack: &tidingsv1.Ack{}}}
	deadLetter := &tidingsv1.Settlement{Action: &tidingsv1.Settlement_Nack{Nack: &tidingsv1.Nack{Kind: tidingsv1.NackKind_NACK_KIND_DEAD_LETTER}}}
	as := func(events []*tidingsv1.Event) []*tidingsv1.Event { return events }
	for _, test := range []check{
		{name: "as it should be", description: "interop", publish: as, settle: ack},
		{name: "another description", description: "topic", publish: as, settle: ack, step: "topic", want: `description is "topic"`},
		{
			name: "another value", description: "interop", settle: ack, step: "publish", want: "the event max holds",
			publish: func(events []*tidingsv1.Event) []*tidingsv1.Event {
				// As it would be after a double.
				edit(t, events[1], func(value *conformancev1.EveryKind) { value.Numbers[1]-- })
				return events
			},
		},
		{
			name: "another source", description: "interop", settle: ack, step: "publish", want: `of "/elsewhere"`,
			publish: func(events []*tidingsv1.Event) []*tidingsv1.Event {
				events[2].Source = "/elsewhere"
				return events
			},
		},
		{
			name: "another order", description: "interop", settle: ack, step: "publish", want: `"unicode"`,
			publish: func(events []*tidingsv1.Event) []*tidingsv1.Event {
				events[3], events[4] = events[4], events[3]
				return events
			},
		},
		{
			name: "nothing while it was read", description: "interop", settle: ack, step: "tail", want: "doesn't hold the event tailed",
			publish: func(events []*tidingsv1.Event) []*tidingsv1.Event { return events[:5] },
		},
		{
			name: "another while it was read", description: "interop", settle: ack, step: "tail", want: "the event tailed holds",
			publish: func(events []*tidingsv1.Event) []*tidingsv1.Event {
				edit(t, events[5], func(value *conformancev1.EveryKind) { value.Email = "" })
				return events
			},
		},
		{
			name: "what should have been refused", description: "interop", settle: ack, step: "refused", want: "one event more",
			publish: func(events []*tidingsv1.Event) []*tidingsv1.Event {
				last := proto.CloneOf(events[5])
				last.Id = "refused"
				return append(events, last)
			},
		},
		{
			name: "twice", description: "interop", settle: ack, step: "publish", want: "one event more",
			publish: func(events []*tidingsv1.Event) []*tidingsv1.Event {
				last := proto.CloneOf(events[5])
				last.Id = "again"
				return append(events, last)
			},
		},
		{name: "nothing settled", description: "interop", publish: as, step: "consume", want: "events left"},
		{name: "given up", description: "interop", publish: as, settle: deadLetter, step: "consume", want: "events left"},
	} {
		t.Run(test.name, func(t *testing.T) {
			topic := strings.ReplaceAll(strings.ToLower(test.name), " ", "-")
			b := bench{t: t, conn: conn, values: values, topic: topic}
			b.leave(test)
			outcomes := make(scenario.Outcomes)
			for _, step := range []string{"topic", "publish", "refused", "tail", "consume"} {
				outcomes[step] = scenario.Outcome{State: scenario.OK}
			}
			scenario.Verify(t.Context(), conn, topic, values, outcomes)
			for step, outcome := range outcomes {
				switch failed := outcome.State == scenario.Failed; {
				case failed != (step == test.step):
					t.Errorf("%s: %+v", step, outcome)
				case failed && !strings.Contains(outcome.Reason, test.want):
					t.Errorf("%s failed with %q, want %q", step, outcome.Reason, test.want)
				}
			}
		})
	}
}

// serve starts a server and connects to it.
func serve(t *testing.T) *grpc.ClientConn {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and runs the server")
	}
	// The test's own context ends before its cleanups.
	ctx := context.WithoutCancel(t.Context())
	server, err := process.StartServer(ctx, root, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient(server.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(conn.Close(), server.Stop()); err != nil {
			t.Error(err)
		}
	})
	return conn
}

// leave does on the server what a check says.
func (b bench) leave(c check) {
	b.t.Helper()
	ctx := b.t.Context()
	_, err := tidingsv1.NewTopicServiceClient(b.conn).CreateTopic(ctx, &tidingsv1.CreateTopicRequest{
		Topic: &tidingsv1.Topic{Name: b.topic, Settings: &optionsv1.TopicSettings{Description: c.description}},
	})
	b.expect(err)
	events := c.publish(b.events())
	_, err = tidingsv1.NewPublisherServiceClient(b.conn).Publish(ctx, &tidingsv1.PublishRequest{Topic: b.topic, Events: events})
	b.expect(err)
	_, err = tidingsv1.NewSubscriptionServiceClient(b.conn).CreateSubscription(ctx, &tidingsv1.CreateSubscriptionRequest{
		Subscription: &tidingsv1.Subscription{Name: b.topic, Topic: b.topic},
	})
	b.expect(err)
	if c.settle == nil {
		return
	}
	consumer := tidingsv1.NewConsumerServiceClient(b.conn)
	for settled := 0; settled < len(events); {
		pulled, err := consumer.Pull(ctx, &tidingsv1.PullRequest{Subscription: b.topic})
		b.expect(err)
		request := &tidingsv1.SettleRequest{Subscription: b.topic}
		for _, delivery := range pulled.GetDeliveries() {
			settlement := proto.CloneOf(c.settle)
			settlement.DeliveryToken = delivery.GetDeliveryToken()
			request.Settlements = append(request.Settlements, settlement)
		}
		_, err = consumer.Settle(ctx, request)
		b.expect(err)
		settled += len(request.GetSettlements())
	}
}

// events are those that there should be.
func (b bench) events() []*tidingsv1.Event {
	b.t.Helper()
	var events []*tidingsv1.Event
	for _, id := range []string{"full", "max", "min", "empty", "unicode", "tailed"} {
		value := b.values[id]
		if id == "tailed" {
			value = b.values["full"]
		}
		data, err := anypb.New(value)
		b.expect(err)
		events = append(events, &tidingsv1.Event{Id: id, Source: "/interop", Data: data})
	}
	return events
}

func (b bench) expect(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// edit changes the value that an event holds.
func edit(t *testing.T, event *tidingsv1.Event, change func(*conformancev1.EveryKind)) {
	t.Helper()
	value := new(conformancev1.EveryKind)
	if err := event.GetData().UnmarshalTo(value); err != nil {
		t.Fatal(err)
	}
	change(value)
	data, err := anypb.New(value)
	if err != nil {
		t.Fatal(err)
	}
	event.Data = data
}

// TestLoadValuesRefuses wants the values to be complete and of their type.
func TestLoadValuesRefuses(t *testing.T) {
	dir := t.TempDir()
	if _, err := scenario.LoadValues(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no value: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "full.json"), []byte(`{"nickname": "full"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := scenario.LoadValues(dir); err == nil || !strings.Contains(err.Error(), "nickname") {
		t.Errorf("a field that there isn't: %v", err)
	}
}
