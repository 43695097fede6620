package rpc_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"example.com/tidings/server/internal/auth"
	"example.com/tidings/server/internal/rpc"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	tidingsv1beta1 "example.com/tidings/gen/go/tidings/v1beta1"
)

// guarded is what a call needs: the roles that alone suffice, on the topic orders and
// the subscription billing, and a request about these.
type guarded struct {
	roles   []auth.Role
	request proto.Message
}

// anyRole says that every role suffices.
var anyRole = auth.Roles

var guardedCalls = map[string]guarded{
	"CreateTopic":            {roles: []auth.Role{"manage"}, request: &tidingsv1.CreateTopicRequest{Topic: &tidingsv1.Topic{Name: "orders"}}},
	"GetTopic":               {roles: []auth.Role{"manage", "publish", "read"}, request: &tidingsv1.GetTopicRequest{Name: "orders"}},
	"ListTopics":             {roles: anyRole, request: &tidingsv1.ListTopicsRequest{}},
	"UpdateTopic":            {roles: []auth.Role{"manage"}, request: &tidingsv1.UpdateTopicRequest{Topic: &tidingsv1.Topic{Name: "orders"}}},
	"DeleteTopic":            {roles: []auth.Role{"manage"}, request: &tidingsv1.DeleteTopicRequest{Name: "orders"}},
	"Publish":                {roles: []auth.Role{"publish"}, request: &tidingsv1.PublishRequest{Topic: "orders", Events: []*tidingsv1.Event{{Id: "1"}}}},
	"PublishStream":          {roles: []auth.Role{"publish"}, request: &tidingsv1.PublishStreamRequest{Publish: &tidingsv1.PublishRequest{Topic: "orders", Events: []*tidingsv1.Event{{Id: "1"}}}}},
	"Import":                 {roles: []auth.Role{"publish"}, request: &tidingsv1.ImportRequest{Publish: &tidingsv1.PublishRequest{Topic: "orders", Events: []*tidingsv1.Event{{Id: "1"}}}}},
	"Read":                   {roles: []auth.Role{"read"}, request: &tidingsv1.ReadRequest{Topic: "orders", Stop: &tidingsv1.StopPosition{Position: &tidingsv1.StopPosition_CaughtUp{CaughtUp: true}}}},
	"GetEvent":               {roles: []auth.Role{"read"}, request: &tidingsv1.GetEventRequest{Topic: "orders", Sequence: 1}},
	"CreateSubscription":     {request: &tidingsv1.CreateSubscriptionRequest{Subscription: &tidingsv1.Subscription{Name: "billing", Topic: "orders"}}},
	"GetSubscription":        {roles: []auth.Role{"manage", "consume"}, request: &tidingsv1.GetSubscriptionRequest{Name: "billing"}},
	"ListSubscriptions":      {roles: anyRole, request: &tidingsv1.ListSubscriptionsRequest{}},
	"UpdateSubscription":     {roles: []auth.Role{"manage"}, request: &tidingsv1.UpdateSubscriptionRequest{Subscription: &tidingsv1.Subscription{Name: "billing"}}},
	"DeleteSubscription":     {roles: []auth.Role{"manage"}, request: &tidingsv1.DeleteSubscriptionRequest{Name: "billing"}},
	"SeekSubscription":       {roles: []auth.Role{"manage"}, request: &tidingsv1.SeekSubscriptionRequest{Name: "billing"}},
	"Consume":                {roles: []auth.Role{"consume"}, request: &tidingsv1.ConsumeRequest{Request: &tidingsv1.ConsumeRequest_Open{Open: &tidingsv1.ConsumeOpen{Subscription: "billing"}}}},
	"Receive":                {roles: []auth.Role{"consume"}, request: &tidingsv1.ReceiveRequest{Subscription: "billing"}},
	"Pull":                   {roles: []auth.Role{"consume"}, request: &tidingsv1.PullRequest{Subscription: "billing"}},
	"Settle":                 {roles: []auth.Role{"consume"}, request: &tidingsv1.SettleRequest{Subscription: "billing"}},
	"ListDeadLetters":        {roles: []auth.Role{"consume"}, request: &tidingsv1.ListDeadLettersRequest{Subscription: "billing"}},
	"RedriveDeadLetters":     {roles: []auth.Role{"manage"}, request: &tidingsv1.RedriveDeadLettersRequest{Subscription: "billing"}},
	"PurgeDeadLetters":       {roles: []auth.Role{"manage"}, request: &tidingsv1.PurgeDeadLettersRequest{Subscription: "billing"}},
	"ListEventTypes":         {roles: anyRole, request: &tidingsv1.ListEventTypesRequest{}},
	"ListEventTypeRevisions": {roles: anyRole, request: &tidingsv1.ListEventTypeRevisionsRequest{}},
	"GetEventType":           {roles: anyRole, request: &tidingsv1.GetEventTypeRequest{}},
	"ValidateEvents":         {roles: []auth.Role{"publish"}, request: &tidingsv1.ValidateEventsRequest{Topic: "orders"}},
	"GetServerInfo":          {roles: anyRole, request: &tidingsv1.GetServerInfoRequest{}},
	"RegisterSchema":         {roles: []auth.Role{"schema"}, request: &tidingsv1beta1.RegisterSchemaRequest{}},
	"CheckCompatibility":     {roles: []auth.Role{"schema"}, request: &tidingsv1beta1.CheckCompatibilityRequest{}},
}

// contractMethods are all calls of the contract.
func contractMethods() []protoreflect.MethodDescriptor {
	var all []protoreflect.MethodDescriptor
	for _, file := range []protoreflect.FileDescriptor{
		tidingsv1.File_tidings_v1_topic_service_proto, tidingsv1.File_tidings_v1_publisher_service_proto,
		tidingsv1.File_tidings_v1_reader_service_proto, tidingsv1.File_tidings_v1_subscription_service_proto,
		tidingsv1.File_tidings_v1_consumer_service_proto, tidingsv1.File_tidings_v1_dead_letter_service_proto,
		tidingsv1.File_tidings_v1_schema_service_proto, tidingsv1.File_tidings_v1_server_service_proto,
		tidingsv1beta1.File_tidings_v1beta1_schema_service_proto,
	} {
		methods := file.Services().Get(0).Methods()
		for i := range methods.Len() {
			all = append(all, methods.Get(i))
		}
	}
	return all
}

// TestAccess makes every call over every protocol with every role, and with every
// credential that isn't one.
func TestAccess(t *testing.T) {
	t.Parallel()
	a := newAccessPlace(t)
	protocols := map[string]func(protoreflect.MethodDescriptor, proto.Message, string) codes.Code{
		"native gRPC": a.native,
		"Connect": func(m protoreflect.MethodDescriptor, r proto.Message, c string) codes.Code {
			return a.http(m, r, c, "connect")
		},
		"gRPC-Web": func(m protoreflect.MethodDescriptor, r proto.Message, c string) codes.Code {
			return a.http(m, r, c, "grpcweb")
		},
		"JSON": func(m protoreflect.MethodDescriptor, r proto.Message, c string) codes.Code {
			return a.http(m, r, c, "json")
		},
	}
	counts := make(map[string]int)
	methods := contractMethods()
	for _, method := range methods {
		name := string(method.Name())
		guard, ok := guardedCalls[name]
		if !ok {
			t.Errorf("%s has no place in the table of rights", name)
			continue
		}
		for protocol, call := range protocols {
			for what, credential := range a.wrong {
				counts[what]++
				if got := call(method, guard.request, credential); got != codes.Unauthenticated {
					t.Errorf("%s over %s with %s: %s", name, protocol, what, got)
				}
			}
			for role, credential := range a.roles {
				allowed := role == "admin" || slices.Contains(guard.roles, role)
				what := "the role " + string(role)
				counts[what]++
				got := call(method, guard.request, credential)
				if denied := got == codes.PermissionDenied; denied == allowed || got == codes.Unauthenticated {
					t.Errorf("%s over %s with %s: %s, allowed is %v", name, protocol, what, got, allowed)
				}
			}
			for what, credential := range a.lacking {
				counts[what]++
				got := call(method, guard.request, credential)
				if free := slices.Equal(guard.roles, anyRole); got != codes.PermissionDenied && (!free || what == "no grant") {
					t.Errorf("%s over %s with %s: %s", name, protocol, what, got)
				}
			}
		}
	}
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		t.Logf("%-40s %5d calls", what, counts[what])
	}
	t.Logf("%d calls of the contract over %d protocols", len(methods), len(protocols))
}

// accessPlace is a server that asks for credentials, and credentials for it.
type accessPlace struct {
	t      *testing.T
	path   string // Of the access file.
	server *server
	conn   *grpc.ClientConn
	client *http.Client

	roles   map[auth.Role]string // With the role on orders and billing.
	lacking map[string]string    // Right, and without a right to what is called.
	wrong   map[string]string
}

// newAccessPlace starts a server, with what more its access file says.
func newAccessPlace(t *testing.T, more ...string) *accessPlace {
	t.Helper()
	return newAccessPlaceWith(t, strings.Join(more, ""))
}

func newAccessPlaceWith(t *testing.T, more string, settings ...func(*rpc.Config)) *accessPlace {
	t.Helper()
	dir := t.TempDir()
	a := &accessPlace{t: t, roles: make(map[auth.Role]string), lacking: make(map[string]string)}
	keys, now := new(auth.KeyFile), time.Now()
	add := func(name string, expires time.Time) string {
		key, stored, err := auth.NewKey(name, now, expires)
		if err != nil {
			t.Fatal(err)
		}
		keys.Keys = append(keys.Keys, stored)
		return "Bearer " + key
	}
	var policy strings.Builder
	for _, role := range auth.Roles {
		a.roles[role] = add(string(role), time.Time{})
		fmt.Fprintf(&policy, "- {principals: ['key:%s'], roles: [%s], topics: [orders], subscriptions: [billing]}\n", role, role)
	}
	a.lacking["all roles elsewhere"] = add("elsewhere", time.Time{})
	policy.WriteString("- {principals: ['key:elsewhere'], roles: [publish, read, consume, manage, monitor], topics: [orders2, billing], subscriptions: [billing2, orders]}\n")
	a.lacking["no grant"] = add("nobody", time.Time{})
	tokens := newTokens(t)
	a.wrong = tokens.wrong()
	a.wrong["no credential"] = ""
	a.wrong["an expired API key"] = add("admin-once", now.Add(-time.Minute))
	revoked := add("admin-revoked", time.Time{})
	keys.Keys[len(keys.Keys)-1].Revoked = now
	a.wrong["a revoked API key"] = revoked
	a.wrong["an API key with another secret"] = a.roles["admin"] + "x"
	a.wrong["another scheme"] = strings.Replace(a.roles["admin"], "Bearer", "Basic", 1)
	if err := keys.Write(filepath.Join(dir, "keys.yaml")); err != nil {
		t.Fatal(err)
	}
	a.path = filepath.Join(dir, "access.yaml")
	if err := os.WriteFile(a.path, []byte("api_keys: keys.yaml\n"+tokens.issuer(dir)+"grants:\n- {principals: ['corp:*', 'key:admin-*'], roles: [admin]}\n"+policy.String()+more), 0o600); err != nil {
		t.Fatal(err)
	}
	a.server = startGuarded(t, a.path, settings...)
	a.conn, a.client = dialGRPC(t, a.server.grpcAddr), newHTTPClient(t, true)
	if got := a.http(contractMethods()[0], guardedCalls["CreateTopic"].request, "Bearer "+tokens.right(), "json"); got == codes.Unauthenticated || got == codes.PermissionDenied {
		t.Fatalf("with a right token: %s", got)
	}
	return a
}

func path(m protoreflect.MethodDescriptor) string {
	return fmt.Sprintf("/%s/%s", m.Parent().FullName(), m.Name())
}

// native makes a call as far as its first response.
func (a *accessPlace) native(m protoreflect.MethodDescriptor, request proto.Message, credential string) codes.Code {
	ctx, cancel := context.WithTimeout(a.t.Context(), time.Minute)
	defer cancel()
	if credential != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", credential)
	}
	stream, err := a.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, path(m))
	if err == nil {
		_ = stream.SendMsg(request) // RecvMsg has the error.
		_ = stream.CloseSend()
		// io.EOF is the end of a stream without a response.
		response := dynamicpb.NewMessage(m.Output())
		if err = stream.RecvMsg(response); err == nil {
			return inside(a.t, m, response)
		}
		if err == io.EOF { //nolint:errorlint // grpc-go gives it so.
			err = nil
		}
	}
	return status.Code(err)
}

// http makes a call over the HTTP port as far as its first frame.
func (a *accessPlace) http(m protoreflect.MethodDescriptor, request proto.Message, credential, protocol string) codes.Code {
	streaming := m.IsStreamingClient() || m.IsStreamingServer()
	encode, contentType := proto.Marshal, "application/proto"
	if protocol == "json" {
		encode, contentType = protojson.Marshal, "application/json"
	}
	body, err := encode(request)
	if err != nil {
		a.t.Fatal(err)
	}
	if streaming || protocol == "grpcweb" {
		body = append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(body))), body...)
		contentType = strings.Replace(contentType, "/", "/connect+", 1)
	}
	if protocol == "grpcweb" {
		contentType = "application/grpc-web+proto"
	}
	ctx, cancel := context.WithTimeout(a.t.Context(), time.Minute)
	defer cancel()
	httpRequest, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+a.server.httpAddr+path(m), bytes.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	httpRequest.Header.Set("Content-Type", contentType)
	if credential != "" {
		httpRequest.Header.Set("Authorization", credential)
	}
	response, err := a.client.Do(httpRequest)
	if err != nil {
		a.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if value := response.Header.Get("Grpc-Status"); value != "" {
		return grpcCode(a.t, value)
	}
	if !streaming && protocol != "grpcweb" {
		if response.StatusCode == http.StatusOK {
			return codes.OK
		}
		return connectCode(a.t, response.Body)
	}
	var head [5]byte
	if _, err := io.ReadFull(response.Body, head[:]); err != nil {
		a.t.Fatal(err)
	}
	frame := io.LimitReader(response.Body, int64(binary.BigEndian.Uint32(head[1:])))
	switch {
	case head[0]&128 != 0: // The trailers of gRPC-Web.
		text, err := io.ReadAll(frame)
		if err != nil {
			a.t.Fatal(err)
		}
		_, value, _ := strings.Cut(strings.ToLower(string(text)), "grpc-status:")
		value, _, _ = strings.Cut(value, "\r\n")
		return grpcCode(a.t, strings.TrimSpace(value))
	case head[0]&2 != 0: // The end of a stream of Connect.
		var end struct {
			Error json.RawMessage `json:"error"`
		}
		if err := json.NewDecoder(frame).Decode(&end); err != nil {
			a.t.Fatal(err)
		}
		if end.Error == nil {
			return codes.OK
		}
		return connectCode(a.t, bytes.NewReader(end.Error))
	default:
		data, err := io.ReadAll(frame)
		if err != nil {
			a.t.Fatal(err)
		}
		response, decode := dynamicpb.NewMessage(m.Output()), proto.Unmarshal
		if protocol == "json" {
			decode = protojson.Unmarshal
		}
		if err := decode(data, response); err != nil {
			a.t.Fatal(err)
		}
		return inside(a.t, m, response)
	}
}

// inside returns the code of a response, which is that of its batch in a stream of
// batches.
func inside(t *testing.T, m protoreflect.MethodDescriptor, response proto.Message) codes.Code {
	t.Helper()
	if m.Name() != "PublishStream" {
		return codes.OK
	}
	data, err := proto.Marshal(response)
	if err != nil {
		t.Fatal(err)
	}
	var published tidingsv1.PublishStreamResponse
	if err := proto.Unmarshal(data, &published); err != nil {
		t.Fatal(err)
	}
	return codes.Code(published.GetError().GetCode())
}

func grpcCode(t *testing.T, value string) codes.Code {
	t.Helper()
	code, err := strconv.ParseUint(value, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return codes.Code(code)
}

func connectCode(t *testing.T, body io.Reader) codes.Code {
	t.Helper()
	var answer struct {
		Code connect.Code `json:"code"`
	}
	if err := json.NewDecoder(body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return codes.Code(answer.Code)
}
