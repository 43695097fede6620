package rpc_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/tidings/server/internal/rpc"
	"example.com/tidings/server/internal/telemetry"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// watched are the metrics and the access log of a server.
type watched struct {
	t       *testing.T
	metrics *telemetry.Metrics
	access  *telemetry.AccessLog
	text    *syncBuffer
}

func newWatched(t *testing.T) *watched {
	t.Helper()
	w := &watched{t: t, text: new(syncBuffer)}
	log := slog.New(slog.DiscardHandler)
	w.access = telemetry.NewAccessLog(w.text, log)
	t.Cleanup(w.access.Close)
	w.metrics = telemetry.New(telemetry.Config{Version: "1", Log: log, AccessLog: w.access})
	return w
}

// watch is a setting of the server that is watched.
func (w *watched) watch(cfg *rpc.Config) { cfg.Metrics = w.metrics }

// start starts a server that is watched.
func (w *watched) start() *server {
	w.t.Helper()
	s, err := startWith(w.t.Context(), w.t.TempDir(), nil, w.watch)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(s.close)
	w.metrics.Watch(telemetry.Sources{
		SchemaRevision:     func() string { return "a" },
		Storage:            func() telemetry.Storage { return telemetry.Storage{} },
		FilterFailures:     func() int64 { return 0 },
		Draining:           s.service.Leaving,
		EventTypes:         func() int { return 0 },
		TopicNames:         s.service.TopicNames,
		SubscriptionNames:  s.service.SubscriptionNames,
		SubscriptionStates: s.service.SubscriptionStates,
	})
	return s
}

// values are the metrics, each by its name with its labels.
func (w *watched) values() map[string]float64 {
	w.t.Helper()
	response := httptest.NewRecorder()
	w.metrics.Handler().ServeHTTP(response, httptest.NewRequestWithContext(w.t.Context(), http.MethodGet, "/metrics", http.NoBody))
	if response.Code != http.StatusOK {
		w.t.Fatalf("%d: %s", response.Code, response.Body)
	}
	values := make(map[string]float64)
	for line := range strings.Lines(response.Body.String()) {
		name, number, _ := cutLast(strings.TrimSpace(line), " ")
		if value, err := strconv.ParseFloat(number, 64); err == nil {
			values[name] = value
		}
	}
	return values
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// want waits until the metrics have values: what a call counts when it ends, its
// client may not have waited for.
func (w *watched) want(want map[string]float64) {
	w.t.Helper()
	ctx := testContext(w.t)
	for {
		all, got := w.values(), maps.Clone(want)
		for name := range got {
			got[name] = all[name]
		}
		if maps.Equal(got, want) {
			return
		}
		if ctx.Err() != nil {
			w.t.Fatalf("the metrics are %v, want %v", got, want)
		}
	}
}

// lines are those of the access log about a procedure.
func (w *watched) lines(procedure string) (lines []map[string]any) {
	w.t.Helper()
	for text := range strings.Lines(w.text.String()) {
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			w.t.Fatalf("%v: %s", err, text)
		}
		if line["procedure"] == procedure {
			lines = append(lines, line)
		}
	}
	return lines
}

// protocolLabel is that of the metrics.
func (t transport) protocolLabel() string {
	switch {
	case t.native:
		return telemetry.ProtocolGRPC
	case t.protocol == "grpc":
		return telemetry.ProtocolGRPCHTTP
	case t.protocol == "grpcweb":
		return telemetry.ProtocolGRPCWeb
	default:
		return telemetry.ProtocolConnect
	}
}

// TestRecordedCalls makes a call that succeeds, one that fails, and streams, over each
// transport, and finds them in the metrics and in the access log.
func TestRecordedCalls(t *testing.T) {
	t.Parallel()
	for _, transport := range transports() {
		t.Run(transport.String(), func(t *testing.T) {
			t.Parallel()
			w := newWatched(t)
			c, ctx := transport.dial(t, w.start()), testContext(t)
			topic := newTopic(t, c)
			publishN(t, c, topic, 3)
			if _, err := c.GetTopic(ctx, &tidingsv1.GetTopicRequest{Name: "none"}); err == nil {
				t.Fatal("there is no such topic")
			}
			stream, err := c.read(ctx, &tidingsv1.ReadRequest{Topic: topic, Stop: &tidingsv1.StopPosition{Position: &tidingsv1.StopPosition_CaughtUp{CaughtUp: true}}})
			if err != nil {
				t.Fatal(err)
			}
			for err == nil {
				_, err = stream.Recv()
			}
			if err != io.EOF { //nolint:errorlint // It is it.
				t.Fatal(err)
			}
			protocol := transport.protocolLabel()
			label := func(service, method, code, reason string) string {
				return fmt.Sprintf(`tidings_rpcs_total{code=%q,procedure="/tidings.v1.%s/%s",protocol=%q,reason=%q}`, code, service, method, protocol, reason)
			}
			w.want(map[string]float64{
				label("PublisherService", "Publish", "OK", ""):                                                                 1,
				label("TopicService", "GetTopic", "NOT_FOUND", "TOPIC_NOT_FOUND"):                                              1,
				label("ReaderService", "Read", "OK", ""):                                                                       1,
				`tidings_rpc_duration_seconds_count{kind="stream",procedure="/tidings.v1.ReaderService/Read"}`:                 1,
				`tidings_rpc_duration_seconds_count{kind="unary",procedure="/tidings.v1.PublisherService/Publish"}`:            1,
				fmt.Sprintf(`tidings_rpcs_in_flight{procedure="/tidings.v1.ReaderService/Read",protocol=%q}`, protocol):        0,
				fmt.Sprintf(`tidings_events_published_total{topic=%q,type="shop.orders.v1.OrderPlaced"}`, topic):               3,
				fmt.Sprintf(`tidings_events_read_total{topic=%q}`, topic):                                                      3,
				fmt.Sprintf(`tidings_events_duplicate_total{topic=%q}`, topic):                                                 0,
				"tidings_storage_append_duration_seconds_count":                                                                1,
				`tidings_rpc_duration_seconds_bucket{kind="stream",procedure="/tidings.v1.ReaderService/Read",le="+Inf"}`:      1,
				`tidings_rpc_duration_seconds_bucket{kind="unary",procedure="/tidings.v1.PublisherService/Publish",le="+Inf"}`: 1,
			})
			values := w.values()
			for _, name := range []string{"request", "response"} {
				for _, procedure := range []string{"PublisherService/Publish", "ReaderService/Read"} {
					series := fmt.Sprintf(`tidings_rpc_%s_bytes_total{procedure="/tidings.v1.%s",protocol=%q}`, name, procedure, protocol)
					if size := values[series]; size <= 0 && (!transport.get || name != "request") {
						t.Errorf("%s is %v", series, size)
					}
				}
			}
			checkAccessLog(t, w, protocol)
		})
	}
}

func checkAccessLog(t *testing.T, w *watched, protocol string) {
	t.Helper()
	w.access.Close()
	for procedure, want := range map[string]map[string]any{
		"/tidings.v1.PublisherService/Publish": {"code": "OK", "events": 3.0},
		"/tidings.v1.ReaderService/Read":       {"code": "OK", "events": 3.0},
		"/tidings.v1.TopicService/GetTopic":    {"code": "NOT_FOUND", "reason": "TOPIC_NOT_FOUND", "events": 0.0},
	} {
		lines := w.lines(procedure)
		if len(lines) != 1 {
			t.Errorf("%s has %d lines", procedure, len(lines))
			continue
		}
		want["protocol"] = protocol
		for key, value := range want {
			if lines[0][key] != value {
				t.Errorf("%s: %s is %v, want %v", procedure, key, lines[0][key], value)
			}
		}
		if peer, _ := lines[0]["peer"].(string); !strings.HasPrefix(peer, "127.0.0.1:") {
			t.Errorf("%s: the peer is %q", procedure, peer)
		}
		if size, _ := lines[0]["response_bytes"].(float64); size <= 0 && want["code"] == "OK" {
			t.Errorf("%s: response_bytes is %v", procedure, lines[0]["response_bytes"])
		}
	}
}

// TestRecordedDeliveries counts what becomes of deliveries.
func TestRecordedDeliveries(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	c, ctx := sample()[0].dial(t, w.start()), testContext(t)
	topic := newTopic(t, c)
	subscription := newSubscription(t, c, topic, func(s *tidingsv1.Subscription) {
		s.RetryPolicy = &tidingsv1.RetryPolicy{MinBackoff: durationpb.New(0)}
	})
	publishN(t, c, topic, 5)
	nack := func(token string, kind tidingsv1.NackKind) *tidingsv1.Settlement {
		return &tidingsv1.Settlement{DeliveryToken: token, Action: &tidingsv1.Settlement_Nack{Nack: &tidingsv1.Nack{Kind: kind}}}
	}
	pulled, err := c.Pull(ctx, &tidingsv1.PullRequest{Subscription: subscription, MaxEvents: 4})
	if err != nil {
		t.Fatal(err)
	}
	token := func(i int) string { return pulled.GetDeliveries()[i].GetDeliveryToken() }
	settle(t, ctx, c, subscription,
		&tidingsv1.Settlement{DeliveryToken: token(0), Action: &tidingsv1.Settlement_Ack{Ack: new(tidingsv1.Ack)}},
		nack(token(1), tidingsv1.NackKind_NACK_KIND_RETRY),
		nack(token(2), tidingsv1.NackKind_NACK_KIND_DEAD_LETTER),
		nack(token(3), tidingsv1.NackKind_NACK_KIND_DROP))
	if _, err := c.Pull(ctx, &tidingsv1.PullRequest{Subscription: subscription, MaxEvents: 1}); err != nil {
		t.Fatal(err)
	}
	of := func(name string, labels ...string) string {
		return "tidings_" + name + "{" + strings.Join(append(labels, fmt.Sprintf("subscription=%q", subscription)), ",") + "}"
	}
	w.want(map[string]float64{
		of("events_delivered_total"):   5,
		of("events_redelivered_total"): 1,
		fmt.Sprintf(`tidings_deliveries_settled_total{outcome="acked",subscription=%q}`, subscription):   1,
		fmt.Sprintf(`tidings_deliveries_settled_total{outcome="retried",subscription=%q}`, subscription): 1,
		fmt.Sprintf(`tidings_deliveries_settled_total{outcome="buried",subscription=%q}`, subscription):  1,
		fmt.Sprintf(`tidings_deliveries_settled_total{outcome="dropped",subscription=%q}`, subscription): 1,
		of("events_dead_lettered_total", `cause="NACK"`):                                                 1,
		of("subscription_backlog_events"):   1,
		of("subscription_in_flight_events"): 1,
		of("subscription_dead_letters"):     1,
		of("subscription_consumers"):        0,
	})
	if age := w.values()[of("subscription_oldest_unsettled_age_seconds")]; age <= 0 {
		t.Errorf("the oldest event is %v seconds old", age)
	}
}

// TestRecordedRefusals counts events that are wrong, each by its rule, also in a
// stream that goes on, and a type that nobody knows as one of many.
func TestRecordedRefusals(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	c, ctx := sample()[0].dial(t, w.start()), testContext(t)
	topic := newTopic(t, c)
	wrong := placed("1")
	wrong.Email = "ada"
	unknown := event(t, "2", placed("2"))
	unknown.Data.TypeUrl = "type.googleapis.com/made.up.v1.Name"
	for _, e := range []*tidingsv1.Event{event(t, "1", wrong), unknown} {
		if _, err := c.Publish(ctx, &tidingsv1.PublishRequest{Topic: topic, Events: []*tidingsv1.Event{e}}); err == nil {
			t.Fatal("it is stored")
		}
	}
	stream, err := c.publishStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&tidingsv1.PublishStreamRequest{Publish: &tidingsv1.PublishRequest{Topic: topic, Events: []*tidingsv1.Event{event(t, "1", wrong)}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	w.want(map[string]float64{
		`tidings_rpcs_in_flight{procedure="/tidings.v1.PublisherService/PublishStream",protocol="grpc"}`: 1,
	})
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	w.want(map[string]float64{
		`tidings_events_refused_total{reason="EVENT_INVALID",rule="string.email",type="shop.orders.v1.OrderPlaced"}`:                          2,
		`tidings_events_refused_total{reason="EVENT_TYPE_UNKNOWN",rule="",type="_other"}`:                                                     1,
		`tidings_rpc_stream_errors_total{procedure="/tidings.v1.PublisherService/PublishStream",reason="EVENT_INVALID"}`:                      1,
		`tidings_rpcs_total{code="OK",procedure="/tidings.v1.PublisherService/PublishStream",protocol="grpc",reason=""}`:                      1,
		`tidings_rpcs_in_flight{procedure="/tidings.v1.PublisherService/PublishStream",protocol="grpc"}`:                                      0,
		`tidings_rpcs_total{code="INVALID_ARGUMENT",procedure="/tidings.v1.PublisherService/Publish",protocol="grpc",reason="EVENT_INVALID"}`: 1,
	})
}

// TestRecordedWithoutAHandler makes calls that no handler sees.
func TestRecordedWithoutAHandler(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	s := w.start()
	post := func(path, contentType string) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.httpAddr+path, bytes.NewReader([]byte("{}")))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", contentType)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
	}
	post("/tidings.v1.TopicService/ListTopics", "text/plain")
	post("/made.up.v1.Service/Call", "application/json")
	post("/tidings.v1.TopicService/NoSuch", "application/grpc-web+proto")
	if err := dialGRPC(t, s.grpcAddr).Invoke(t.Context(), "/made.up.v1.Service/Call", new(tidingsv1.GetTopicRequest), new(tidingsv1.GetTopicResponse)); err == nil {
		t.Error("there is no such service")
	}
	total := func(procedure, protocol string) string {
		return fmt.Sprintf(`tidings_rpcs_total{code="UNIMPLEMENTED",procedure=%q,protocol=%q,reason=""}`, procedure, protocol)
	}
	w.want(map[string]float64{
		total("/tidings.v1.TopicService/ListTopics", "connect"): 1,
		total("_other", "connect"):                              1,
		total("_other", "grpc_web"):                             1,
		total("_other", "grpc"):                                 1,
	})
	w.access.Close()
	if text := w.text.String(); strings.Contains(text, "made.up") || strings.Contains(text, "NoSuch") {
		t.Errorf("the access log has what clients make up: %s", text)
	}
}

// TestRecordedCallers makes calls with and without a credential, over every protocol.
func TestRecordedCallers(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	a := newAccessPlaceWith(t, "", w.watch)
	method := tidingsv1.File_tidings_v1_topic_service_proto.Services().Get(0).Methods().ByName("ListTopics")
	for _, credential := range []string{a.roles["read"], ""} {
		a.native(method, new(tidingsv1.ListTopicsRequest), credential)
		for _, protocol := range []string{"connect", "grpcweb", "json"} {
			a.http(method, new(tidingsv1.ListTopicsRequest), credential, protocol)
		}
	}
	procedure := "/tidings.v1.TopicService/ListTopics"
	want := make(map[string]float64)
	for protocol, count := range map[string]float64{"grpc": 1, "connect": 2, "grpc_web": 1} {
		want[fmt.Sprintf(`tidings_rpcs_total{code="OK",procedure=%q,protocol=%q,reason=""}`, procedure, protocol)] = count
		want[fmt.Sprintf(`tidings_rpcs_total{code="UNAUTHENTICATED",procedure=%q,protocol=%q,reason="UNAUTHENTICATED"}`, procedure, protocol)] = count
	}
	w.want(want)
	w.access.Close()
	lines := w.lines(procedure)
	if len(lines) != 8 {
		t.Errorf("there are %d lines", len(lines))
	}
	for _, line := range lines {
		if principal := line["principal"]; (line["code"] == "OK") != (principal == "key:read") {
			t.Errorf("a line is %v", line)
		}
	}
	for _, credential := range a.roles {
		if strings.Contains(w.text.String(), strings.TrimPrefix(credential, "Bearer ")) {
			t.Error("the access log has a credential")
		}
	}
}
