package clustertest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/tidings/client"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/gen/go/tidings/v1/tidingsv1connect"
)

// checkProtocols calls through a balancer by every protocol: a call, an error with
// its details, a stream of the server, and where there is HTTP/2 one of both.
func (e *edge) checkProtocols(t *testing.T, name string, w *way) {
	t.Helper()
	topic := "protocols-" + name
	e.createTopic(t, topic)
	for protocol, caller := range map[string]struct {
		http    *http.Client
		options []connect.ClientOption
	}{
		"Connect over HTTP/1.1":         {w.http1, nil},
		"Connect, JSON, over HTTP/1.1":  {w.http1, []connect.ClientOption{connect.WithProtoJSON()}},
		"Connect over HTTP/2":           {w.http2, nil},
		"gRPC-Web over HTTP/1.1":        {w.http1, []connect.ClientOption{connect.WithGRPCWeb()}},
		"gRPC-Web over HTTP/2":          {w.http2, []connect.ClientOption{connect.WithGRPCWeb()}},
		"gRPC of connect-go":            {w.http2, []connect.ClientOption{connect.WithGRPC()}},
		"gRPC of connect-go, with gzip": {w.http2, []connect.ClientOption{connect.WithGRPC(), connect.WithSendGzip()}},
	} {
		publisher := tidingsv1connect.NewPublisherServiceClient(caller.http, base, caller.options...)
		check := edgeCheck{t: t, topic: topic, protocol: protocol}
		check.calls(publisher.Publish)
		check.reads(client.NewConnect(caller.http, base, caller.options...))
		if caller.http == w.http2 {
			check.streams(client.NewConnect(caller.http, base, caller.options...))
		}
	}
	stub := tidingsv1.NewPublisherServiceClient(w.conn)
	check := edgeCheck{t: t, topic: topic, protocol: "gRPC of grpc-go"}
	check.calls(func(ctx context.Context, request *tidingsv1.PublishRequest) (*tidingsv1.PublishResponse, error) {
		return stub.Publish(ctx, request)
	})
	check.reads(w.clients["gRPC"])
	check.streams(w.clients["gRPC"])
	checkReadyz(t, w)
}

// edgeCheck checks one protocol.
type edgeCheck struct {
	t               *testing.T
	topic, protocol string
}

func (c edgeCheck) id(n int) string { return fmt.Sprint(c.protocol, " ", n) }

func (c edgeCheck) calls(publish func(context.Context, *tidingsv1.PublishRequest) (*tidingsv1.PublishResponse, error)) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	stored, err := publish(ctx, &tidingsv1.PublishRequest{Topic: c.topic, Events: []*tidingsv1.Event{event(c.id(0))}})
	if err != nil || len(stored.GetReceipts()) != 1 {
		c.t.Errorf("%s: %d receipts, %v", c.protocol, len(stored.GetReceipts()), err)
	}
	_, err = publish(ctx, &tidingsv1.PublishRequest{Topic: c.topic, Events: []*tidingsv1.Event{event("")}})
	if got := client.Violations(err); client.Reason(err) != "EVENT_INVALID" || len(got) == 0 || got[0].Field != "events[0].id" {
		c.t.Errorf("%s: the error says %q, %v: %v", c.protocol, client.Reason(err), got, err)
	}
}

// reads takes what is in the topic, up to the event that calls stored.
func (c edgeCheck) reads(caller *client.Client) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	for event, err := range caller.Reader(c.topic, client.ReaderOptions{Start: earliest}).Events(ctx) {
		if err != nil {
			c.t.Errorf("%s: reading: %v", c.protocol, err)
			return
		}
		if event.GetEvent().GetId() == c.id(0) {
			return
		}
	}
}

// streams publishes more on one stream than a proxy takes for a request, and consumes
// it on another.
func (c edgeCheck) streams(caller *client.Client) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	const events, attributes, characters = 12, 50, 4000 // 2.4 MB together.
	publisher := caller.Publisher(client.PublisherOptions{Topic: c.topic, MaxBatchBytes: 300_000})
	var want []string
	for i := range events {
		e := event(c.id(i + 1))
		e.Attributes = make(map[string]string)
		for j := range attributes {
			e.Attributes[fmt.Sprint("padding", j)] = strings.Repeat("x", characters)
		}
		want = append(want, e.GetId())
		if _, err := publisher.Publish(ctx, e); err != nil {
			c.t.Errorf("%s: publishing %d bytes on a stream: %v", c.protocol, (i+1)*attributes*characters, err)
			return
		}
	}
	if err := publisher.Close(ctx); err != nil {
		c.t.Errorf("%s: %v", c.protocol, err)
	}
	err := caller.Consumer(c.topic, client.ConsumerOptions{}).Run(ctx, client.HandleAny(func(_ context.Context, d *client.Delivery) error {
		want = slices.DeleteFunc(want, func(id string) bool { return id == d.GetRecorded().GetEvent().GetId() })
		if len(want) == 0 {
			cancel() // Which is the good end of a consumer.
		}
		return nil
	}))
	if err != nil || len(want) > 0 {
		c.t.Errorf("%s: %d events weren't consumed: %v", c.protocol, len(want), err)
	}
}

func checkReadyz(t *testing.T, w *way) {
	t.Helper()
	for _, caller := range []*http.Client{w.http1, w.http2} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/readyz", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := caller.Do(request)
		if err != nil {
			t.Error(err)
			continue
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK {
			t.Errorf("/readyz is %s: %s%v", response.Status, body, err)
		}
	}
}

// checkIdleStreams shows what becomes of streams on which there is nothing to do for
// longer than a balancer waits: one with heartbeats goes on, and a Publisher, which has
// none, opens another.
func (e *edge) checkIdleStreams(t *testing.T, name string, w *way) {
	t.Helper()
	topic := "idle-" + name
	e.createTopic(t, topic)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	publisher := w.clients["gRPC"].Publisher(client.PublisherOptions{Topic: topic})
	if _, err := publisher.Publish(ctx, event("first")); err != nil {
		t.Fatal(err)
	}
	opened := 0
	consumer := w.clients["gRPC"].Consumer(topic, client.ConsumerOptions{Trace: client.ConsumerTrace{Opened: func() { opened++ }}})
	consumed := make(chan error, 1)
	last := make(chan struct{})
	run, end := context.WithCancel(ctx)
	go func() {
		consumed <- consumer.Run(run, client.HandleAny(func(_ context.Context, d *client.Delivery) error {
			if d.GetRecorded().GetEvent().GetId() == "last" {
				close(last)
			}
			return nil
		}))
	}()
	stream, err := tidingsv1.NewReaderServiceClient(w.conn).Read(ctx, &tidingsv1.ReadRequest{
		Topic: topic, Start: earliest, HeartbeatInterval: durationpb.New(heartbeat),
	})
	if err != nil {
		t.Fatal(err)
	}
	const silent = 8 // Heartbeats, a second apart: twice what the balancer waits.
	for heartbeats := 0; heartbeats < silent; {
		frame, err := stream.Recv()
		if err != nil {
			t.Fatalf("%s: a stream with heartbeats ended after %d of them: %v", name, heartbeats, err)
		}
		if frame.GetHeartbeat() != nil {
			heartbeats++
		}
	}
	if _, err := publisher.Publish(ctx, event("last")); err != nil {
		t.Errorf("%s: publishing after silence: %v", name, err)
	}
	if err := publisher.Close(ctx); err != nil {
		t.Error(err)
	}
	select {
	case <-last:
	case <-ctx.Done():
		t.Errorf("%s: consuming after silence: nothing came", name)
	}
	end()
	if err := <-consumed; err != nil {
		t.Error(err)
	}
	t.Logf("%s: the consumer opened %d calls in %d s, its balancer waiting %s", name, opened, silent, impatience)
}

// checkHangs shows that a replica which hangs holds nobody for longer than a balancer
// waits, a few times at most: clients' keepalive ends at the balancer.
func (e *edge) checkHangs(t *testing.T, name string, w *way) {
	t.Helper()
	topic := "hang-" + name
	e.createTopic(t, topic)
	ctx, cancel := context.WithTimeout(t.Context(), recovery)
	defer cancel()
	publisher := w.clients["gRPC"].Publisher(client.PublisherOptions{Topic: topic})
	if _, err := publisher.Publish(ctx, event("first")); err != nil {
		t.Fatal(err)
	}
	longest := time.Duration(0)
	for i, r := range e.c.replicas { // One of them has the stream.
		r.signal(syscall.SIGSTOP)
		began := time.Now()
		_, err := publisher.Publish(ctx, event(fmt.Sprint("while ", i, " hangs")))
		longest = max(longest, time.Since(began))
		r.signal(syscall.SIGCONT)
		if err != nil {
			t.Fatalf("%s: publishing while %s hangs: %v", name, r.name, err)
		}
		e.c.await(r.name+" is ready", func(ctx context.Context) error { return ready(ctx, e.c.nats.http, r) })
	}
	if err := publisher.Close(ctx); err != nil {
		t.Error(err)
	}
	t.Logf("%s: while a replica hangs, publishing takes %.1f s at most, its balancer waiting %s", name, longest.Seconds(), impatience)
}
