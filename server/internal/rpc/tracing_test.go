package rpc_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/metadata"

	"example.com/tidings/server/internal/otlp/otlptest"
	"example.com/tidings/server/internal/rpc"
	"example.com/tidings/server/internal/tracing"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// secret is part of payloads, and must not be part of spans.
const secret = "topsecret"

// wantSpans are the spans of traced, over a transport with full-duplex calls, sorted:
// name, parent, links and attributes. Those of every span are left out.
const wantSpans = `receive TOPIC parent=C links=[E1 E2 E3 E4 E5] rpc.method=tidings.v1.ReaderService/Read messaging.batch.message_count=6 messaging.destination.name=TOPIC messaging.operation.name=receive messaging.operation.type=receive messaging.system=tidings
receive TOPIC parent=C links=[E1 E2] rpc.method=tidings.v1.ConsumerService/Consume messaging.batch.message_count=2 messaging.consumer.group.name=TOPIC-c messaging.destination.name=TOPIC messaging.operation.name=receive messaging.operation.type=receive messaging.system=tidings
receive TOPIC parent=C links=[E1 E2] rpc.method=tidings.v1.ConsumerService/Pull messaging.batch.message_count=2 messaging.consumer.group.name=TOPIC messaging.destination.name=TOPIC messaging.operation.name=receive messaging.operation.type=receive messaging.system=tidings rpc.response.status_code=OK
receive TOPIC parent=C links=[E1 E2] rpc.method=tidings.v1.ConsumerService/Receive messaging.batch.message_count=2 messaging.consumer.group.name=TOPIC-r messaging.destination.name=TOPIC messaging.operation.name=receive messaging.operation.type=receive messaging.system=tidings
send TOPIC parent=C links=[E1 E2] rpc.method=tidings.v1.PublisherService/Publish messaging.batch.message_count=2 messaging.destination.name=TOPIC messaging.operation.name=send messaging.operation.type=send messaging.system=tidings rpc.response.status_code=OK
send TOPIC parent=C links=[E4 E5] rpc.method=tidings.v1.PublisherService/PublishStream messaging.batch.message_count=2 messaging.destination.name=TOPIC messaging.operation.name=send messaging.operation.type=send messaging.system=tidings
send TOPIC parent=C links=[] rpc.method=tidings.v1.PublisherService/Import messaging.batch.message_count=1 messaging.destination.name=TOPIC messaging.operation.name=send messaging.operation.type=send messaging.system=tidings
send TOPIC parent=E3 links=[] rpc.method=tidings.v1.PublisherService/PublishStream messaging.batch.message_count=1 messaging.destination.name=TOPIC messaging.operation.name=send messaging.operation.type=send messaging.system=tidings
send parent=C links=[] rpc.method=tidings.v1.PublisherService/Publish error.type=EVENT_INVALID messaging.batch.message_count=1 messaging.operation.name=send messaging.operation.type=send messaging.system=tidings rpc.response.status_code=INVALID_ARGUMENT
send parent=C links=[] rpc.method=tidings.v1.PublisherService/PublishStream error.type=EVENT_INVALID messaging.batch.message_count=1 messaging.operation.name=send messaging.operation.type=send messaging.system=tidings
settle TOPIC parent=C links=[] rpc.method=tidings.v1.ConsumerService/Consume messaging.batch.message_count=2 messaging.consumer.group.name=TOPIC-c messaging.destination.name=TOPIC messaging.operation.name=settle messaging.operation.type=settle messaging.system=tidings
settle TOPIC parent=C links=[] rpc.method=tidings.v1.ConsumerService/Settle messaging.batch.message_count=2 messaging.consumer.group.name=TOPIC messaging.destination.name=TOPIC messaging.operation.name=settle messaging.operation.type=settle messaging.system=tidings rpc.response.status_code=OK
tidings.v1.ReaderService/Read parent=C links=[] rpc.method=tidings.v1.ReaderService/Read error.type=TOPIC_NOT_FOUND rpc.response.status_code=NOT_FOUND
tidings.v1.SubscriptionService/CreateSubscription parent=C links=[] rpc.method=tidings.v1.SubscriptionService/CreateSubscription rpc.response.status_code=OK
`

// TestSpans makes the same calls over each transport and compares the spans that arrive
// at a collector, over OTLP of both kinds.
func TestSpans(t *testing.T) {
	t.Parallel()
	collectors := [2]*otlptest.Collector{otlptest.Start(t), otlptest.Start(t)}
	overGRPC, err := otlptracegrpc.New(t.Context(), otlptracegrpc.WithEndpointURL(collectors[0].GRPC))
	if err != nil {
		t.Fatal(err)
	}
	overHTTP, err := otlptracehttp.New(t.Context(), otlptracehttp.WithEndpointURL(collectors[1].HTTP+"/v1/traces"))
	if err != nil {
		t.Fatal(err)
	}
	provider := sdk.NewTracerProvider(sdk.WithBatcher(overGRPC), sdk.WithBatcher(overHTTP))
	s := startTraced(t, provider)
	for i, over := range transports() {
		run := &traced{t: t, client: over.dial(t, s), over: over, seed: byte(i + 1), topic: fmt.Sprintf("traced-%d", i)}
		run.all()
	}
	if err := provider.Shutdown(testContext(t)); err != nil {
		t.Fatal(err)
	}
	for i, over := range transports() {
		for _, collector := range collectors {
			want := wantSpans
			if over.unmet([]need{fullDuplex}) != "" {
				want = withoutLines(want, "PublishStream", "/Consume ")
			}
			if got := described(t, collector, over, byte(i+1), fmt.Sprintf("traced-%d", i)); got != want {
				t.Errorf("%s: got\n%s\nwant\n%s", over, got, want)
			}
		}
	}
}

func startTraced(t *testing.T, provider trace.TracerProvider) *server {
	t.Helper()
	s, err := startWith(t.Context(), t.TempDir(), nil, func(c *rpc.Config) { c.Tracer = tracing.New(provider, "1.2.3") })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

// withoutLines leaves lines out that hold one of some texts, and sorts the others.
func withoutLines(text string, holding ...string) string {
	var left []string
	for line := range strings.Lines(text) {
		if !slices.ContainsFunc(holding, func(part string) bool { return strings.Contains(line, part) }) {
			// Its events are in none of the others.
			line = strings.Replace(line, "[E1 E2 E3 E4 E5]", "[E1 E2]", 1)
			left = append(left, strings.Replace(line, "message_count=6", "message_count=3", 1))
		}
	}
	slices.Sort(left)
	return strings.Join(left, "")
}

// traced makes calls over a transport whose trace contexts are known by a seed.
type traced struct {
	t      *testing.T
	client client
	over   transport
	seed   byte
	topic  string
}

// id is the id of a span: C is the caller's, and those of events have a number.
func id(seed byte, label string) (traceparent string) {
	text := hex.EncodeToString([]byte{seed, label[0], label[len(label)-1], 0xff})
	return "00-" + strings.Repeat(text, 4) + "-" + strings.Repeat(text, 2) + "-01"
}

func (r *traced) context() context.Context {
	ctx, parent := testContext(r.t), id(r.seed, "C")
	if r.over.native {
		return metadata.AppendToOutgoingContext(ctx, "traceparent", parent)
	}
	ctx, call := connect.NewClientContext(ctx)
	call.RequestHeader().Set("Traceparent", parent)
	return ctx
}

// event is one that was made in a trace context. Empty: in none.
func (r *traced) event(label string) *tidingsv1.Event {
	message := placed(label + secret)
	e := event(r.t, "id-"+label, message)
	if label != "" {
		e.Attributes = map[string]string{"traceparent": id(r.seed, label)}
	}
	return e
}

func (r *traced) invalid() *tidingsv1.Event {
	message := placed(secret)
	message.Email = secret
	return event(r.t, "invalid", message)
}

func (r *traced) request(events ...*tidingsv1.Event) *tidingsv1.PublishRequest {
	return &tidingsv1.PublishRequest{Topic: r.topic, Events: events}
}

func (r *traced) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(r.over, err)
	}
}

func (r *traced) all() {
	ctx := testContext(r.t)
	_, err := r.client.CreateTopic(ctx, &tidingsv1.CreateTopicRequest{Topic: &tidingsv1.Topic{Name: r.topic}}) // In a trace of its own.
	r.must(err)
	_, err = r.client.Publish(r.context(), r.request(r.event("E1"), r.event("E2")))
	r.must(err)
	r.consume()
	if _, err = r.client.Publish(r.context(), r.request(r.invalid())); err == nil {
		r.t.Error("an invalid event was taken")
	}
	if r.over.http2 {
		r.publishStream()
	}
	stream, err := r.client.importStream(r.context())
	r.must(err)
	r.must(stream.Send(&tidingsv1.ImportRequest{Publish: r.request(r.event(""))}))
	_, err = stream.CloseAndRecv()
	r.must(err)
	r.must(r.read(r.topic))
	if err := r.read("no-such-topic"); err == nil {
		r.t.Error("a topic that isn't there was read")
	}
}

func (r *traced) read(topic string) error {
	stream, err := r.client.read(r.context(), &tidingsv1.ReadRequest{Topic: topic, Stop: &tidingsv1.StopPosition{Position: &tidingsv1.StopPosition_CaughtUp{CaughtUp: true}}})
	for err == nil {
		_, err = stream.Recv()
	}
	if err == io.EOF { //nolint:errorlint // It is never wrapped.
		return nil
	}
	return err
}

func (r *traced) publishStream() {
	stream, err := r.client.publishStream(r.context())
	r.must(err)
	for _, request := range []*tidingsv1.PublishRequest{
		r.request(r.event("E3")), r.request(r.event("E4"), r.event("E5")), r.request(r.invalid()),
	} {
		r.must(stream.Send(&tidingsv1.PublishStreamRequest{Publish: request}))
		_, err := stream.Recv()
		r.must(err)
	}
	r.must(stream.CloseSend())
	if _, err := stream.Recv(); err != io.EOF { //nolint:errorlint // It is never wrapped.
		r.t.Error(err)
	}
}

// subscribe creates a subscription from the earliest event on.
func (r *traced) subscribe(ctx context.Context, name string) {
	_, err := r.client.CreateSubscription(ctx, &tidingsv1.CreateSubscriptionRequest{
		Subscription: &tidingsv1.Subscription{Name: name, Topic: r.topic},
		Start:        &tidingsv1.StartPosition{Position: &tidingsv1.StartPosition_Boundary{Boundary: tidingsv1.StartBoundary_START_BOUNDARY_EARLIEST}},
	})
	r.must(err)
}

// consume delivers two events in each way, from a subscription each.
func (r *traced) consume() {
	r.subscribe(r.context(), r.topic)
	pulled, err := r.client.Pull(r.context(), &tidingsv1.PullRequest{Subscription: r.topic, MaxEvents: 2})
	r.must(err)
	_, err = r.client.Settle(r.context(), &tidingsv1.SettleRequest{Subscription: r.topic, Settlements: acks(pulled.GetDeliveries())})
	r.must(err)

	r.subscribe(testContext(r.t), r.topic+"-r")
	ctx, cancel := context.WithCancel(r.context())
	defer cancel()
	receive, err := r.client.receive(ctx, &tidingsv1.ReceiveRequest{
		Subscription: r.topic + "-r",
		Window:       &tidingsv1.FlowControl{MaxEvents: 2}, // The server may hear late that it is cancelled.
	})
	r.must(err)
	for delivered := 0; delivered == 0; {
		frame, err := receive.Recv()
		r.must(err)
		delivered = len(frame.GetDeliveries().GetDeliveries())
	}
	cancel()
	if r.over.http2 {
		r.subscribe(testContext(r.t), r.topic+"-c")
		r.consumeStream(r.topic + "-c")
	}
}

func (r *traced) consumeStream(subscription string) {
	stream, err := r.client.consume(r.context())
	r.must(err)
	r.must(stream.Send(&tidingsv1.ConsumeRequest{Request: &tidingsv1.ConsumeRequest_Open{Open: &tidingsv1.ConsumeOpen{Subscription: subscription}}}))
	for settled := false; !settled; {
		frame, err := stream.Recv()
		r.must(err)
		if deliveries := frame.GetDeliveries().GetDeliveries(); len(deliveries) > 0 {
			r.must(stream.Send(&tidingsv1.ConsumeRequest{Request: &tidingsv1.ConsumeRequest_Settle{Settle: &tidingsv1.SettlementBatch{Settlements: acks(deliveries)}}}))
			r.must(stream.CloseSend())
		}
		settled = frame.GetSettled() != nil
	}
	for err == nil {
		_, err = stream.Recv()
	}
}

func acks(deliveries []*tidingsv1.Delivery) (settlements []*tidingsv1.Settlement) {
	for _, delivery := range deliveries {
		settlements = append(settlements, &tidingsv1.Settlement{
			DeliveryToken: delivery.GetDeliveryToken(), Action: &tidingsv1.Settlement_Ack{Ack: &tidingsv1.Ack{}},
		})
	}
	return settlements
}

// described describes the spans of the trace contexts of a seed, and checks what all
// spans have.
func described(t *testing.T, collector *otlptest.Collector, over transport, seed byte, topic string) string {
	t.Helper()
	labels := make(map[string]string)
	for _, label := range []string{"C", "E1", "E2", "E3", "E4", "E5"} {
		labels[id(seed, label)] = label
	}
	of := func(trace, span []byte) string {
		return labels["00-"+hex.EncodeToString(trace)+"-"+hex.EncodeToString(span)+"-01"]
	}
	system := "grpc"
	if over.protocol == "connect" {
		system = "connectrpc"
	}
	var lines []string
	for _, span := range collector.Spans() {
		parent := of(span.GetTraceId(), span.GetParentSpanId())
		if parent == "" {
			continue
		}
		if text := span.String(); strings.Contains(text, secret) {
			t.Errorf("part of a payload is in %s", text)
		}
		attributes := otlptest.Text(span.GetAttributes())
		if got := attributes["rpc.system.name"]; got != system {
			t.Errorf("%s: %s has rpc.system.name %q, want %q", over, span.GetName(), got, system)
		}
		if span.GetKind().String() != "SPAN_KIND_SERVER" || span.GetStatus().GetMessage() != "" || span.GetEndTimeUnixNano() < span.GetStartTimeUnixNano() {
			t.Errorf("%s: %v", over, span)
		}
		delete(attributes, "rpc.system.name")
		var links []string
		for _, link := range span.GetLinks() {
			links = append(links, of(link.GetTraceId(), link.GetSpanId()))
		}
		slices.Sort(links)
		line := fmt.Sprintf("%s parent=%s links=%v rpc.method=%s", span.GetName(), parent, links, attributes["rpc.method"])
		delete(attributes, "rpc.method")
		for _, name := range slices.Sorted(maps.Keys(attributes)) {
			line += " " + name + "=" + strings.TrimPrefix(attributes[name], "int_value:")
		}
		lines = append(lines, strings.ReplaceAll(line, topic, "TOPIC")+"\n")
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// TestNoSpans wants no allocations for calls where nothing makes spans.
func TestNoSpans(t *testing.T) {
	var none *tracing.Tracer
	allocations := testing.AllocsPerRun(100, func() {
		ctx, span := none.Call(t.Context(), tracing.GRPC, "/tidings.v1.PublisherService/Publish", nil)
		if none.Current(ctx).IsRecording() {
			t.Error("it records")
		}
		tracing.EndCall(span, tracing.Fault{})
	})
	if allocations > 0 {
		t.Errorf("%v allocations", allocations)
	}
}
