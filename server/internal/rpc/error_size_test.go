package rpc_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	ordersv1 "example.com/tidings/examples/events/gen/shop/orders/v1"
	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// maxMetadata is what an error takes at most as metadata of gRPC: half of what the
// clients in C++, Python, Ruby, PHP and Java take by default.
const maxMetadata = 4096

// grief is a request whose error has much to say.
type grief struct {
	path    string
	request proto.Message
	named   int // How many fields are to be named at least.
}

func grievous(t *testing.T) map[string]grief {
	t.Helper()
	wide := strings.Repeat("é€", 10_000)
	placed := &ordersv1.OrderPlaced{OrderId: wide[:5000], Email: wide[:5000]}
	for range 300 {
		placed.Items = append(placed.Items, &ordersv1.OrderItem{Sku: "bad sku"})
	}
	bad, err := anypb.New(placed)
	if err != nil {
		t.Fatal(err)
	}
	attributes := make(map[string]string)
	for i := range 150 {
		attributes[fmt.Sprint(i, strings.Repeat("€", 40))] = ""
	}
	event := func(data *anypb.Any, change func(*tidingsv1.Event)) *tidingsv1.PublishRequest {
		e := &tidingsv1.Event{Id: "1", Source: "/s", Data: data}
		change(e)
		return &tidingsv1.PublishRequest{Topic: "orders", Events: []*tidingsv1.Event{e}}
	}
	nothing := func(*tidingsv1.Event) {}
	return map[string]grief{
		"many fields":      {publishPath, event(bad, nothing), 5},
		"many keys":        {publishPath, event(bad, func(e *tidingsv1.Event) { e.Attributes = attributes }), 2},
		"long id":          {publishPath, event(bad, func(e *tidingsv1.Event) { e.Id = wide }), 1},
		"long type":        {publishPath, event(&anypb.Any{TypeUrl: "a/" + wide}, nothing), 1},
		"long request id":  {publishPath, &tidingsv1.PublishRequest{RequestId: wide}, 1},
		"long name":        {getPath, &tidingsv1.GetTopicRequest{Name: wide}, 1},
		"long event type":  {"/tidings.v1.SchemaService/GetEventType", &tidingsv1.GetEventTypeRequest{Name: wide}, 0},
		"long page token":  {listPath, &tidingsv1.ListTopicsRequest{PageToken: wide}, 1},
		"long cursor":      {"/tidings.v1.ReaderService/Read", &tidingsv1.ReadRequest{Topic: "orders", Start: &tidingsv1.StartPosition{Position: &tidingsv1.StartPosition_Cursor{Cursor: wide}}}, 0},
		"long expression":  {"/tidings.v1.ReaderService/Read", &tidingsv1.ReadRequest{Topic: "orders", Filter: &tidingsv1.EventFilter{Cel: strings.Repeat("€(", 500)}}, 0},
		"long description": {"/tidings.v1.TopicService/CreateTopic", &tidingsv1.CreateTopicRequest{Topic: &tidingsv1.Topic{Name: wide, Settings: &optionsv1.TopicSettings{Description: wide, EventTypes: slices.Repeat([]string{wide}, 20)}}}, 1},
	}
}

// Whatever is wrong with a request, its error is one that clients take, and it is
// the same over every protocol.
func TestErrorsAreWithinWhatClientsTake(t *testing.T) {
	t.Parallel()
	for name, test := range grievous(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			message, err := proto.Marshal(test.request)
			if err != nil {
				t.Fatal(err)
			}
			streams := strings.HasSuffix(test.path, "/Read")
			body := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
			native := overGRPC(t, shared.grpcAddr, test.path, "application/grpc", body)
			for protocol, got := range map[string]*status.Status{
				"http":    overGRPC(t, shared.httpAddr, test.path, "application/grpc", body),
				"web":     overGRPC(t, shared.httpAddr, test.path, "application/grpc-web", body),
				"connect": overConnect(t, test.path, message, streams),
			} {
				if name != "many keys" && !proto.Equal(got, native) { // They have no order.
					t.Errorf("%s: %v\nnative: %v", protocol, got, native)
				}
			}
			compareNamed(t, native, test.named)
			if !utf8.ValidString(native.GetMessage()) || len(native.GetMessage()) > 400 {
				t.Errorf("a message of %d bytes: %q", len(native.GetMessage()), native.GetMessage())
			}
		})
	}
}

// compareNamed holds that an error names enough fields, and how many there are
// where it doesn't name all.
func compareNamed(t *testing.T, s *status.Status, want int) {
	t.Helper()
	named, of := 0, ""
	for _, detail := range s.GetDetails() {
		value, err := detail.UnmarshalNew()
		if err != nil {
			t.Fatal(err)
		}
		switch value := value.(type) {
		case *errdetails.BadRequest:
			named = len(value.GetFieldViolations())
		case *errdetails.ErrorInfo:
			of = value.GetMetadata()["violations"]
		}
	}
	total, err := strconv.Atoi(of)
	if named < want || of != "" && (err != nil || total <= named) {
		t.Errorf("%d fields are named of %q, want %d at least", named, of, want)
	}
	t.Logf("%d fields are named of %q", named, of)
}

// overGRPC makes a call with gRPC as it is on the wire.
func overGRPC(t *testing.T, addr, path, contentType string, body []byte) *status.Status {
	t.Helper()
	request, err := http.NewRequestWithContext(testContext(t), http.MethodPost, "http://"+addr+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("TE", "trailers")
	response, err := newHTTPClient(t, true).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // It is only read.
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	trailers := response.Trailer
	if len(content) > 5 && content[0] == 0x80 { // Of gRPC-Web.
		trailers = make(http.Header)
		for line := range strings.SplitSeq(strings.TrimSpace(string(content[5:])), "\r\n") {
			key, value, _ := strings.Cut(line, ":")
			trailers.Set(key, strings.TrimSpace(value))
		}
	}
	if trailers.Get("Grpc-Status") == "" {
		trailers = response.Header
	}
	size := 0
	for key, values := range trailers {
		for _, value := range values {
			size += len(key) + len(value) + 32 // As HTTP/2 counts.
		}
	}
	if size > maxMetadata {
		t.Errorf("%s: metadata of %d bytes", contentType, size)
	}
	text, err := url.PathUnescape(trailers.Get("Grpc-Message"))
	if err != nil {
		t.Error(err)
	}
	encoded, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(trailers.Get("Grpc-Status-Details-Bin"), "="))
	s := new(status.Status)
	if err != nil || proto.Unmarshal(encoded, s) != nil || s.GetMessage() != text || fmt.Sprint(s.GetCode()) != trailers.Get("Grpc-Status") {
		t.Errorf("%s: %v, %q, %v", contentType, err, trailers, s)
	}
	return s
}

// overConnect makes a call with Connect as it is on the wire.
func overConnect(t *testing.T, path string, message []byte, streams bool) *status.Status {
	t.Helper()
	contentType := "application/proto"
	if streams {
		contentType = "application/connect+proto"
		message = append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
	}
	_, answer := post(t, path, contentType, bytes.NewReader(message), int64(len(message)))
	type failure struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Details []struct {
			Type  string `json:"type"`
			Value string `json:"value"`
		} `json:"details"`
	}
	var got failure
	if streams {
		var end struct {
			Error failure `json:"error"`
		}
		if err := json.Unmarshal(answer[5:], &end); err != nil {
			t.Fatal(err)
		}
		got = end.Error
	} else if err := json.Unmarshal(answer, &got); err != nil {
		t.Fatal(err)
	}
	s := &status.Status{Code: connectCodes[got.Code], Message: got.Message}
	for _, detail := range got.Details {
		value, err := base64.RawStdEncoding.DecodeString(detail.Value)
		if err != nil {
			t.Fatal(err)
		}
		s.Details = append(s.Details, &anypb.Any{TypeUrl: "type.googleapis.com/" + detail.Type, Value: value})
	}
	return s
}

var connectCodes = map[string]int32{"invalid_argument": 3, "not_found": 5, "already_exists": 6, "internal": 13}
